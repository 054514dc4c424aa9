// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import SystemPackage
import ThawInference

/// What a checkpoint that another program trained does not say itself.
struct ForeignModelOptions: ParsableArguments {
  @Option(
    help: "With a checkpoint trained elsewhere: the card whose network and preprocessing it has.",
    completion: Completions.cards)
  var card: String?

  @Option(help: "With a checkpoint trained elsewhere: file of class names, one a line.")
  var classNames: FilePath?

  @Option(
    help: "With a model trained elsewhere: torch, tf, caffe, efficientnet-lite, unit or raw.")
  var preprocessing: PreprocessingFamily?

  /// The model that `--model` names.
  ///
  /// - Parameter snapshots: see ``ModelReference``.
  func reference(_ model: String, snapshots: Bool = false) -> ModelReference {
    ModelReference(
      model, snapshots: snapshots, card: card, classNames: classNames,
      preprocessing: preprocessing?.contract)
  }
}
