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
  let context: StageContext

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
    /// How the file was looked at again, at least once.
    package let checks: [ExportCheck]
    /// What was written beside the file, as displayed: how to use it, and programs that do.
    package let beside: [String]
  }

  /// What may be chosen besides the graph.
  package struct Extras: Sendable {
    /// Whether the file gets its README and programs.
    package var writesReadme = true
    /// A Python whose ONNX Runtime is asked as well.
    package var python: String?

    package init() {}
  }

  /// Writes `model` to `output`, reads it back and compares: complete and right, or not at all. A file that is
  /// there already is replaced, but never the one that is being exported.
  ///
  /// - Parameters:
  ///   - options: what the ONNX graph contains; of no meaning for safetensors.
  ///   - names: of the tensors; of no meaning for ONNX.
  ///   - original: the file that the weights once came from, whose names and axes are to be kept; needed
  ///     for npz, of no meaning for ONNX.
  /// - Throws: ``PipelineError/usage(_:)`` when `output` is the model's own file or no place for one, or a
  ///   Python cannot check; ``PipelineError/data(_:)`` when what was written answers otherwise; what reading the
  ///   model throws, `BackboneError`, `CheckpointError`, `FileError`.
  package func export(
    _ model: ModelReference, to format: Format, output: FilePath,
    options: ONNXExporter.Options = ONNXExporter.Options(), names: Names = .torchvision,
    like original: FilePath? = nil, extras: Extras = Extras()
  ) throws -> Exported {
    try ExportStage.validate(output, for: model.path)
    try original.map { try ExportStage.validate(output, for: $0) }
    let places = ExportPlaces(output, format: format, withReadme: extras.writesReadme)
    try places.validate()
    let runtime = try extras.python.map {
      try RuntimeCheck(python: $0, checkpoint: context.checkInterruption)
    }
    let stored = try model.read(context: context)
    guard stored.graph.precision != .int8 || (format == .onnx && original == nil) else {
      throw PipelineError.usage(
        "\(model.text): weights in eight bits have no place in a file for other programs but ONNX. Export the"
          + " model it was made of, or --to onnx.")
    }
    let test = try TestVector(
      of: stored.forOthers, context: context, source: model.text)
    try context.checkInterruption()
    return try places.write { folder in
      var written = Written(
        stored: stored, format: format, name: output.displayed, file: folder.appending(places.name),
        test: test, temperature: try ExportStage.temperature(stored, model.text))
      if let original {
        try give(&written, back: original)
      } else if format == .onnx {
        try writeONNX(&written, options)
      } else {
        try writeSafetensors(&written, names)
      }
      try context.checkInterruption()
      if extras.writesReadme || runtime != nil {
        try writePrograms(&written, places, in: folder, runtime: runtime)
      }
      return try result(written, places)
    }
  }

  /// What logits are divided by.
  private static func temperature(_ stored: StoredModel, _ source: String) throws -> Double? {
    try ModelCalibration(of: stored.record, source: source)?.temperature.value
  }

  /// A record without what is about features, which a network that was read back may cut elsewhere.
  static func plain(_ record: ModelRecord) -> ModelRecord {
    var record = record
    (record.unknown, record.calibration) = (nil, nil)
    return record
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

  private func result(_ written: Written, _ places: ExportPlaces) throws -> Exported {
    let record = written.stored.record
    return Exported(
      path: written.name, format: written.format, architecture: record.architecture,
      bytes: try FileStatus(of: written.file).size, tensors: written.tensors,
      inputs: written.inputs, outputs: written.outputs,
      preprocessing: written.stored.preprocessing.description, classNames: record.classNames,
      outputActivation: record.outputActivation, temperature: record.temperature,
      checks: written.checks, beside: places.beside.map(\.displayed))
  }
}

extension StoredModel {
  /// The network as other programs compute it: in Float32 where it is made for bfloat16.
  var forOthers: StoredModel {
    guard graph.precision == .bfloat16 else { return self }
    var graph = graph
    graph.precision = .float32
    return StoredModel(
      graph: graph, parameters: parameters, preprocessing: preprocessing, record: record)
  }
}

extension ExportStage.Value {
  init(_ value: ONNXValue) {
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
