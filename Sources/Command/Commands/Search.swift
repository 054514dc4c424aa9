// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import SystemPackage
import ThawConsole
import ThawFiles
import ThawRecipes
import ThawRuns
import ThawSearch

/// `thaw search`
struct SearchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "search",
    abstract: "Try many heads on the cached features, and say which is best and how sure that is.",
    discussion: """
      Begins with the run's recipe, spreads trials over the space, then closes in on the best; poor ones \
      are given up early. The best few are repeated with other seeds before one is called the winner, \
      which the test photos judge once. Interrupted or killed, it goes on where it was; more --trials \
      or --minutes later extend it. Documentation/search.md.
      """)

  @Option(name: .customLong("run"), help: "Run directory, prepared before.")
  var directory: RunDirectory

  @Option(help: "Trials in all, those of earlier calls included.")
  var trials = 60

  @Option(help: "End in about so many minutes. (default: no limit)")
  var minutes: Double?

  @Option(
    help:
      "What must not be exceeded: latency_ms=20,size_mb=15,memory_mb=500, measured here, one photo at a time."
  )
  var atMost: String?

  @Option(
    help: "What is made as good as possible: accuracy, loss, macro_f1 or mean_average_precision.")
  var metric: SearchMetric?

  @Option(
    help:
      "Folds of the cross-validation; 0 for the validation photos. (default: 5 for fewer than 500 of them)"
  )
  var folds: Int?

  @Option(help: "Other seeds that the best few are repeated with.")
  var repeats = 5

  @Option(
    help:
      "Trials that are decided on together, for as many ranks of mpirun to measure; belongs to the search as its seed does."
  )
  var atOnce = 1

  @Option(
    help: "File that says what to try (Pipelines/search/head.yml).",
    completion: .file(extensions: ["yml"]))
  var space: FilePath?

  @Option(help: "Pretrained networks to choose from, separated by commas.")
  var backbones: String?

  @Flag(help: "Put the winner's recipe in force and train its head.")
  var apply = false

  @OptionGroup(title: "Every command") var global: GlobalOptions

  func validate() throws {
    if let minutes, !(minutes > 0 && minutes.isFinite) {
      throw ValidationError("--minutes: '\(minutes)' is not a number above 0.")
    }
    guard (1...100_000).contains(trials) else {
      throw ValidationError("--trials is \(trials), expected 1 to 100000.")
    }
    guard (0...100).contains(repeats) else {
      throw ValidationError("--repeats is \(repeats), expected 0 to 100.")
    }
    guard (1...256).contains(atOnce) else {
      throw ValidationError("--at-once is \(atOnce), expected 1 to 256.")
    }
    if let folds, folds == 1 || !(0...100).contains(folds) {
      throw ValidationError("--folds is \(folds), expected 0 or 2 to 100.")
    }
  }

  func run() throws {
    let session = Session(global)
    let prepared = try session.open(directory)
    var recipe = prepared.recipe
    if let seed = global.seed { recipe.seed = seed }
    let run = prepared.with(recipe)
    let stage = SearchStage(run, try options())
    let result = try stage.search()
    guard apply else { return try session.print(result, text: result.text(directory)) }
    if result.best?.id == 0, FileSystem.exists(run.directory.model) {
      session.console.warn(
        "--apply changes nothing: the best of all trials is the recipe as it was when the search began."
      )
      return try session.print(result, text: result.text(directory))
    }
    let applied = run.with(try stage.winner(result))
    try applied.context.pretrained.provide(
      try applied.context.pretrained.card(named: applied.recipe.backbone))
    try applied.saveRecipe()
    let trained = try TrainStage(applied, unlabelled: UnlabelledPhotos()).train()
    try session.print(
      AppliedSearch(search: result, train: trained),
      text: result.text(directory, isApplied: true) + "\n" + trained.text)
  }

  private func options() throws -> SearchStage.Options {
    var options = SearchStage.Options()
    options.trials = trials
    options.minutes = minutes
    options.metric = metric
    options.folds = folds
    options.repetitions = repeats
    options.atOnce = atOnce
    if let atMost { options.limits = try SearchLimit.parse(atMost) }
    if let space {
      let space = space.recipeFile()
      let text = String(decoding: try FileSystem.read(space, limit: 1 << 20), as: UTF8.self)
      options.space = try SearchSpace(yaml: text, file: space.displayed)
    }
    options.backbones = try names(backbones)
    return options
  }

  private func names(_ list: String?) throws -> [String] {
    guard let list else { return [] }
    let names = list.split(separator: ",").map { $0.filter { $0 != " " } }
    guard names.count > 1, Set(names).count == names.count else {
      throw ValidationError("--backbones: give at least two different names, separated by commas.")
    }
    return names
  }
}

