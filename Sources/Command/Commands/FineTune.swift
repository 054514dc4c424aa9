// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import ThawConsole
import ThawFiles
import ThawRecipes
import ThawRuns

/// `thaw fine-tune`
struct FineTune: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fine-tune",
    abstract: "Thaw layer groups of the backbone and train them.",
    discussion: """
      Starts from the model that `thaw train` left. What trains is printed first: group, parameters, \
      batch norm, learning rate. Frozen layers are compiled as for inference and cached.
      """)

  @Option(name: .customLong("run"), help: "Run directory.")
  var directory: RunDirectory

  @OptionGroup(title: "What thaws") var thawing: ThawingOptions
  @OptionGroup(title: "Training") var training: TrainingOptions

  @Flag(inversion: .prefixedNo, help: RecipeKey<Recipe.FineTune>.interpolation.argumentHelp)
  var interpolation: Bool?

  @Flag(help: "Print the plan and stop.")
  var planOnly = false

  @Flag(help: "Do nothing when the recipe says fine_tune: {enabled: false}, as fit does.")
  var ifEnabled = false

  @OptionGroup(title: "Memory") var memory: MemoryOptions
  @OptionGroup(title: "Every command") var global: GlobalOptions

  func run() throws {
    let session = Session(global, memory: memory.bytes)
    let prepared = try session.open(directory)
    var recipe = prepared.recipe
    if ifEnabled, !recipe.fineTune.enabled {
      return try session.print(["enabled": false], text: "The recipe leaves the backbone frozen.")
    }
    try change(&recipe)
    let run = prepared.with(recipe)
    try run.requireValidationPhotos(forPatience: training.patience != nil)
    run.saySeedOfSplit()
    let stage = FineTuneStage(run)
    // A plan that does not fit the network must not stay in the run.
    let plan = try stage.plan()
    if planOnly { return try session.print(plan.flatMap(\.groups), text: plan.text) }
    try run.saveRecipe()
    let summary = try stage.fineTune(onPlan: { session.console.show($0.text) })
    if !summary.unchanged, let advice = try directory.advice {
      session.console.say("hint: \(advice)")
    }
    try session.print(summary, text: summary.text)
  }

  private func change(_ recipe: inout Recipe) throws {
    if let seed = global.seed { recipe.seed = seed }
    if let interpolation { recipe.fineTune.interpolation = interpolation }
    try thawing.apply(to: &recipe.fineTune)
    let accuracy = try directory.headAccuracy
    _ = try StageSettings(
      thawing.frozen.settings() + training.settings(), stages: [.fineTune],
      usualRate: { _, recipe in recipe.fineTune.rate(headAccuracy: accuracy) }
    ).apply(to: &recipe)
    recipe = try recipe.checked()
  }
}

extension [PhaseTable] {
  /// A table for each phase, for people.
  var text: String {
    map { phase in
      var table = TextTable("group", ">parameters", ">trains", "batch norm", ">learning rate")
      for row in phase.groups {
        table.append([
          row.group, Format.grouped(row.parameters, separator: " "),
          row.trainable == 0 ? "frozen" : Format.grouped(row.trainable, separator: " "),
          row.batchNorm ?? "-", row.learningRate.map { Format.significant($0) } ?? "-",
        ])
      }
      return (count > 1 ? "Phase \(phase.phase) of \(count): " : "")
        + "\(phase.firstEpoch == phase.lastEpoch ? "epoch \(phase.firstEpoch)" : "epochs \(phase.firstEpoch) to \(phase.lastEpoch)"), \(phase.size) pixels,"
        + " \(phase.schedule), \(phase.frozen)\n" + table.text(width: OutputSink.tableColumns)
    }.joined(separator: "\n")
  }
}

extension FineTuneStage.Summary {
  /// One line for people.
  var text: String {
    if unchanged { return "The fine-tuned model is up to date." }
    let before = startValidAccuracy.map { Format.percent($0) } ?? "?"
    let after = bestValidAccuracy.map { Format.percent($0) } ?? "?"
    return "Fine-tuned \(Format.grouped(trainableParameters, separator: " ")) parameters:"
      + " \(counted(epochs, "epoch")) in \(Format.duration(seconds: seconds)),"
      + " valid \(severalLabels ? "all labels right" : "accuracy") \(before) before, \(after) after."
  }
}
