// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import Files
public import Network
import Tensors

/// A card with its weights in memory: the untouched pretrained network, and the start of new ones.
public struct PretrainedBackbone: Sendable {
  /// The card.
  public let card: BackboneCard
  /// The network with its own classifier.
  public let graph: Graph
  /// Its weights and statistics.
  public let parameters: Parameters
  /// Names of its own classes, in the order of its outputs.
  public let classNames: [String]

  /// Reads the weights of `card`, checking their hash, names, shapes and values.
  ///
  /// - Throws: ``BackboneError``, `CheckpointError`, `NetworkError`, `FileError`.
  public init(_ card: BackboneCard, from store: PretrainedStore) throws {
    try store.verify(card)
    let classes = store.directory.appending(card.classesFile)
    let text = String(decoding: try FileSystem.read(classes, limit: 1 << 20), as: UTF8.self)
    let names = text.split(separator: "\n").filter { !$0.hasPrefix("#") }.map(String.init)
    let architecture = try Architecture(named: card.architecture)
    let graph = architecture.graph(Head(classes: names.count))
    let checkpoint = try CheckpointReader.read(store.weights(of: card))
    self.card = card
    self.graph = graph
    classNames = names
    parameters = try checkpoint.parameters(
      renaming: { architecture.path(of: $0, naming: card.naming) }, for: graph)
    try parameters.validate(for: graph)
  }

  /// The network with another head.
  public func graph(head: Head) throws -> Graph {
    try Architecture(named: card.architecture).graph(head)
  }

  /// Weights for `graph`: the pretrained ones, and for layers of the group `head` fresh ones.
  ///
  /// A fresh dense layer has the bias 0 and weights from U(-a, a), a = sqrt(1 / inputs).
  /// - Source: PyTorch's `nn.Linear`.
  public func parameters(for graph: Graph, seed: UInt64) -> Parameters {
    var result = parameters
    for node in graph.nodes where node.group == graph.groups.count - 1 {
      guard case .dense(let layer) = node.operation else { continue }
      var random = RandomStream(seed: seed, purpose: .initialization, sample: node.id.index)
      let bound = (1 / Double(layer.inputs)).squareRoot()
      let weights = (0..<layer.inputs * layer.outputs).map { _ in
        Float(random.uniform(in: -bound...bound))
      }
      result[node.path.appending("weight")] = Tensor(weights, shape: [layer.outputs, layer.inputs])
      if layer.hasBias { result[node.path.appending("bias")] = Tensor(zeros: [layer.outputs]) }
    }
    return result
  }
}
