// SPDX-License-Identifier: Apache-2.0

import ThawConsole
import ThawDatasets
import ThawFiles
package import ThawRanks
package import ThawRecipes
import ThawReports
package import ThawRuns

/// Try many heads on a run's cached features and say which is best.
package struct SearchStage {
  /// What is asked for.
  package struct Options: Sendable {
    /// What is tried; nil for what suits the recipe.
    package var space: SearchSpace?
    /// Pretrained networks to choose from, besides what the space says.
    package var backbones: [String] = []
    /// Trials in all, those of earlier calls included.
    package var trials = 60
    /// Time for this call; nil for as long as it takes.
    package var minutes: Double?
    /// What is made as good as possible; nil for the accuracy, or where photos may have several labels the mean
    /// average precision.
    package var metric: SearchMetric?
    /// What a network may cost, by ``SearchLimit``.
    package var limits: [String: Double] = [:]
    /// Folds; 0 for the validation photos, nil to decide by their number.
    package var folds: Int?
    /// Trials that are decided on together; see ``SearchSchedule/atOnce``.
    package var atOnce = 1
    /// Seeds of each finalist.
    package var repetitions = 5

    /// The usual.
    package init() {}
  }

  private let run: OpenRun
  private let options: Options

  /// Searches in `run`.
  package init(_ run: OpenRun, _ options: Options = Options()) {
    self.run = run
    self.options = options
  }

  /// Goes on with the search of the run, or begins one; writes `search.json`, `search.html` and `search.yml`.
  ///
  /// - Throws: ``PipelineError/interrupted``, with what was measured kept; ``PipelineError/usage(_:)`` for a space
  ///   or options that do not fit the run.
  package func search() throws -> SearchResult {
    let rows = try comparison()
    let (schedule, key) = try self.schedule(choosing: rows?.filter(\.isKept).map(\.name) ?? [])
    let (journal, former) = try SearchJournal.open(run.directory.searchJournal, key: key)
    let console = run.context.console
    if let former {
      console.say(
        "The run has a search under other settings; its journal is now \(former.displayed).")
    }
    if journal.cutLines > 0 {
      console.warn(
        "\(counted(journal.cutLines, "damaged line")) of the search's journal was left out.")
    }
    let objective = try HeadObjective(
      run.stoppingTogether, folds: options.folds, known: journal.entries)
    var whole = schedule
    whole.rungs = objective.rungs
    // The recipe as it was when the search began.
    if let first = journal.entries.first {
      if let start = schedule.start, !journal.entries.contains(where: { $0.parameters == start }) {
        console.warn(
          "The recipe has changed since the search began and is none of its trials. 'The recipe' means the"
            + " former one here; to search around the new one, remove"
            + " \(run.directory.searchJournal.displayed).")
      }
      whole.start = first.parameters
    }
    console.say(statement(objective))
    let trials = try measure(Search(whole, journal, objective), objective)
    try run.verify()
    let isComplete = whole.next(after: trials, count: options.trials) == nil
    var result = SearchResult(
      trials, whole, folds: objective.folds, recipe: run.directory.searchedRecipe.string,
      isComplete: isComplete)
    if let best = result.best, best.test == nil, isComplete || options.minutes != nil {
      let judged = try judgedOnce(best, journal, objective)
      if judged {
        result = SearchResult(
          SearchTrial.all(in: journal.entries), whole, folds: objective.folds,
          recipe: run.directory.searchedRecipe.string, isComplete: isComplete)
      }
    }
    result.backbones = rows
    let looks = journal.entries.count { $0.kind == .test }
    if looks > 1 {
      result.remarks.append(
        "The test photos have now judged \(looks) winners of this search, one after the other.")
    }
    try write(result, whole)
    return result
  }

  /// The winner's recipe, for ``OpenRun/with(_:)``.
  ///
  /// - Throws: ``PipelineError/data(_:)`` when nothing won.
  package func winner(_ result: SearchResult) throws -> Recipe {
    guard let best = result.best else {
      throw PipelineError.data("no trial could be measured within the limits. Allow more.")
    }
    return try HeadObjective.recipe(run.recipe, with: best.parameters).checked()
  }

  private func measure(_ search: Search, _ objective: HeadObjective) throws -> [SearchTrial] {
    let ranks = run.context.ranks
    guard ranks.hasOthers else { return try measureHere(search) }
    if options.atOnce < ranks.count {
      run.context.console.say(
        options.atOnce == 1
          ? "Trials are decided on one by one, so that the \(ranks.count) ranks share the folds of one trial, and in"
            + " the end the repetitions. With --at-once \(ranks.count) they share as many trials."
          : "Trials are decided on \(options.atOnce) at a time, for \(ranks.count) ranks; --at-once \(ranks.count)"
            + " would give each its own.")
    }
    return try run.together(.search, subject: [String(objective.folds)]) {
      let crew = SearchCrew(ranks, in: run.directory.path)
      var search = search
      search.crew = crew
      let trials = try measureHere(search)
      try crew.dismiss()
      return trials
    }
  }

  /// Measures on a rank that follows.
  ///
  /// - Throws: as ``search()``.
  package static func follow(_ job: RankJob, in run: OpenRun) throws {
    let objective = try HeadObjective(
      run.stoppingTogether, folds: job.subject.first.flatMap(Int.init))
    try run.together(.search) {
      try SearchCrew(run.context.ranks, in: run.directory.path).follow(objective)
    }
  }

  private func measureHere(_ search: Search) throws -> [SearchTrial] {
    let progress = run.context.console.progress(
      "Searching", total: nil, unit: "measurements", completed: search.journal.entries.count)
    let trials = try search.run(
      trials: options.trials, seconds: options.minutes.map { $0 * 60 },
      onEntry: { entry, trials in
        let best = search.schedule.ranking(trials).first
        let value = best?.measurements.last.flatMap(search.schedule.metric.value(of:))
        progress.update(
          completed: search.journal.entries.count,
          detail: value.map {
            "best \(search.schedule.metric.words) \(search.schedule.metric.text($0)) (trial \(best?.id ?? 0))"
          })
        try run.context.checkInterruption()
      })
    progress.finish()
    return trials
  }

  private func judgedOnce(
    _ best: SearchResult.Best, _ journal: SearchJournal, _ objective: HeadObjective
  ) throws -> Bool {
    let clock = ContinuousClock.now
    var entry = SearchEntry(
      .test, id: best.id, rung: objective.rungs - 1, parameters: best.parameters)
    entry.costs = best.limits
    do {
      guard let measurement = try objective.test(best.parameters) else { return false }
      entry.measurement = measurement
    } catch let failure as SearchFailure {
      // The result stands without it.
      run.context.console.warn("The test photos could not judge the winner: \(failure.description)")
      entry.problem = failure.description
    }
    entry.seconds = clock.duration(to: .now) / .seconds(1)
    try journal.append(entry)
    return true
  }

  /// What is measured in which order, and the name of the search: what the journal's numbers depend on.
  ///
  /// - Parameter backbones: those that are left of the ones to choose from.
  private func schedule(
    choosing backbones: [String]
  ) throws -> (SearchSchedule, key: String) {
    let recipe = run.recipe
    let space = (options.space ?? .head).choosing(backbones: backbones)
    if let problem = space.problem {
      throw PipelineError.usage("the search space does not work: \(problem)")
    }
    try SearchStage.check(space, recipe)
    var schedule = SearchSchedule(space, seed: recipe.seed)
    let severalLabels = run.manifest.severalLabels
    schedule.metric = options.metric ?? (severalLabels ? .meanAveragePrecision : .accuracy)
    guard severalLabels || schedule.metric != .meanAveragePrecision else {
      throw PipelineError.usage(
        "--metric mean_average_precision is for photos that may have several labels.")
    }
    schedule.limits = options.limits
    schedule.repetitions = options.repetitions
    schedule.atOnce = options.atOnce
    schedule.start = SearchStage.start(space, recipe)
    // What is searched over may change when a winner is applied; the search stays the same.
    let searched = Set(space.parameters.map(\.name))
    let settings = recipe.values(of: ["", "data", "image", "head", "train"]).filter {
      // Heads are compared without photos that have no labels.
      !searched.contains($0.name) && $0.name != "data.unlabelled"
    }
    let limits = options.limits.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
    var hash = SHA256()
    hash.update("search 2 \(thawVersion) \(space.description)")
    for name in backboneNames(space) {
      let card = try run.context.pretrained.card(named: name)
      hash.update("\(name): \(card.checksum.digits) \(card.preprocessing.json)")
    }
    for setting in settings { hash.update("\(setting.name): \(setting.value)") }
    hash.update(
      "\(schedule.metric.rawValue) \(limits) \(options.folds ?? -1) \(options.repetitions)"
        + " \(run.context.compiler.trainingEngine.name)"
        + " \(run.context.computedPrecision(of: recipe).rawValue)")
    if options.atOnce > 1 { hash.update("at once \(options.atOnce)") }
    hash.update(run.manifest.photosKey)
    return (schedule, hash.hexadecimalDigest)
  }

  /// The pretrained networks that trials may be on: their weights and contracts are what a trial depends on, not
  /// their names.
  private func backboneNames(_ space: SearchSpace) -> [String] {
    let words = space.parameters.flatMap { parameter -> [String] in
      guard parameter.name == "backbone", case .choice(let words) = parameter.domain else {
        return []
      }
      return words
    }
    return words.contains(run.recipe.backbone) ? words : [run.recipe.backbone] + words
  }

  /// The values that the recipe has now, of those parameters that matter.
  static func start(_ space: SearchSpace, _ recipe: Recipe) -> [String: SearchValue] {
    var values: [String: SearchValue] = [:]
    for parameter in space.parameters where parameter.matters(beside: values) {
      if parameter.name == "train.learning_rate", recipe.train.learningRate == nil {
        values[parameter.name] = .number(recipe.train.rate)
        continue
      }
      guard let text = recipe.text(of: parameter.name) else { continue }
      values[parameter.name] =
        parameter.domain.isChoice
        ? .word(text == "auto" && parameter.name == "head.hidden" ? "none" : text)
        : Int(text).map(SearchValue.whole) ?? Double(text).map(SearchValue.number) ?? .word(text)
    }
    return values
  }

  /// Refuses keys that change nothing of a head, and words that recipes do not take.
  private static func check(_ space: SearchSpace, _ recipe: Recipe) throws {
    let allowed = ["train.", "head."]
    for parameter in space.parameters {
      let name = parameter.name
      guard
        allowed.contains(where: name.hasPrefix)
          || ["backbone", "image.size", "precision"].contains(name)
      else {
        throw PipelineError.usage(
          "a search over the head on cached features cannot change '\(name)': only backbone, image.size,"
            + " precision and the keys of head and train.")
      }
      var values = [0, 0.5, 1].map(parameter.domain.value)
      if case .choice(let words) = parameter.domain { values = words.map(SearchValue.word) }
      for value in values { _ = try recipe.setting(name, to: value.text) }
    }
  }

  /// What the pretrained networks are worth, said as a table; nil when there is none to choose.
  private func comparison() throws -> [BackboneComparison.Row]? {
    guard !options.backbones.isEmpty else { return nil }
    let rows = try BackboneComparison(run).compare(options.backbones)
    run.context.console.say(BackboneComparison.text(rows))
    return rows
  }

  private func statement(_ objective: HeadObjective) -> String {
    objective.folds == 0
      ? "Every trial is judged on the \(objective.judges) validation photos."
      : "Every trial is judged by cross-validation over \(objective.judges) training and validation"
        + " photos, \(objective.folds) folds."
  }

  private func write(_ result: SearchResult, _ schedule: SearchSchedule) throws {
    try run.write(result, to: run.directory.search)
    if result.best != nil {
      try AtomicFile.write(run.directory.searchedRecipe, text: try winner(result).yaml)
    } else if FileSystem.exists(run.directory.searchedRecipe) {
      // That of an earlier search did not win this one.
      try FileSystem.remove(run.directory.searchedRecipe)
    }
    let page = SearchPage(result.page(schedule.sampler.space, title: run.recipe.name))
    try AtomicFile.write(run.directory.searchPage, text: page.html)
  }
}

extension SearchSpace {
  /// The same text for the same space.
  var description: String {
    parameters.map { parameter in
      let conditions = parameter.conditions.sorted { $0.key < $1.key }.map {
        "\($0.key)\($0.value)"
      }
      return "\(parameter.name) \(parameter.domain) \(conditions)"
    }.joined(separator: "; ")
  }
}

extension SearchMetric {
  /// For people.
  package var words: String { rawValue.replacing("_", with: " ") }

  /// A value of it for people.
  package func text(_ value: Double) -> String {
    self == .loss ? Format.fixed(value, 4) : Format.percent(value)
  }
}
