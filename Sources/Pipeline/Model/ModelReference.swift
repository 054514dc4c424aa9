// SPDX-License-Identifier: Apache-2.0

import Checkpoints
import Files
import SystemPackage

/// What `--model` names: a model file, or a card's untouched pretrained network.
public struct ModelReference: Sendable {
  let text: String
  private let snapshots: Bool

  /// Takes the option's text.
  ///
  /// - Parameter snapshots: in place of the model the snapshots of its training, which are in
  ///   `checkpoints` beside it.
  public init(_ text: String, snapshots: Bool = false) {
    self.text = text
    self.snapshots = snapshots
  }

  /// Loads it. A file of that name comes first, then a card.
  ///
  /// - Throws: errors of ``Classifier``; `BackboneError.unknownCard` when it is neither.
  public func load(context: StageContext) throws -> Classifier {
    let path = FilePath(text)
    if FileSystem.exists(path) {
      if try CheckpointReader.isONNX(path) {
        return try Classifier(
          [StoredModel(onnx: path)], source: path.displayed, compiler: context.compiler,
          threads: context.threads)
      }
      return try Classifier(
        ensemble: snapshots ? SnapshotFiles.members(of: path) : [path],
        compiler: context.compiler, threads: context.threads)
    }
    guard !text.contains("/"), !text.hasSuffix(".safetensors") else {
      throw PipelineError.data(
        "\(path.displayed): no such model file. Give the model.safetensors of a run, or the name of"
          + " a card (thaw pretrained list).")
    }
    let card = try context.pretrained.card(named: text)
    guard !snapshots else {
      throw PipelineError.usage("a pretrained network has no snapshots; give a model file.")
    }
    return try Classifier(
      card: card, store: context.pretrained, compiler: context.compiler, threads: context.threads)
  }
}
