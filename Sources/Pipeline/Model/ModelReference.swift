// SPDX-License-Identifier: Apache-2.0

import Backbones
import Files
import SystemPackage

/// What `--model` names: a model file, or a card's untouched pretrained network.
public struct ModelReference: Sendable {
  private let text: String
  private let snapshots: Bool

  /// Takes the option's text.
  ///
  /// - Parameter snapshots: in place of the model the snapshots of its training, which are in
  ///   `checkpoints` beside it.
  public init(_ text: String, snapshots: Bool = false) {
    self.text = text
    self.snapshots = snapshots
  }

  /// The network alone: graph, weights, classes and preprocessing.
  ///
  /// - Throws: as ``load(context:)``.
  func network(context: StageContext) throws -> LoadedNetwork {
    switch try found(context) {
    case .file(let path): try LoadedNetwork(modelFile: path)
    case .card(let card): try LoadedNetwork(card: card, store: context.pretrained)
    }
  }

  private enum Found {
    case file(FilePath)
    case card(BackboneCard)
  }

  private func found(_ context: StageContext) throws -> Found {
    let path = FilePath(text)
    if FileSystem.exists(path) { return .file(path) }
    guard !text.contains("/"), !text.hasSuffix(".safetensors") else {
      throw PipelineError.data(
        "\(path.displayed): no such model file. Give the model.safetensors of a run, or the name of"
          + " a card (thaw pretrained list).")
    }
    return .card(try context.pretrained.card(named: text))
  }

  /// Loads it. A file of that name comes first, then a card.
  ///
  /// - Throws: errors of ``Classifier``; `BackboneError.unknownCard` when it is neither.
  public func load(context: StageContext) throws -> Classifier {
    let card: BackboneCard
    switch try found(context) {
    case .card(let known): card = known
    case .file(let path):
      return try Classifier(
        ensemble: snapshots ? SnapshotFiles.members(of: path) : [path],
        compiler: context.compiler, threads: context.threads)
    }
    guard !snapshots else {
      throw PipelineError.usage("a pretrained network has no snapshots; give a model file.")
    }
    return try Classifier(
      card: card, store: context.pretrained, compiler: context.compiler, threads: context.threads)
  }
}
