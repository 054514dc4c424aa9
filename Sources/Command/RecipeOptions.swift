// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import SystemPackage
import ThawConsole
import ThawRecipes
import ThawRuns

/// A recipe and everything that the command line changes in it, for a command that runs both
/// trainings or prepares them.
struct RecipeOptions: ParsableArguments {
  @OptionGroup(title: "Photos") var photos: PhotoOptions
  @OptionGroup(title: "Recipe and network") var network: NetworkOptions

  @Flag(inversion: .prefixedNo, help: RecipeKey<Recipe.FineTune>.enabled.argumentHelp)
  var fineTune: Bool?

  @OptionGroup(title: "Training of the head and fine-tuning", visibility: .hidden)
  var training: TrainingOptions

  /// How options say which training they mean.
  static let discussion = """
    The head is trained first, then fine-tuning thaws the backbone. Every setting of both has an \
    option of its own: --help-all. One value means both trainings, as far as they have a use for \
    it, or name one or each:
      --epochs 3    --epochs head:3    --epochs head:3,fine-tune:8
    What it came to mean is printed; a learning rate must say which training it is for.
    """

  /// What preparing the photos must be able to heed.
  var requests: PrepareStage.Requests {
    var result: PrepareStage.Requests = []
    if photos.valid != nil { result.insert(.valid) }
    if photos.test != nil { result.insert(.test) }
    if training.patience != nil { result.insert(.patience) }
    if photos.details.verify == .contents { result.insert(.verifyContents) }
    return result
  }

  /// The recipe in force for `run`, with these options applied.
  ///
  /// - Parameter console: where it says what an option means for the two trainings.
  func resolved(run: RunDirectory, seed: UInt64?, console: Console) throws -> Recipe {
    var result = try network.base(run: run, seed: seed)
    try network.apply(to: &result)
    try photos.apply(to: &result.data)
    if let fineTune { result.fineTune.enabled = fineTune }
    let stages: [TrainingStage] = result.fineTune.enabled ? [.head, .fineTune] : [.head]
    // What fine-tuning's usual rate is, the trained head decides.
    let remarks = try StageSettings(
      network.head.frozen.settings() + training.settings(), stages: stages,
      usualRate: { _, _ in nil }
    ).apply(to: &result)
    try network.head.refuseIdle(result, stages: stages)
    result = try result.checked()
    for remark in remarks { console.say(remark) }
    network.warnOfIdleKeys(result, console: console)
    return result
  }
}

/// What happens to the folder of photos.
struct PhotoOptions: ParsableArguments {
  @Option(.valid) var valid: RecipeArgument<Recipe.Data>?
  @Option(.test) var test: RecipeArgument<Recipe.Data>?
  @Option(.onBadImage) var onBadImage: RecipeArgument<Recipe.Data>?
  @Option(.labels) var labels: RecipeArgument<Recipe.Data>?
  @Option(.unlabelled) var unlabelled: RecipeArgument<Recipe.Data>?
  @OptionGroup(title: "Folders, tables, groups and copies", visibility: .hidden)
  var details: PhotoDetailOptions

  func validate() throws {
    try refusing {
      for argument in [valid, test, onBadImage] { try argument?.check(in: Recipe().data) }
    }
  }

  /// Changes what was given.
  func apply(to data: inout Recipe.Data) throws {
    for argument in [valid, test, onBadImage, labels, unlabelled] {
      try argument?.apply(to: &data)
    }
    if labels != nil { data.labels = PhotoOptions.absolute(data.labels) }
    if unlabelled != nil { data.unlabelled = PhotoOptions.absolute(data.unlabelled) }
    try details.apply(to: &data)
  }
}

extension PhotoOptions {
  /// The same place for commands that are started elsewhere, which read the recipe again.
  static func absolute(_ path: String) -> String {
    guard !path.isEmpty else { return path }
    let here = FileManager.default.currentDirectoryPath
    return FilePath(here).pushing(FilePath(path)).lexicallyNormalized().string
  }
}

/// What few folders of photos need.
struct PhotoDetailOptions: ParsableArguments {
  @Option(.layout) var layout: RecipeArgument<Recipe.Data>?
  @Option(.tableColumns) var tableColumns: RecipeArgument<Recipe.Data>?
  @Option(.severalLabels) var severalLabels: RecipeArgument<Recipe.Data>?
  @Option(.labelSeparator) var labelSeparator: RecipeArgument<Recipe.Data>?
  @Option(.groupBy) var groupBy: RecipeArgument<Recipe.Data>?
  @Option(.nearDuplicates) var nearDuplicates: RecipeArgument<Recipe.Data>?
  @Option(.conflictingLabels) var conflictingLabels: RecipeArgument<Recipe.Data>?

  @Option(
    help:
      "Which files are read again: those whose size, time or inode changed (times), or all (contents)."
  )
  var verify = Verification.times

  /// What is trusted about files that were read before.
  enum Verification: String, ExpressibleByArgument, CaseIterable { case times, contents }

  func validate() throws {
    try refusing {
      for argument in [layout, severalLabels, nearDuplicates, conflictingLabels] {
        try argument?.check(in: Recipe().data)
      }
    }
  }

  /// Changes what was given.
  func apply(to data: inout Recipe.Data) throws {
    for argument in [
      layout, tableColumns, severalLabels, labelSeparator, groupBy, nearDuplicates,
      conflictingLabels,
    ] {
      try argument?.apply(to: &data)
    }
    if let reason = tableColumns?.key.reasonForNoEffect(in: data) {
      throw PipelineError.usage("--table-columns has no effect: \(reason).")
    }
  }
}
