// SPDX-License-Identifier: Apache-2.0

import Backbones
import Checkpoints
import Files
import Images
import Network
import SystemPackage

/// A network with its weights and all that a model file or a card says about it.
struct LoadedNetwork {
  let graph: Graph
  let parameters: Parameters
  /// Class names in the order of the logits.
  let classNames: [String]
  let preprocessing: Preprocessing
  /// The card or file it came from, for messages.
  let source: String

  /// Reads a model file that a training wrote.
  ///
  /// - Throws: `CheckpointError`, `NetworkError`, `BackboneError` when it is not one or is damaged.
  init(modelFile: FilePath) throws {
    let (record, parameters) = try ModelFile.read(modelFile)
    let training = try? TrainingRecord(json: record.training)
    guard let contract = try? Preprocessing(json: record.preprocessing) else {
      throw PipelineError.data(
        "\(modelFile.displayed): the preprocessing contract in it is not understood.")
    }
    let head = Head(
      classes: record.classNames.count, hidden: training?.head.hidden,
      dropout: training?.head.dropout ?? 0)
    graph = try Architecture(named: record.architecture).graph(head)
    self.parameters = parameters
    classNames = record.classNames
    preprocessing = contract
    source = modelFile.displayed
    try parameters.validate(for: graph)
  }

  /// The untouched pretrained network of a card, with its own classes.
  init(card: BackboneCard, store: PretrainedStore) throws {
    let backbone = try PretrainedBackbone(card, from: store)
    graph = backbone.graph
    parameters = backbone.parameters
    classNames = backbone.classNames
    preprocessing = card.preprocessing
    source = card.name
    try parameters.validate(for: graph)
  }
}
