// SPDX-License-Identifier: Apache-2.0

import Foundation
package import SystemPackage
package import ThawBackbones
package import ThawCheckpoints
import ThawConsole
import ThawExecution
package import ThawImages
package import ThawNetwork

/// A model as it is kept: the network, its weights, and what its file says about them.
package struct StoredModel {
  package let graph: Graph
  package let parameters: Parameters
  package let preprocessing: Preprocessing
  package let record: ModelRecord

  /// What its file says about its training; nil for a card's network or a checkpoint from elsewhere.
  package var ownRecord: ModelRecord? {
    record.hasTraining ? record : nil
  }

  /// A model file that a training wrote.
  ///
  /// - Throws: `CheckpointError`, `NetworkError`, `BackboneError` when it is not one or is damaged.
  package init(modelFile: FilePath) throws {
    (record, parameters) = try ModelFile.read(modelFile)
    guard let contract = try? Preprocessing(json: record.preprocessing) else {
      throw PipelineError.data(
        "\(modelFile.displayed): the preprocessing contract in it is not understood.")
    }
    preprocessing = contract
    let head = try StoredModel.head(of: record, file: modelFile)
    var graph = try Architecture.graph(of: record, parameters, head: head, file: modelFile)
    if let quantization = record.quantization {
      graph = graph.folded
      graph.quantization = quantization
      try graph.requireKnownLayers(of: quantization, file: modelFile)
    }
    graph.precision = record.precision
    self.graph = graph
    try parameters.validate(for: graph)
  }

  /// The head's shape, which is read alone: the rest of the training record may be another version's.
  ///
  /// Without one it is a single layer; that the parameters are those of such a head is checked
  /// before anything is computed.
  private static func head(of record: ModelRecord, file: FilePath) throws -> Head {
    struct Own: Decodable {
      struct Shape: Decodable {
        let hidden: Int?
        let dropout: Double?
      }
      let head: Shape?
    }
    let shape = (try? JSONDecoder().decode(Own.self, from: Data(record.training.utf8)))?.head
    let head = Head(
      classes: record.outputActivation.outputs(classes: record.classNames.count),
      hidden: shape?.hidden, dropout: shape?.dropout ?? 0)
    guard (1...65536).contains(head.hidden ?? 1), (0..<1).contains(head.dropout) else {
      throw PipelineError.data(
        "\(file.displayed): the head in it, \(head.hidden ?? 0) hidden features with a dropout of"
          + " \(head.dropout), is impossible.")
    }
    return head
  }

  /// Collects what was read elsewhere; the parameters are `graph`'s.
  package init(
    graph: Graph, parameters: Parameters, preprocessing: Preprocessing, record: ModelRecord
  ) {
    self.graph = graph
    self.parameters = parameters
    self.preprocessing = preprocessing
    self.record = record
  }

  /// The untouched pretrained network of a card.
  package init(card: BackboneCard, store: PretrainedStore) throws {
    let backbone = try PretrainedBackbone(card, from: store)
    graph = backbone.graph
    parameters = backbone.parameters.restricted(to: graph)
    preprocessing = card.preprocessing
    record = ModelRecord(
      thawVersion: thawVersion, architecture: card.architecture, classNames: backbone.classNames,
      outputActivation: backbone.outputActivation, preprocessing: card.preprocessing.json,
      structure: card.architecture == Architecture.onnxName
        ? try ONNXStructure.text(of: graph, parameters, preprocessing: preprocessing) : nil,
      notes: ["license": card.license])
  }
}

extension Graph {
  /// Whether what bytes stand for is about this network.
  fileprivate func requireKnownLayers(
    of quantization: Quantization, file: FilePath
  ) throws(PipelineError) {
    let outputs = Dictionary(
      uniqueKeysWithValues: nodes.compactMap { node -> (ParameterPath, Int)? in
        switch node.operation {
        case .convolution(let layer): (node.path, layer.outputs)
        case .dense(let layer): (node.path, layer.outputs)
        default: nil
        }
      })
    let known = Set(nodes.map(\.path))
    let wrong =
      quantization.activations.keys.filter { !known.contains($0) }
      + quantization.weights.filter { outputs[$0.key] != $0.value.count }.keys
    guard let first = wrong.min() else { return }
    throw .data(
      "\(file.displayed): its bytes are those of a layer '\(first)' that the network has not, or not so. The"
        + " file is damaged; quantize the model again.")
  }
}
