// SPDX-License-Identifier: Apache-2.0

import ThawBackbones
import ThawConsole
import ThawDatasets
import ThawFiles
import ThawInference
import ThawNetwork
package import ThawRecipes
package import ThawRuns
import ThawSearch
package import ThawTraining

/// Decides what a fit does in the minutes that somebody has: `thaw fit --minutes`.
///
/// Before anything is computed it measures the machine and chooses the size of the photos and whether the backbone
/// thaws; on the cached features how the head is trained; by the head's mistakes the schedule; after the first
/// epoch, which is the same for every length, how many there are; and after each, whether there is time for
/// another. Every decision is a change of the recipe that is in force before it is followed.
package final class FitPlanner: FitPlanning {
  private let minutes: Double
  private var budget: TimeBudget
  private var plan: FitPlan?
  private var pace: PhotoPace?
  private var work: PlanChoice.Work?
  private var isContinued = false

  /// - Parameter minutes: for everything, above 0; they begin now.
  package init(minutes: Double) {
    self.minutes = minutes
    budget = TimeBudget(seconds: 60 * minutes)
  }

  /// - Throws: ``PipelineError/usage(_:)`` for a recipe that leaves nothing to plan.
  package func recipe(for asked: Recipe, in directory: RunDirectory) throws -> Recipe {
    var asked = asked
    asked.minutes = nil
    if let known = FitPlan.read(directory) {
      if known.minutes == minutes, known.isFor(asked) {
        plan = known
        budget.earlier = known.isFinished ? 0 : known.spent
        isContinued = true
        if known.hasFollowed(asked) { return asked }
        let present = try directory.loadRecipe()
        return known.hasFollowed(present)
          ? present
          : try Recipe(written: known.followed.last ?? known.asked, file: "plan")
      }
      asked = known.undecided(asked)
    } else {
      asked = FormerTimeLimit.undecided(asked, in: directory)
    }
    try FitPlanner.check(asked)
    return asked
  }

  /// What a run says whose plan is not finished and that goes on without minutes; nil where nothing is to be said.
  package static func remark(on recipe: Recipe, in directory: RunDirectory) -> String? {
    guard let plan = FitPlan.read(directory), !plan.isFinished, plan.hasFollowed(recipe) else {
      return nil
    }
    return
      "This run was planned for \(words(plan.minutes)) and was interrupted. Without --minutes it goes on by the"
      + " recipe that was planned, however long that takes."
  }

  private static func check(_ recipe: Recipe) throws(PipelineError) {
    let fineTune = recipe.fineTune
    guard fineTune.phases.isEmpty, fineTune.gradual.isEmpty, fineTune.train.sizes.isEmpty,
      recipe.train.sizes.isEmpty
    else {
      throw .usage(
        "--minutes chooses sizes and epochs, and the recipe's phases or sizes say theirs. Leave one out."
      )
    }
    guard recipe.data.unlabelled.isEmpty else {
      throw .usage(
        "--minutes does not plan for photos without labels. Leave --unlabelled out here, and give it to thaw"
          + " train afterwards.")
    }
    guard !recipe.evaluate.snapshots else {
      throw .usage(
        "--minutes may end a training within a cycle, and evaluate.snapshots averages whole ones. Leave one"
          + " out.")
    }
    let isCached =
      !(recipe.train.augmentation.isActive && recipe.train.views == .fresh)
      && !(recipe.head.frozenBatchNorm?.movesRunningStatistics ?? false)
    guard isCached else {
      throw .usage(
        "--minutes plans a head on cached features, and train.views or head.frozen_batch_norm have them"
          + " computed in every epoch. Leave one out.")
    }
  }

  // MARK: Size and depth

  package func begin(_ run: OpenRun) throws -> OpenRun {
    var run = run
    if let known = plan, known.photos == run.manifest.photosKey { return run }
    if let known = plan {
      // Other photos than it was made for.
      let asked = known.undecided(run.recipe)
      budget.earlier = 0
      (plan, isContinued) = (nil, false)
      run = run.with(asked)
    }
    let asked = run.recipe
    let sides = try sides(for: run)
    let measured = try PhotoPace.measured(
      run, sides: sides.count > 1 ? [sides[sides.count - 1], sides[0]] : sides,
      trains: asked.fineTune.enabled)
    let work = FitPlanner.work(run)
    (self.pace, self.work) = (measured, work)
    let left = budget.left
    guard
      let choice = PlanChoice.choose(
        seconds: left, sides: sides, photoSide: FitPlanner.photoSide(run), work: work,
        pace: measured)
    else {
      let need = budget.spent + PlanChoice.least(sides: sides, work: work, pace: measured)
      throw PipelineError.usage(
        "--minutes \(Format.significant(minutes)): too little for anything. \(counted(run.manifest.records.count, "photo"))"
          + " need about \(Format.duration(seconds: need)) here for a head alone. Try --minutes"
          + " \(Format.significant((need / 6).rounded(.up) / 10 + 0.1, 2)).")
    }
    var plan = FitPlan(
      minutes: minutes, asked: asked.yaml, followed: [], spent: budget.spent,
      photos: run.manifest.photosKey, side: choice.side,
      measured: .init(
        featuresPerSecond: 1 / measured.features(at: choice.side),
        trainingPerSecond: measured.training(at: choice.side).map { 1 / max($0, 1e-9) }),
      decisions: [])
    plan.decisions = FitPlanner.sentences(choice, sides: sides, asked, work, measured, left: left)
    var recipe = asked
    if sides.count > 1, choice.side != sides[0] { recipe.image.size = choice.side }
    if choice.fitting == nil { recipe.fineTune.enabled = false }
    return try adopt(recipe, run, &plan)
  }

  /// Sides that may be chosen: the one that was asked for, or the network's own and two smaller ones.
  private func sides(for run: OpenRun) throws -> [Int] {
    let network = try TransferNetwork(
      run.recipe, classes: run.manifest.classes, context: run.context)
    let own = network.preprocessing.inputSize
    guard run.recipe.image.size == nil else { return [own] }
    let smaller = [0.71, 0.57].map { 32 * Int((Double(own) * $0 / 32).rounded()) }
    return [own]
      + smaller.filter { side in
        var recipe = run.recipe
        recipe.image.size = side
        // Not every network takes every size.
        return side >= 96 && side < own
          && (try? TransferNetwork(recipe, classes: run.manifest.classes, context: run.context))
            != nil
      }
  }

  private static func photoSide(_ run: OpenRun) -> Int {
    let sides = run.manifest.records.map { min($0.width, $0.height) }.sorted()
    return sides.isEmpty ? 0 : sides[sides.count / 2]
  }

  private static func work(_ run: OpenRun) -> PlanChoice.Work {
    let (recipe, manifest) = (run.recipe, run.manifest)
    let training = manifest.records(in: .train).count
    let epochs = recipe.train.solver == .lbfgs ? 100 : recipe.train.epochs
    // Forwards and backwards through a matrix of about a thousand features a class.
    let products = Double(training * epochs * manifest.classes.count) * 6 * 1280
    return PlanChoice.Work(
      training: training, held: manifest.records.count - training,
      lookedAt: min(training, UnknownScore.mostPhotos), looks: recipe.evaluate.tta.count,
      headSeconds: 1 + products / 1e10)
  }

  // MARK: Head

  package func head(_ run: OpenRun) throws -> OpenRun {
    guard var plan, !plan.hasHead else { return run }
    plan.hasHead = true
    guard run.recipe.train == Recipe.Train(), run.recipe.head.hidden == nil, let work, let pace
    else { return try adopt(run.recipe, run, &plan) }
    // A tenth of what is left, as far as fine-tuning has use for it.
    let allowance = budget.left / 10
    let begin = budget.spent
    guard work.headSeconds * 5 < allowance else { return try adopt(run.recipe, run, &plan) }
    let judged = try HeadChoice.judge(run) { way in
      let views = Double(way.views * (work.training + work.held)) * pace.features(at: plan.side)
      return budget.spent - begin + views + 5 * work.headSeconds < allowance
    }
    var recipe = run.recipe
    if let best = HeadChoice.best(judged), judged.count > 1 {
      for (name, value) in best.way.parameters {
        recipe = try recipe.setting(name, to: value.text)
      }
      let others = judged.filter { $0.way != best.way }.map {
        "\($0.way.name) \(Format.fixed($0.loss, 3))"
      }
      plan.decisions.append(
        "Head: \(best.way.name), loss \(Format.fixed(best.loss, 3)) over photos it had not seen"
          + " (\(others.joined(separator: ", "))).")
    }
    return try adopt(recipe, run, &plan)
  }

  // MARK: Length

  package func fineTuning(_ run: OpenRun, after head: TrainStage.Summary) throws -> OpenRun? {
    guard var plan else { return run }
    if plan.hasLength { return run }
    plan.hasLength = true
    let asked = try Recipe(written: plan.asked, file: "plan").fineTune.train
    let usual = Recipe.Train.fineTuning
    guard let work, let pace, let epoch = work.epoch(pace, plan.side), epoch > 0 else {
      // The plan was made by a call that was interrupted: its recipe stands.
      return try adopt(run.recipe, run, &plan)
    }
    // Other programs may come: a twentieth is kept back until the real times are seen.
    let left =
      0.95 * budget.left - work.afterwards(pace, plan.side, isFineTuned: true)
    let error = head.bestValidAccuracy.map { 1 - $0 }
    var recipe = run.recipe
    guard
      let length = PlanChoice.length(
        fitting: left / epoch, error: error,
        limit: asked.epochs == usual.epochs ? nil : asked.epochs, usual: asked.schedule,
        isUsual: asked.schedule == usual.schedule)
    else {
      plan.decisions.append(
        "Not fine-tuned: an epoch takes about \(Format.duration(seconds: epoch)) here, and"
          + " \(Format.duration(seconds: max(left, 0))) are left for them. The head alone is the model."
      )
      recipe.fineTune.enabled = false
      _ = try adopt(recipe, run, &plan)
      return nil
    }
    recipe.fineTune.train.epochs = length.epochs
    recipe.fineTune.train.schedule = length.schedule
    plan.decisions.append(
      "Fine-tuning: \(counted(length.epochs, "epoch")) of about \(Format.duration(seconds: epoch))"
        + (error.map {
          $0 >= PlanChoice.oftenWrong && length.schedule != asked.schedule
            ? ", in cycles, since the head is wrong in \(Format.percent($0))" : ""
        } ?? "")
        + (Double(length.epochs) + 1 <= left / epoch && length.schedule == asked.schedule
          ? "; more gain nothing." : "."))
    return try adopt(recipe, run, &plan)
  }

  package func pace(_ run: OpenRun, after record: EpochRecord) throws -> TrainingPace {
    guard var plan, let text = plan.followed.last else { return .goOn }
    defer { self.plan = plan }
    plan.spent = budget.spent
    var recipe = try Recipe(written: text, file: "plan")
    let settings = recipe.fineTune.train
    let done = record.epoch + 1
    let planned = settings.schedule.wholeEpochs(settings.epochs)
    // What follows slows down as the epochs did.
    let reserve = afterwards(plan, realEpoch: record.seconds)
    let left = budget.left - reserve
    if done == 1, settings.schedule.beginsAlike(through: 1), planned > 1 {
      let fitting = 1 + Int(max(0.98 * left / max(record.seconds, 1e-9), 0))
      let most = try most(plan, settings)
      let wanted = min(fitting, max(most, planned))
      if let epochs = (2...max(wanted, 2)).last(where: {
        settings.schedule.wholeEpochs($0) <= wanted
      }),
        fitting >= 2, epochs != planned, settings.schedule.wholeEpochs(epochs) == epochs,
        epochs < planned || 10 * epochs >= 11 * planned
      {
        recipe.fineTune.train.epochs = epochs
        note(
          &plan, run,
          "An epoch takes \(Format.duration(seconds: record.seconds)): \(epochs) instead of \(planned) epochs."
        )
        plan.followed.append(recipe.yaml)
        try plan.write(run.directory)
        return .lasting(epochs)
      }
    }
    // A twentieth over the time is not worth breaking off the end of a schedule.
    if record.seconds > left + 0.03 * budget.seconds {
      recipe.fineTune.stopAfter = done
      note(
        &plan, run,
        "Time is up after \(counted(done, "epoch")) of \(planned); the best of them counts.")
      plan.followed.append(recipe.yaml)
      try plan.write(run.directory)
      return .end
    }
    try plan.write(run.directory)
    return .goOn
  }

  /// Most epochs that the recipe and the head's mistakes allow.
  private func most(_ plan: FitPlan, _ settings: Recipe.Train) throws -> Int {
    let asked = try Recipe(written: plan.asked, file: "plan").fineTune.train
    guard asked.epochs == Recipe.Train.fineTuning.epochs else { return asked.epochs }
    return settings.schedule == asked.schedule ? PlanChoice.standard : PlanChoice.longest
  }

  private func afterwards(_ plan: FitPlan, realEpoch: Double) -> Double {
    guard let work, let pace, let epoch = work.epoch(pace, plan.side), epoch > 0 else {
      // A call that goes on has measured nothing: what follows is about an epoch's time.
      return realEpoch + PlanChoice.overhead
    }
    return work.afterwards(pace, plan.side, isFineTuned: true)
      * min(max(realEpoch / epoch, 1), 4)
  }

  // MARK: Records

  package func finish(_ run: OpenRun, _ fineTune: FineTuneStage.Summary?) throws -> FitPlanSummary {
    guard var plan else {
      throw PipelineError.usage("--minutes: nothing was planned.")
    }
    if !plan.isFinished {
      plan.spent = budget.spent
      plan.isFinished = true
      try plan.write(run.directory)
    }
    self.plan = plan
    return FitPlanSummary(
      minutes: minutes, seconds: plan.spent, size: plan.side, epochs: fineTune?.epochs ?? 0,
      measured: plan.measured, decisions: plan.decisions, recipe: run.directory.recipe.string)
  }

  /// Puts a recipe in force, writes the plan down and says what is new in it.
  private func adopt(_ recipe: Recipe, _ run: OpenRun, _ plan: inout FitPlan) throws -> OpenRun {
    let recipe = try recipe.checked()
    let said = self.plan?.decisions.count ?? 0
    for sentence in plan.decisions.dropFirst(said) { run.context.console.say(sentence) }
    plan.spent = budget.spent
    if plan.followed.last != recipe.yaml { plan.followed.append(recipe.yaml) }
    try run.verify()
    try plan.write(run.directory)
    self.plan = plan
    let changed = run.with(recipe)
    try changed.saveRecipe()
    return changed
  }

  private func note(_ plan: inout FitPlan, _ run: OpenRun, _ sentence: String) {
    plan.decisions.append(sentence)
    run.context.console.say(sentence)
  }
}
