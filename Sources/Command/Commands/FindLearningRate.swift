// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import ThawConsole
import ThawFiles
import ThawRecipes
import ThawRuns
import ThawTraining

/// `thaw find-lr`
struct FindLearningRate: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "find-lr",
    abstract: "Sweep the learning rate and suggest one: of the head, or of thawed layers.",
    discussion: """
      Weights, statistics, recipe and model stay as they are; the report shows the curve. On thawed \
      layers (--fine-tune, or an option that says what thaws) the sweep starts from the trained head \
      and keeps the ratios between the layer groups' rates.
      """)

  @Option(name: .customLong("run"), help: "Run directory.")
  var directory: RunDirectory

  @Option(help: "First learning rate.")
  var start = 1e-5

  @Option(help: "Last learning rate.")
  var end = 10.0

  @Option(help: "Steps of the sweep.")
  var iterations = 100

  @Flag(help: "Sweep the network as fine-tuning thaws it.")
  var fineTune = false

  @Option(help: "Phase of the fine-tuning to sweep, from 1 (default: the last).")
  var phase: Int?

  @OptionGroup(title: "What thaws") var thawing: ThawingOptions
  @OptionGroup(title: "Every command") var global: GlobalOptions

  func validate() throws {
    let sweep = LearningRateSweep(
      start: start, end: end, iterations: iterations, batchSize: 1, seed: 0)
    if let problem = sweep.problem { throw ValidationError(problem) }
  }

  func run() throws {
    let session = Session(global)
    let run = try session.open(directory)
    var recipe = run.recipe
    if let seed = global.seed { recipe.seed = seed }
    let before = recipe.fineTune
    try thawing.apply(to: &recipe.fineTune)
    _ = try StageSettings(
      thawing.frozen.settings(), stages: [.fineTune], usualRate: { _, _ in nil }
    ).apply(to: &recipe)
    let thaws = fineTune || phase != nil || recipe.fineTune != before
    let search = try FindLearningRateStage(run.with(try recipe.checked())).find(
      from: start, to: end, iterations: iterations,
      of: thaws ? .fineTuning(phase: phase) : .head)
    try session.print(search, text: search.text(thaws ? "fine-tune" : "train", of: directory))
  }
}

extension LearningRateSearch {
  /// The suggestions, for people.
  ///
  /// - Parameters:
  ///   - command: the one to use them with.
  ///   - run: whose learning rate it is.
  func text(_ command: String, of run: RunDirectory) -> String {
    let named: [(String, Double?, String)] = [
      ("valley", suggestions.valley, "in the longest fall of the loss; the usual choice"),
      ("steep", suggestions.steep, "where the loss falls fastest"),
      ("minimum", suggestions.minimum, "a tenth of the rate with the lowest loss"),
      ("slide", suggestions.slide, "the largest rate before the loss climbs"),
    ]
    var table = TextTable("rule", ">learning rate", "what it is")
    for (name, rate, meaning) in named {
      table.append([name, rate.map { Format.significant($0) } ?? "-", meaning])
    }
    return "\(counted(rates.count, "step")), ended because: \(stopReason.rawValue)\n"
      + table.text(width: OutputSink.tableColumns)
      + "Use one: thaw \(command) --run \(run.path.quoted) --learning-rate "
      + "\(command == "train" ? "" : ":")\(suggestions.valley.map { Format.significant($0) } ?? "RATE")"
  }
}
