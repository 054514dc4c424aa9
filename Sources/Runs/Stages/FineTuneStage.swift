// SPDX-License-Identifier: Apache-2.0

import ThawCheckpoints
import ThawConsole
import ThawDatasets
import ThawExecution
import ThawFiles
import ThawInference
import ThawNetwork
import ThawRecipes
package import ThawTraining

/// Thaw layer groups of the backbone and train them, from the model that head training left.
package struct FineTuneStage {
  private let run: OpenRun

  /// Works in `run`.
  package init(_ run: OpenRun) { self.run = run }

  /// What was trained.
  package struct Summary: Encodable, Sendable {
    /// Passes over the training photos.
    package let epochs: Int
    /// Of the weights that were kept.
    package let bestValidAccuracy: Double?
    /// Their validation loss.
    package let bestValidLoss: Double?
    /// Accuracy of the model that fine-tuning started from.
    package let startValidAccuracy: Double?
    /// Where the kept weights lie between those of the start (0) and those of the end (1); nil
    /// without validation photos.
    package let interpolation: Double?
    /// Time, seconds.
    package let seconds: Double
    /// Training photos a second.
    package let imagesPerSecond: Double
    /// Numbers with a gradient in some phase.
    package let trainableParameters: Int
    /// Whether the frozen layers came from the cache, in the last phase.
    package let cached: Bool
    /// What trained in the last phase.
    package let plan: [GroupRow]
    /// What trained when.
    package let phases: [PhaseTable]
    /// Whether nothing had to be done.
    package let unchanged: Bool
    /// Whether photos may have several labels; the accuracy is then the share with every label right.
    package let severalLabels: Bool
  }

  /// The plan, without training: one phase after the other.
  ///
  /// - Throws: ``PipelineError/notPrepared(_:needs:command:)`` before head training,
  ///   `NetworkError.unknownGroup`, ``PipelineError/usage(_:)``.
  package func plan() throws -> [PhaseTable] { try FineTuneStart(run).phases }

  /// Fine-tunes, or returns at once when the model is up to date. The weights with the lowest
  /// validation loss are kept: an epoch's, those of the start, or some between the two.
  ///
  /// - Parameter onPlan: called with the plan before anything trains; not when nothing has to.
  /// - Throws: ``PipelineError/interrupted`` after saving a checkpoint, `TrainingError.diverged`.
  package func fineTune(onPlan: ([PhaseTable]) -> Void = { _ in }) throws -> Summary {
    try fineTune(onPlan: onPlan, pacing: nil).0
  }

  /// The same, while somebody decides after each epoch how it goes on; what is decided is in force in the run
  /// that comes back, and in its recipe.
  func fineTune(
    onPlan: ([PhaseTable]) -> Void, pacing: ((EpochRecord) throws -> TrainingPace)?
  ) throws -> (Summary, OpenRun) {
    let start = try FineTuneStart(run)
    let usual = try key(start, engine: run.context.compiler.trainingEngine.name)
    let known = try run.finishedTraining(run.directory.model)
    if let known, usual.made(known) {
      return (summary(known.outcome, run.time(of: known), start, unchanged: true), run)
    }
    let engine: TrainingEngine
    do {
      engine = try TrainingEngine(
        start.network, start.schedule, settings: run.recipe.fineTune.train, run: run)
    } catch let lack as ExecutionError where lack.isLackOfMemory {
      return try FineTuneStage(smaller(start, lack)).fineTune(onPlan: onPlan, pacing: pacing)
    }
    let tuning = try key(start, engine: engine.name)
    if let known, tuning.made(known) {
      return (summary(known.outcome, run.time(of: known), start, unchanged: true), run)
    }
    if let known { sayChanges(since: known, head: start.record) }
    onPlan(start.phases)
    engine.report("Fine-tuning", to: run.context)
    let sources = TrainingSourceMaker(run: run, settings: run.recipe.fineTune.train)
    let training = training(start, key: tuning.key, sources, pacing: pacing)
    let end: TrainedNetwork
    do { end = try training.train() } catch let change as TrainingChange {
      return try FineTuneStage(changed(by: change, start, engine: engine.name)).fineTune(
        onPlan: { _ in }, pacing: pacing)
    }
    let trained = try InterpolationSearch(start: start, sources: sources).best(end)
    try run.verify()
    try trained.time.write(
      to: run.directory, key: tuning.key, threads: run.context.threads)
    try RunModel.write(
      trained, to: [run.directory.model], key: tuning.key, run, network: start.network,
      isHeadAlone: false)
    try training.snapshots.removeOthers()
    try TrainerCheckpoint(run.directory, key: tuning.key).remove()
    sources.removePixels()
    return (summary(trained.outcome, trained.time, start, unchanged: false), run)
  }

  /// The run with steps cut into two, four, … shards, one of which is in memory at a time: as few as fit. It is a
  /// change of the recipe: shards are added in an order of their own, so the last bits are those of another training.
  ///
  /// - Throws: `lack`, where a step cannot be cut, or a single photo is too much.
  private func smaller(_ start: FineTuneStart, _ lack: ExecutionError) throws -> OpenRun {
    // Ranks would have to agree on it.
    guard !run.context.ranks.hasOthers else { throw lack }
    var recipe = run.recipe
    // Shards that go together are all in memory.
    guard
      !start.schedule.phases.contains(where: {
        $0.plan.usesBatchStatistics(in: start.network.graph)
      })
    else { throw lack }
    while 2 * recipe.fineTune.train.shards <= recipe.fineTune.train.batch {
      recipe.fineTune.train.shards *= 2
      let (settings, smaller) = (recipe.fineTune.train, run.with(recipe))
      do {
        _ = try TrainingEngine(start.network, start.schedule, settings: settings, run: smaller)
      } catch let error as ExecutionError where error.isLackOfMemory { continue }
      run.context.console.warn(
        "\(lack) Each step is trained in \(settings.shards) shards instead, recorded as fine_tune.shards: the"
          + " same steps but for their last bits.")
      try smaller.saveRecipe()
      return smaller
    }
    throw lack
  }

  /// The run with the recipe that a change has made. What was trained so far is a part of the new training
  /// before the recipe is: killed between the two, the former one begins anew and nothing is wrong.
  private func changed(
    by change: TrainingChange, _ start: FineTuneStart, engine: String
  ) throws -> OpenRun {
    var recipe = run.recipe
    if let epochs = change.epochs { recipe.fineTune.train.epochs = epochs }
    if let last = change.stopAfter { recipe.fineTune.stopAfter = last }
    let changed = run.with(recipe)
    let key = FineTuningKey(
      recipe, head: start.record, engine: engine,
      shrinksPhotos: try changed.shrinksTunedPhotos()
    ).key
    try run.verify()
    try TrainerCheckpoint(run.directory, key: key).save(change.state)
    try changed.saveRecipe()
    return changed
  }

  /// Goes through the training that rank 0 does, and writes nothing.
  ///
  /// - Throws: as ``fineTune(onPlan:)``.
  package func follow() throws {
    let start = try FineTuneStart(run)
    let engine = try TrainingEngine(
      start.network, start.schedule, settings: run.recipe.fineTune.train, run: run)
    let sources = TrainingSourceMaker(run: run, settings: run.recipe.fineTune.train)
    _ = try training(start, key: try key(start, engine: engine.name).key, sources).train()
  }

  /// What the last phase trains and what is made small, for measuring its steps.
  ///
  /// - Throws: as ``plan()``; errors of the photos.
  package func lastPhase(batch: Int, shards: Int) throws -> (PhaseSetting, any Loss) {
    var recipe = run.recipe
    recipe.fineTune.train.batch = batch
    recipe.fineTune.train.accumulation = 1
    recipe.fineTune.train.shards = shards
    let run = run.with(recipe)
    let (settings, manifest) = (recipe.fineTune.train, run.manifest)
    let start = try FineTuneStart(run)
    let training = FineTuneStage(run).training(
      start, key: "", TrainingSourceMaker(run: run, settings: settings))
    try training.requireShards()
    let phase = start.schedule.phases[start.schedule.phases.count - 1]
    let loss = settings.loss(
      SampleLabels(of: manifest.records(in: .train), in: manifest), classes: manifest.classes.count)
    return (try training.compile(phase, start.network.parameters).setting, loss)
  }

  private func training(
    _ start: FineTuneStart, key: String, _ sources: TrainingSourceMaker,
    pacing: ((EpochRecord) throws -> TrainingPace)? = nil
  ) -> GradientTraining {
    GradientTraining(
      job: .fineTune, label: "Fine-tuning", settings: run.recipe.fineTune.train,
      schedule: start.schedule, network: start.network, sources: sources,
      snapshots: SnapshotFiles(run: run, key: key, network: start.network, isHeadAlone: false),
      stopAfter: run.recipe.fineTune.stopAfter, pacing: pacing)
  }

  private func key(_ start: FineTuneStart, engine: String) throws -> FineTuningKey {
    FineTuningKey(
      run.recipe, head: start.record, engine: engine,
      shrinksPhotos: try run.shrinksTunedPhotos())
  }

  private func sayChanges(since known: TrainingRecord, head: TrainingRecord) {
    guard known.key != head.key else { return }
    TrainingChanges(since: known, run, sections: ["", "fine_tune"])
      .say("Fine-tuning", to: run.context.console)
  }

  private func summary(
    _ outcome: TrainingOutcome, _ time: TrainingTime, _ start: FineTuneStart, unchanged: Bool
  ) -> Summary {
    Summary(
      epochs: outcome.epochs, bestValidAccuracy: outcome.bestValidAccuracy,
      bestValidLoss: outcome.bestValidLoss,
      startValidAccuracy: start.record.outcome.bestValidAccuracy,
      interpolation: outcome.interpolation,
      seconds: time.seconds, imagesPerSecond: time.imagesPerSecond,
      trainableParameters: outcome.trainableParameters, cached: outcome.cached,
      plan: start.phases.last?.groups ?? [], phases: start.phases, unchanged: unchanged,
      severalLabels: run.manifest.severalLabels)
  }
}
