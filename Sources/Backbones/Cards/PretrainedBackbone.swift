// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import ThawCheckpoints
import ThawFiles
import ThawGraphs
package import ThawNetwork
import ThawTensors

/// A card with its weights in memory: the untouched pretrained network, and the start of new ones.
package struct PretrainedBackbone: Sendable {
  package let card: BackboneCard
  /// What it is built by.
  package let architecture: Architecture
  /// The network with its own classifier; up to its features when the weights end there.
  package let graph: Graph
  /// Its weights and statistics.
  package let parameters: Parameters
  /// Names of its own classes, in the order of its outputs; none when it has no classifier.
  package let classNames: [String]
  /// What makes probabilities of its own classifier's outputs.
  package let outputActivation: OutputActivation

  /// Reads the weights of `card`, checking their hash, names, shapes and values. What is missing is
  /// fetched if ``PretrainedStore/missingWeights`` says so.
  ///
  /// - Throws: ``BackboneError``, `CheckpointError`, `NetworkError`, `FileError`.
  package init(_ card: BackboneCard, from store: PretrainedStore) throws {
    try store.provide(card)
    classNames = try card.classNames(in: store)
    self.card = card
    if card.architecture == Architecture.onnxName {
      let network = try ONNXNetwork(
        store.weights(of: card), size: card.preprocessing.inputSize)
      try network.check(
        card.preprocessing, classes: classNames.count, file: store.weights(of: card))
      architecture = Architecture(network)
      outputActivation = network.outputActivation
      (graph, parameters) = (network.graph, network.parameters)
      return
    }
    architecture = try Architecture(named: card.architecture)
    outputActivation = card.outputActivation
    guard classNames.isEmpty || outputActivation.fits(classes: classNames.count) else {
      throw BackboneError.badCard(
        file: card.name,
        reason: "\(outputActivation.summary), but \(classNames.count) classes are named.")
    }
    (graph, parameters) = try PretrainedBackbone.read(
      store.weights(of: card), architecture: card.architecture, naming: card.naming,
      classes: classNames.isEmpty ? 0 : outputActivation.outputs(classes: classNames.count))
  }

  /// Reads a checkpoint of `architecture` with as many `classes`, or up to the features with none.
  static func read(
    _ path: FilePath, architecture name: String, naming: Architecture.Naming, classes: Int
  ) throws -> (Graph, Parameters) {
    let architecture = try Architecture(named: name)
    let whole = architecture.graph(Head(classes: max(classes, 1)))
    let graph = classes == 0 ? whole.withoutHead : whole
    let checkpoint = try CheckpointReader.read(path)
    // Keras's files have another order of axes as well as other names.
    let isKeras = [.kerasArchive, .kerasWeights].contains(checkpoint.format)
    let parameters: Parameters
    if isKeras {
      let fit = WeightFit(checkpoint, architecture)
      // A card says which file it is: one with less in it is another.
      guard fit.filledNorms == 0 else {
        throw CheckpointError.mismatch(
          checkpoint,
          "\(fit.filledNorms) scales or shifts of batch norms, which \(name) has, are not in the file"
        )
      }
      parameters = try fit.parameters(of: checkpoint)
    } else {
      parameters = try checkpoint.parameters(
        renaming: { architecture.path(of: $0, naming: naming) }, for: graph)
    }
    try parameters.validate(for: graph)
    return (graph, parameters)
  }

  /// The network with another head.
  package func graph(head: Head) throws -> Graph {
    architecture.graph(head)
  }

  /// Weights for `graph`: the pretrained ones, and for layers of the group `head` fresh ones.
  ///
  /// A fresh dense layer has the bias 0 and weights from U(-a, a), a = sqrt(1 / inputs).
  /// - Source: PyTorch's `nn.Linear`.
  package func parameters(for graph: Graph, seed: UInt64) -> Parameters {
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

extension BackboneCard {
  /// Names of the outputs of the card's own classifier, none when it has no classifier.
  ///
  /// - Throws: `FileError`, ``BackboneError/badCard(file:reason:)`` when the file names none.
  package func classNames(in store: PretrainedStore) throws -> [String] {
    guard let classesFile else { return [] }
    return try BackboneCard.classNames(of: store.file(named: classesFile))
  }

  static func classNames(of file: FilePath) throws -> [String] {
    let text = String(decoding: try FileSystem.read(file, limit: 1 << 20), as: UTF8.self)
    let names = text.split(separator: "\n").filter { !$0.hasPrefix("#") }.map(String.init)
    guard !names.isEmpty else {
      throw BackboneError.badCard(file: file.displayed, reason: "no class is named in it.")
    }
    return names
  }
}

extension Graph {
  /// Everything before the last layer group.
  var withoutHead: Graph {
    Graph(
      name: name, nodes: nodes.filter { $0.group < groups.count - 1 }, groups: groups.dropLast())
  }
}
