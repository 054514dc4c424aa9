// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
import ThawBackbones
import ThawConsole
package import ThawInference
package import ThawRecipes
package import ThawReports
package import ThawTraining

/// Every stage one after the other: from a folder of photos to a model and a report.
package struct FitStage {
  private let directory: RunDirectory
  private let context: StageContext

  /// Makes the run in `directory`, which need not be there yet.
  package init(_ directory: RunDirectory, context: StageContext) {
    (self.directory, self.context) = (directory, context)
  }

  /// One of the stages.
  package enum Part: String, Sendable, CaseIterable {
    /// Scan, verify and split the photos.
    case prepare
    /// Get the backbone's weights if they are not here.
    case fetch
    /// Compute what the frozen layers make of every photo.
    case cache
    /// Train the head.
    case train
    /// Thaw the backbone and train on.
    case fineTune
    /// Judge the result on photos it was not trained on.
    case evaluate
    /// Write the page about it.
    case report
  }

  /// What every stage reported.
  package struct Summary: Encodable, Sendable {
    /// The run directory.
    package let run: String
    /// The one file to ship.
    package let model: String
    package let prepare: PrepareStage.Summary
    package let cache: CacheStage.Summary
    package let train: TrainStage.Summary
    /// Nil when the backbone stayed frozen.
    package let fineTune: FineTuneStage.Summary?
    package let evaluate: Evaluation
    /// The page.
    package let report: String
    /// What speaks against taking the accuracy as it stands, a sentence a line.
    package let caution: String?
    /// What would make it better, as far as the training shows it.
    package let advice: String?
    /// What was planned by the time there was; nil without a limit.
    package let plan: FitPlanSummary?

    /// Whether nothing had to be done.
    package var isUnchanged: Bool {
      prepare.unchanged && cache.computed == 0 && train.unchanged && fineTune?.unchanged ?? true
    }
  }

  /// Goes from the photos in `data` to a model; stages whose inputs did not change return at once.
  ///
  /// - Parameters:
  ///   - requests: settings that must have an effect on the photos.
  ///   - planner: who decides what fits into the time there is; nil for no limit.
  ///   - unlabelled: who can use photos without labels, where the recipe names some.
  ///   - onBegin: called when a stage begins.
  ///   - onPrepared: called with what was found, before anything is computed.
  ///   - onPlan: called with what will thaw when, before fine-tuning.
  /// - Throws: what the stages throw; ``PipelineError/interrupted`` leaves a run that the same call
  ///   continues.
  package func fit(
    _ data: FilePath, recipe: Recipe, requests: PrepareStage.Requests = [],
    planner: (any FitPlanning)? = nil, unlabelled: (any UnlabelledHelping)? = nil,
    onBegin: (Part) -> Void = { _ in },
    onPrepared: (PrepareStage.Summary) throws -> Void = { _ in },
    onPlan: ([PhaseTable]) -> Void = { _ in }
  ) throws -> Summary {
    func part<Result>(_ part: Part, _ body: () throws -> Result) throws -> Result {
      try context.checkInterruption()
      onBegin(part)
      return try body()
    }
    let recipe = try planner?.recipe(for: recipe, in: directory) ?? recipe
    let prepared = try part(.prepare) {
      try PrepareStage(directory, context: context).prepare(
        data, recipe: recipe, requests: requests)
    }
    try onPrepared(prepared)
    // Before the first stage that needs them, so that a download's failure is told on its own.
    try part(.fetch) {
      try context.pretrained.provide(try context.pretrained.card(named: recipe.backbone))
    }
    var run = try OpenRun(directory, context: context)
    guard run.manifest.records.contains(where: { $0.split != .train }) else {
      throw PipelineError.data(
        "\(directory.path.displayed): no photo is held out, so nothing could be measured. Hold some out"
          + " with --valid 0.2, or train without: thaw cache --run \(directory.path.quoted), then"
          + " thaw train --run \(directory.path.quoted)")
    }
    if let planner { run = try planner.begin(run) }
    let cached = try part(.cache) { try CacheStage(run).fill() }
    if let planner { run = try planner.head(run) }
    let trained = try part(.train) {
      try TrainStage(run, unlabelled: unlabelled).train(
        isFineTunedNext: run.recipe.fineTune.enabled)
    }
    var tuned: FineTuneStage.Summary?
    if run.recipe.fineTune.enabled {
      tuned = try part(.fineTune) {
        guard let planner else { return try FineTuneStage(run).fineTune(onPlan: onPlan) }
        guard let planned = try planner.fineTuning(run, after: trained) else { return nil }
        let (summary, followed) = try FineTuneStage(planned).fineTune(onPlan: onPlan) {
          try planner.pace(planned, after: $0)
        }
        run = followed
        return summary
      }
    }
    if tuned == nil { try TrainStage(run).useHead() }
    let evaluation = try part(.evaluate) {
      try EvaluateStage(context: context).evaluate(run, split: nil)
    }
    let isUnchanged =
      prepared.unchanged && cached.computed == 0 && trained.unchanged && tuned?.unchanged ?? true
    let words = try run.words(for: evaluation)
    // What these two stages leave is said in the end; here only that they have begun.
    if !isUnchanged { context.console.say(words.subject) }
    let report = try part(.report) {
      if !isUnchanged { context.console.say("\(directory.report.displayed)") }
      return try ReportStage(run).write()
    }
    let plan = try planner?.finish(run, tuned)
    return Summary(
      run: directory.path.string, model: directory.model.string, prepare: prepared, cache: cached,
      train: trained, fineTune: tuned, evaluate: evaluation, report: report.report,
      caution: words.caution, advice: try directory.advice,
      plan: plan)
  }
}

extension OpenRun {
  /// What may be said of an evaluation of this run's model.
  package func words(for evaluation: Evaluation) throws -> ResultWords {
    try finishedTraining(directory.model).map {
      ResultWords(evaluation, outcome: $0.outcome, manifest: manifest)
    } ?? ResultWords(evaluation)
  }
}