extension SearchMetric: ExpressibleByArgument {}

/// What `thaw search --apply --json` prints.
private struct AppliedSearch: Encodable {
  let search: SearchResult
  let train: TrainStage.Summary
}

extension SearchResult {
  /// What won, how sure that is, and what to do with it, for people.
  func text(_ run: RunDirectory, isApplied: Bool = false) -> String {
    var lines = [sentence] + remarks
    if !finalists.isEmpty { lines += ["", finalistTable] }
    lines += [trialTable]
    if let importance { lines += [importanceLine(importance)] }
    if !isComplete {
      lines.append("The time was up before all trials were done; the same command goes on.")
    }
    lines.append("Page: \(run.searchPage.displayed)")
    if best != nil, !isApplied {
      lines.append("Recipe: \(run.searchedRecipe.displayed)")
      if best?.id != 0 {
        lines.append("Take it:  thaw search --run \(ShellWord.quote(run.path.string)) --apply")
      }
    }
    return lines.joined(separator: "\n")
  }

  private var finalistTable: String {
    var table = TextTable(
      "Finalist", ">Repeated", ">95 % from", ">to", ">Better than the recipe by")
    for finalist in finalists {
      let gain = finalist.gain.map { gain in
        let unit = metric == .loss ? 1.0 : 100.0
        let half = (gain.upper - gain.mean) * unit
        return "\(Format.fixed(gain.mean * unit, 2)) +- \(Format.fixed(half, 2))"
      }
      table.append([
        finalist.id == 0 ? "0 (the recipe)" : "\(finalist.id)",
        metric.text(finalist.repeated.mean), metric.text(finalist.repeated.lower),
        metric.text(finalist.repeated.upper), gain ?? "",
      ])
    }
    return table.text(width: OutputSink.tableColumns)
  }

  private var trialTable: String {
    let measured = trials.filter { $0.metric != nil }.sorted {
      ($0.rungs, quality($0)) > ($1.rungs, quality($1))
    }
    var table = TextTable(">Trial", ">\(metric.words)", ">ms", ">Rungs", "Settings")
    for trial in measured.prefix(8) {
      table.append([
        "\(trial.id)", trial.metric.map(metric.text) ?? "",
        trial.limits[SearchLimit.latency.rawValue].map { Format.significant($0, 3) } ?? "",
        "\(trial.rungs)",
        trial.parameters.sorted { $0.key < $1.key }.map { name, value in
          "\(name.split(separator: ".").last ?? "")=\(value.text)"
        }.joined(separator: " "),
      ])
    }
    let failed = trials.count { $0.metric == nil }
    return table.text(width: OutputSink.tableColumns)
      + (failed > 0 ? "\(counted(failed, "trial")) could not be measured.\n" : "")
  }

  private func quality(_ trial: Trial) -> Double {
    trial.metric.map { metric.isSmallBest ? -$0 : $0 } ?? -.infinity
  }

  private func importanceLine(_ importance: [String: Double]) -> String {
    let sorted = importance.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.prefix(4)
    return "What makes a difference: "
      + sorted.map { "\($0.key) \(Format.percent($0.value))" }.joined(separator: ", ") + "."
  }
}
