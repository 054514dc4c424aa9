// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import SystemPackage
import ThawImages
import ThawInference

/// What a checkpoint that another program trained does not say itself.
struct ForeignModelOptions: ParsableArguments {
  @OptionGroup var weights: ForeignWeightsOptions

  @Option(
    help: "With a model trained elsewhere: torch, tf, caffe, efficientnet-lite, unit or raw.")
  var preprocessing: PreprocessingFamily?

  /// Whether one of them was given.
  var isGiven: Bool { weights.isGiven || preprocessing != nil }

  /// The model that `--model` names.
  ///
  /// - Parameter snapshots: see ``ModelReference``.
  func reference(_ model: String, snapshots: Bool = false) -> ModelReference {
    weights.reference(model, snapshots: snapshots, preprocessing: preprocessing?.contract)
  }
}

/// What the weights in it are. An export has these alone: there `--preprocessing` is what the graph takes
/// in.
struct ForeignWeightsOptions: ParsableArguments {
  @Option(
    help: """
      With a checkpoint trained elsewhere: the card whose network and preprocessing it has, or the name of a \
      network that has no card.
      """,
    completion: Completions.cards)
  var card: String?

  @Option(help: "With a checkpoint trained elsewhere: file of class names, one a line.")
  var classNames: FilePath?

  @Option(
    help: "With a checkpoint of several networks: key or prefix of the one to take, such as ema.")
  var weightsKey: String?

  @Flag(
    help: ArgumentHelp(
      "With a checkpoint trained elsewhere: name its tensors by their order.",
      discussion: "Only where the shapes, in order, are those of a known network."))
  var renameTensors = false

  @Flag(help: "With a checkpoint trained elsewhere: draw what it lacks at random, and say what.")
  var allowMissing = false

  /// Whether one of them was given.
  var isGiven: Bool {
    card != nil || classNames != nil || weightsKey != nil || renameTensors || allowMissing
  }

  /// The model that `--model` names.
  ///
  /// - Parameter snapshots: see ``ModelReference``.
  func reference(
    _ model: String, snapshots: Bool = false, preprocessing: Preprocessing? = nil
  ) -> ModelReference {
    ModelReference(
      model, snapshots: snapshots, card: card, classNames: classNames,
      preprocessing: preprocessing, weightsKey: weightsKey, renamesTensors: renameTensors,
      allowsMissing: allowMissing)
  }
}
