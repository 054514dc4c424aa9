// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
package import ThawCheckpoints
import ThawFiles
import ThawGraphs
package import ThawImages
package import ThawNetwork

extension PretrainedStore {
  /// A network that a file described, which no name would build.
  package struct DescribedNetwork {
    /// Name of the new card.
    package var name: String
    package var graph: Graph
    package var parameters: Parameters
    package var preprocessing: Preprocessing
    /// Class names and what makes probabilities.
    package var record: ModelRecord
    /// The file it came from.
    package var origin: FilePath

    package init(
      name: String, graph: Graph, parameters: Parameters, preprocessing: Preprocessing,
      record: ModelRecord, origin: FilePath
    ) {
      self.name = name
      self.graph = graph
      self.parameters = parameters
      self.preprocessing = preprocessing
      self.record = record
      self.origin = origin
    }
  }

  /// Gives a network that brings its structure with it a card of its own; it is kept as ONNX, with the
  /// contract and the class names inside.
  ///
  /// - Returns: the new card.
  /// - Throws: ``BackboneError/badCard(file:reason:)`` when the name is taken; what
  ///   ``ONNXExporter`` throws, `CheckpointError`, `FileError`.
  package func importDescribed(_ own: DescribedNetwork) throws -> BackboneCard {
    // Before anything is written.
    _ = try newCard(named: own.name)
    var options = ONNXExporter.Options()
    options.activation = own.record.outputActivation
    let file = try directory().appending(".\(own.name).import.onnx")
    defer { try? FileSystem.remove(file) }
    let model = try ONNXExporter.model(
      of: own.graph, own.parameters, preprocessing: own.preprocessing,
      metadata: try own.record.onnxMetadata(for: file), options: options)
    try ONNXWriter.write(file, model)
    var classifier = ONNXClassifier(file: file, name: own.name)
    classifier.origin = own.origin
    return try importONNX(classifier)
  }
}
