// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import ThawRecipes

/// What of the backbone thaws, and when.
struct ThawingOptions: ParsableArguments {
  @Option(
    parsing: .unconditional,
    help: "Layer groups before this one stay frozen; -1 is the head alone, 0 thaws all.")
  var freezeTo: Int?

  @Flag(help: "Thaw everything; the same as --freeze-to 0.")
  var unfreeze = false

  @Option(help: "Names of the groups that train, separated by commas.")
  var unfreezeGroups: String?

  @Option(
    help: "Gradual unfreezing: epochs of the head alone, with one more group, and so on: 3,3,6.")
  var gradual: NumberList?

  @Option(help: "Batch norms of frozen groups: a mode, or a system whose way is meant.")
  var frozenBatchNorm: FrozenBatchNorm?

  @Option(help: "Batch norms of the groups that train.")
  var trainableBatchNorm: TrainableBatchNorm?

  @Flag(
    inversion: .prefixedNo,
    help: "Judge weights between those at the start and those at the end too, and keep the best.")
  var interpolation: Bool?

  func validate() throws {
    let ways = [freezeTo != nil, unfreeze, unfreezeGroups != nil, gradual != nil].count { $0 }
    guard ways <= 1 else {
      throw ValidationError(
        "--freeze-to, --unfreeze, --unfreeze-groups and --gradual contradict each other.")
    }
  }

  /// Changes what was given; one way of saying what thaws replaces another.
  func apply(to fineTune: inout Recipe.FineTune) {
    if freezeTo != nil || unfreeze || unfreezeGroups != nil || gradual != nil {
      fineTune.phases = []
      fineTune.gradual = gradual?.numbers ?? []
      fineTune.groups = unfreezeGroups?.split(separator: ",").map(String.init) ?? []
    }
    if let freezeTo { fineTune.freezeTo = freezeTo }
    if unfreeze { fineTune.freezeTo = 0 }
    if let frozenBatchNorm { fineTune.frozenBatchNorm = frozenBatchNorm.mode }
    if let trainableBatchNorm { fineTune.trainableBatchNorm = trainableBatchNorm.mode }
    if let interpolation { fineTune.interpolation = interpolation }
  }
}
