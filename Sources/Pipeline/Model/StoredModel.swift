// SPDX-License-Identifier: Apache-2.0

import Backbones
import Checkpoints
import Files
import Images
import Network
import SystemPackage

/// A model as it is kept: the network, its weights, and what its file says about them.
struct StoredModel {
  let graph: Graph
  let parameters: Parameters
  let preprocessing: Preprocessing
  let record: ModelRecord

  /// A model file that a training wrote.
  ///
  /// - Throws: `CheckpointError`, `NetworkError`, `BackboneError` when it is not one or is damaged.
  init(modelFile: FilePath) throws {
    (record, parameters) = try ModelFile.read(modelFile)
    guard let contract = try? Preprocessing(json: record.preprocessing) else {
      throw PipelineError.data(
        "\(modelFile.displayed): the preprocessing contract in it is not understood.")
    }
    preprocessing = contract
    let training = try? TrainingRecord(json: record.training)
    let head = Head(
      classes: record.classNames.count, hidden: training?.head.hidden,
      dropout: training?.head.dropout ?? 0)
    graph = try Architecture(named: record.architecture).graph(head)
    try parameters.validate(for: graph)
  }

  /// The untouched pretrained network of a card.
  init(card: BackboneCard, store: PretrainedStore) throws {
    let backbone = try PretrainedBackbone(card, from: store)
    graph = backbone.graph
    parameters = backbone.parameters.restricted(to: graph)
    preprocessing = card.preprocessing
    record = ModelRecord(
      thawVersion: thawVersion, architecture: card.architecture, classNames: backbone.classNames,
      preprocessing: card.preprocessing.json, notes: ["license": card.license])
  }
}

extension ModelReference {
  /// Reads it without compiling it. A file of that name comes first, then a card.
  ///
  /// - Throws: errors of ``StoredModel``; `BackboneError.unknownCard` when it is neither.
  func read(context: StageContext) throws -> StoredModel {
    let path = FilePath(text)
    if FileSystem.exists(path) { return try StoredModel(modelFile: path) }
    guard !text.contains("/"), !text.hasSuffix(".safetensors") else {
      throw PipelineError.data(
        "\(path.displayed): no such model file. Give the model.safetensors of a run, or the name of"
          + " a card (thaw pretrained list).")
    }
    return try StoredModel(
      card: try context.pretrained.card(named: text), store: context.pretrained)
  }
}
