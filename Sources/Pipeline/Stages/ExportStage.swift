// SPDX-License-Identifier: Apache-2.0

public import Backbones
import Checkpoints
import Files
import Images
import Network
public import SystemPackage

/// Write a model in the format of other programs.
public struct ExportStage {
  private let context: StageContext

  /// Uses the context's cards and console.
  public init(context: StageContext) { self.context = context }

  /// A format that models are written in.
  public enum Format: String, Sendable, CaseIterable, Encodable {
    /// ONNX, operation set 17.
    case onnx
    /// safetensors with the names of PyTorch's networks, complete for strict loading.
    case safetensors
  }

  /// What goes in or comes out of an exported model.
  public struct Value: Encodable, Sendable {
    /// Its name in the file.
    public let name: String
    /// `uint8` or `float32`.
    public let type: String
    /// Extents; the batch is free and written as `batch`.
    public let shape: [String]
  }

  /// What was written.
  public struct Exported: Encodable, Sendable {
    /// As displayed.
    public let path: String
    /// In which format.
    public let format: Format
    /// Name of the architecture.
    public let architecture: String
    /// Size of the file.
    public let bytes: Int
    /// Tensors in it.
    public let tensors: Int
    /// What goes in; only for ONNX.
    public let inputs: [Value]?
    /// What comes out; only for ONNX.
    public let outputs: [Value]?
    /// How photos have to be prepared, for people.
    public let preprocessing: String
    /// In the order of the logits.
    public let classNames: [String]
  }

  /// Writes `model` to `output` anew: complete, or not at all.
  ///
  /// - Parameter options: what the ONNX graph contains; of no meaning for safetensors.
  /// - Throws: what reading the model throws, `BackboneError`, `CheckpointError`, `FileError`.
  public func export(
    _ model: ModelReference, to format: Format, output: FilePath,
    options: ONNXExporter.Options = ONNXExporter.Options()
  ) throws -> Exported {
    let stored = try model.read(context: context)
    switch format {
    case .onnx:
      let exported = try ONNXExporter.model(
        of: stored.graph, stored.parameters, preprocessing: stored.preprocessing,
        metadata: try stored.record.onnxMetadata(for: output), options: options,
        producer: ("thaw", thawVersion))
      try ONNXWriter.write(output, exported)
      return try result(
        stored, format, output, tensors: exported.graph.initializers.count,
        inputs: exported.graph.inputs.map(Value.init),
        outputs: exported.graph.outputs.map(Value.init))
    case .safetensors:
      let counters = stored.graph.nodes.compactMap { node -> ParameterPath? in
        guard case .batchNormalization = node.operation else { return nil }
        return node.path.appending("num_batches_tracked")
      }
      try ModelFile.write(output, stored.record, stored.parameters, counters: counters)
      return try result(
        stored, format, output, tensors: stored.parameters.count + counters.count)
    }
  }

  private func result(
    _ stored: StoredModel, _ format: Format, _ output: FilePath, tensors: Int,
    inputs: [Value]? = nil, outputs: [Value]? = nil
  ) throws -> Exported {
    Exported(
      path: output.displayed, format: format, architecture: stored.record.architecture,
      bytes: try FileStatus(of: output).size, tensors: tensors, inputs: inputs, outputs: outputs,
      preprocessing: stored.preprocessing.description, classNames: stored.record.classNames)
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
