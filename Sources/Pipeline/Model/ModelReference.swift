// SPDX-License-Identifier: Apache-2.0

import Files
import SystemPackage

/// What `--model` names: a model file, or a card's untouched pretrained network.
public struct ModelReference: Sendable {
  let text: String

  /// Takes the option's text.
  public init(_ text: String) { self.text = text }

  /// Loads it. A file of that name comes first, then a card.
  ///
  /// - Throws: errors of ``Classifier``; `BackboneError.unknownCard` when it is neither.
  public func load(context: StageContext) throws -> Classifier {
    let path = FilePath(text)
    if FileSystem.exists(path) {
      return try Classifier(
        modelFile: path, compiler: context.compiler, threads: context.threads)
    }
    guard !text.contains("/"), !text.hasSuffix(".safetensors") else {
      throw PipelineError.data(
        "\(path.displayed): no such model file. Give the model.safetensors of a run, or the name of"
          + " a card (thaw pretrained list).")
    }
    let card = try context.pretrained.card(named: text)
    return try Classifier(
      card: card, store: context.pretrained, compiler: context.compiler, threads: context.threads)
  }
}
