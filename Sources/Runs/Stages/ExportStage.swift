// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
import ThawBackbones
import ThawCheckpoints
import ThawConsole
import ThawFiles
package import ThawGraphs
import ThawImages
package import ThawInference
package import ThawNetwork

/// Write a model in the format of other programs.
package struct ExportStage {
  private let context: StageContext

  /// Uses the context's cards and console.
  package init(context: StageContext) { self.context = context }

  /// A format that models are written in.
  package enum Format: String, Sendable, CaseIterable, Encodable {
    /// ONNX, operation set 17.
    case onnx
    /// safetensors with the names of PyTorch's networks, complete for strict loading.
    case safetensors
    /// An archive of NumPy arrays under the names of another file, for Keras.
    case npz
  }

  /// Whose names the tensors of a safetensors file have, where libraries differ.
  package enum Names: String, Sendable, CaseIterable {
    /// torchvision's, timm's for networks that torchvision has not; the file is a model of Thaw too.
    case torchvision
    case timm
  }

  /// What goes in or comes out of an exported model.
  package struct Value: Encodable, Sendable {
    /// Its name in the file.
    package let name: String
    /// `uint8` or `float32`.
    package let type: String
    /// Extents; the batch is free and written as `batch`.
    package let shape: [String]
  }

  /// What was written.
  package struct Exported: Encodable, Sendable {
    /// As displayed.
    package let path: String
    /// In which format.
    package let format: Format
    /// Name of the architecture.
    package let architecture: String
    /// Size of the file.
    package let bytes: Int
    /// Tensors in it.
    package let tensors: Int
    /// What goes in; only for ONNX.
    package let inputs: [Value]?
    /// What comes out; only for ONNX.
    package let outputs: [Value]?
    /// How photos have to be prepared, for people.
    package let preprocessing: String
    /// In the order of the logits.
    package let classNames: [String]
    /// What makes probabilities of the logits.
    package let outputActivation: OutputActivation
    /// What logits are divided by in front of it; nil of a model that is not calibrated.
    package let temperature: Double?
  }

  /// Writes `model` to `output`: complete, or not at all. A file that is there already is replaced, but
  /// never the one that is being exported.
  ///
  /// - Parameters:
  ///   - options: what the ONNX graph contains; of no meaning for safetensors.
  ///   - names: of the tensors; of no meaning for ONNX.
  ///   - original: the file that the weights once came from, whose names and axes are to be kept; needed
  ///     for npz, of no meaning for ONNX.
  /// - Throws: ``PipelineError/usage(_:)`` when `output` is the model's own file or no place for one;
  ///   what reading the model throws, `BackboneError`, `CheckpointError`, `FileError`.
  package func export(
    _ model: ModelReference, to format: Format, output: FilePath,
    options: ONNXExporter.Options = ONNXExporter.Options(), names: Names = .torchvision,
    like original: FilePath? = nil
  ) throws -> Exported {
    try ExportStage.validate(output, for: model.path)
    try original.map { try ExportStage.validate(output, for: $0) }
    let stored = try model.read(context: context)
    guard stored.graph.precision != .int8 || (format == .onnx && original == nil) else {
      throw PipelineError.usage(
        "\(model.text): weights in eight bits have no place in a file for other programs but ONNX. Export the"
          + " model it was made of, or --to onnx.")
    }
    if let original { return try give(stored, back: original, format, to: output) }
    switch format {
    case .npz: throw PipelineError.usage("npz needs --like: the file whose names the arrays have.")
    case .onnx:
      var options = options
      options.activation = stored.record.outputActivation
      if stored.record.outputActivation == .softmax {
        options.temperature = try ModelCalibration(of: stored.record, source: model.text)?
          .temperature.value
      }
      let exported = try ONNXExporter.model(
        of: stored.graph, stored.parameters, preprocessing: stored.preprocessing,
        metadata: try stored.record.onnxMetadata(for: output), options: options,
        producer: ("thaw", thawVersion))
      try ONNXWriter.write(output, exported)
      if stored.graph.precision == .int8 {
        context.console.say(
          "\(output.displayed): eight bits as QuantizeLinear and DequantizeLinear. A runtime that computes"
            + " between them in Float32, or whose products saturate, moves logits by a few steps.")
      } else if stored.graph.precision != .float32 {
        context.console.warn(
          "\(output.displayed): the network is made for \(stored.graph.precision.rawValue), which Thaw reads"
            + " in the file; other programs compute it in Float32, and probabilities differ by about as much"
            + " as rounding moves them.")
      }
      return try result(
        stored, format, output, tensors: exported.graph.initializers.count,
        inputs: exported.graph.inputs.map(Value.init),
        outputs: exported.graph.outputs.map(Value.init))
    case .safetensors:
      let counters = stored.graph.nodes.compactMap { node -> ParameterPath? in
        guard case .batchNormalization = node.operation else { return nil }
        return node.path.appending("num_batches_tracked")
      }
      switch names {
      case .torchvision:
        try ModelFile.write(output, stored.record, stored.parameters, counters: counters)
      case .timm: try write(stored, counters, to: output)
      }
      return try result(
        stored, format, output, tensors: stored.parameters.count + counters.count)
    }
  }

  /// Before the model is read, which may take a while.
  private static func validate(_ output: FilePath, for model: FilePath) throws {
    guard let there = try? FileStatus(of: output) else { return }
    guard there.kind == .regular else {
      throw PipelineError.usage(
        "\(output.displayed) is there and no regular file. Give --output another name.")
    }
    guard let source = try? FileStatus(of: model) else { return }
    guard (source.device, source.inode) != (there.device, there.inode) else {
      throw PipelineError.usage(
        "\(output.displayed) is \(model.displayed) itself. Give --output another name.")
    }
  }

  /// Under the names and in the axes of the file that the weights once came from.
  private func give(
    _ stored: StoredModel, back original: FilePath, _ format: Format, to output: FilePath
  ) throws -> Exported {
    let checkpoint = try CheckpointReader.read(original)
    guard checkpoint.metadata[Checkpoint.kerasLayers] != Checkpoint.kerasLayersByPosition else {
      throw PipelineError.data(
        "\(original.displayed): its layers have no names, so that nobody could find them. Give the whole"
          + " model, saved in Keras by model.save(\"yours.keras\").")
    }
    let tensors = try names(stored, original, checkpoint).tensors(stored.parameters)
    if format == .npz {
      try NumPyWriter.write(output, tensors)
    } else {
      try SafetensorsWriter.write(output, tensors, metadata: ["format": "pt"])
    }
    return try result(stored, format, output, tensors: tensors.count)
  }

  /// A network that is known by no name is described in the file itself.
  private func names(
    _ stored: StoredModel, _ original: FilePath, _ checkpoint: Checkpoint
  ) throws -> OriginalNames {
    guard stored.record.architecture == Architecture.onnxName else {
      return try OriginalNames(checkpoint, Architecture(named: stored.record.architecture))
    }
    let side = stored.preprocessing.inputSize
    guard let network = try KerasNetwork(checkpoint, freeSide: side) else {
      throw PipelineError.data(
        "\(original.displayed): where weights of such a network go is told by whole models of Keras"
          + " alone, .h5 and .keras. Leave --like out, and write onnx.")
    }
    return try OriginalNames(checkpoint, network)
  }

  /// With timm's names: for other programs, since a model file of Thaw has those of its graph.
  private func write(
    _ stored: StoredModel, _ counters: [ParameterPath], to output: FilePath
  ) throws {
    let architecture = try? Architecture(named: stored.record.architecture)
    guard let theirs = architecture?.timmTensors(stored.graph) else {
      throw PipelineError.usage(
        "timm has no network that is \(stored.record.architecture). Leave --names timm out.")
    }
    var tensors = stored.parameters.paths.compactMap { path -> StoredTensor? in
      guard let tensor = stored.parameters[path], let place = theirs[path] else { return nil }
      return StoredTensor(place.name, tensor).reshaped(place.shape)
    }
    tensors += counters.compactMap { counter in
      theirs[counter.parent.appending("running_mean")].map { place in
        StoredTensor(
          ParameterPath(place.name).parent.appending("num_batches_tracked").description, .int64, [],
          bytes: [UInt8](repeating: 0, count: 8))
      }
    }
    var metadata = try stored.record.onnxMetadata(for: output)
    metadata["thaw.format"] = nil
    metadata["format"] = "pt"
    try SafetensorsWriter.write(output, tensors, metadata: metadata)
  }

  private func result(
    _ stored: StoredModel, _ format: Format, _ output: FilePath, tensors: Int,
    inputs: [Value]? = nil, outputs: [Value]? = nil
  ) throws -> Exported {
    Exported(
      path: output.displayed, format: format, architecture: stored.record.architecture,
      bytes: try FileStatus(of: output).size, tensors: tensors, inputs: inputs, outputs: outputs,
      preprocessing: stored.preprocessing.description, classNames: stored.record.classNames,
      outputActivation: stored.record.outputActivation, temperature: stored.record.temperature)
  }
}

extension ExportStage.Value {
  fileprivate init(_ value: ONNXValue) {
    name = value.name
    type = value.elementType == .uint8 ? "uint8" : "float32"
    shape = (value.dimensions ?? []).map { dimension in
      switch dimension {
      case .size(let size): String(size)
      case .named(let name): name
      case .unknown: "?"
      }
    }
  }
}
