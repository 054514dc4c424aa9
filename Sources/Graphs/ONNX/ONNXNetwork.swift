// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
package import ThawCheckpoints
package import ThawImages
package import ThawNetwork
package import ThawTensors

/// A classifier from an ONNX file: the network, its weights, and what the file says about itself.
///
/// It is fine-tuned like any backbone. Layer groups are those that Thaw wrote into the file;
/// otherwise the layers before the head are cut into `early`, `middle` and `late`, thirds by number of
/// weighted layers, each moved to the nearest place that a single value crosses.
package struct ONNXNetwork: Sendable {
  /// The network; its result is logits, a softmax or sigmoid at the end was taken off.
  package let graph: Graph
  /// What was taken off, or is to be applied: a file that ends with logits and does not say is taken for
  /// one with a softmax, unless it has a single output.
  package let outputActivation: OutputActivation
  /// Weights and statistics.
  package let parameters: Parameters
  /// The size of the image it was made for; nil when the file leaves it free.
  package let inputSize: Extent2D?
  /// Shape of the value that the head takes, for one image.
  package let features: Shape
  /// What Thaw wrote into the file; nil for a file of another program.
  package let record: ModelRecord?
  /// What the file computes with the photo's samples before its first layer, when that was to stay apart;
  /// it is not in ``graph`` then.
  package let pixels: PixelArithmetic
  /// Class names in the file: Thaw's, or those that it looks labels up in.
  package let classNames: [String]?
  /// The program that wrote it and its version, as the file says.
  package let producer: String
  /// Length of the row of logits.
  private let outputCount: Int

  /// Reads and translates a file.
  ///
  /// - Parameters:
  ///   - externalData: whether tensors may lie in other files beside it.
  ///   - size: the side of the image when the file leaves it free.
  ///   - separatesArithmetic: whether arithmetic with samples is left out of the network; it is then
  ///     ``pixels``, and belongs to the contract.
  /// - Throws: `CheckpointError` when the file is damaged, ``GraphError/notImportable(file:reason:)``
  ///   naming the first node that has no counterpart here, `NetworkError` when tensors do not fit.
  package init(
    _ path: FilePath, externalData: ONNXExternalData = .refused, size: Int = 224,
    separatesArithmetic: Bool = false
  ) throws {
    try self.init(
      try ONNXReader.read(path, externalData: externalData), file: path, size: size,
      separatesArithmetic: separatesArithmetic)
  }

  /// Translates a model that was read already; `file` is for messages.
  ///
  /// - Throws: ``GraphError/notImportable(file:reason:)``, `CheckpointError`, `NetworkError`.
  package init(
    _ model: ONNXModel, file: FilePath, size: Int = 224, separatesArithmetic: Bool = false
  ) throws {
    var importer = try ONNXImporter(
      model, file: file, size: size, separatesArithmetic: separatesArithmetic)
    let draft = try importer.network()
    pixels = importer.pixels
    producer =
      Printable(
        [model.producer.name, model.producer.version].filter { !$0.isEmpty }.joined(separator: " ")
      ).description
    record = try ModelRecord(model, file: file)
    outputCount = draft[draft.output].shape[1]
    outputActivation =
      importer.activation ?? record?.outputActivation
      ?? (outputCount == 1 ? .singleSigmoid : .softmax)
    if let said = record?.outputActivation, said != outputActivation {
      throw GraphError.notImportable(
        file: file.displayed,
        reason: "its metadata name \(said.summary), its graph has \(outputActivation.summary)")
    }
    classNames = record?.classNames ?? importer.checkedClassNames(activation: outputActivation)
    var graph = draft.graph(
      named: model.graph.name, groups: model.metadata[LayerGroups.key].flatMap(LayerGroups.entries))
    graph.precision = record?.precision ?? .float32
    self.graph = graph
    parameters = draft.parameters
    inputSize = importer.fixedSize
    try parameters.validate(for: graph)
    let shapes = try graph.shapes(batch: 1, size: importer.size)
    let head = graph.groups.count - 1
    features = shapes[(graph.nodes.lastIndex { $0.group < head }) ?? 0]
  }

  /// The preprocessing contract in the file; nil when another program wrote it.
  package var preprocessing: Preprocessing? {
    record.flatMap { try? Preprocessing(json: $0.preprocessing) }
  }

  /// Number of classes.
  package var classCount: Int { outputActivation.classes(outputs: outputCount) }
}
