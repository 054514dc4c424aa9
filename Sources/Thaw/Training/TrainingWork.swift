// SPDX-License-Identifier: Apache-2.0

import Logging
import Synchronization
import SystemPackage
import ThawBackbones
import ThawConsole
import ThawDatasets
import ThawFiles
import ThawInference
import ThawRecipes
import ThawRuns
import ThawTraining

/// Whether a training is to stop, and whose turn it is.
final class StopFlag: Sendable {
  private let isSet = Atomic<Bool>(false)

  var isRequested: Bool { isSet.load(ordering: .relaxed) }

  func request() {
    isSet.store(true, ordering: .relaxed)
    Turn.recheck()
  }
}

/// Lets one training of this process compute at a time.
///
/// The thread pools under the kernels belong to the process: two trainings would share each other's
/// settings and take each other's cores.
enum Turn {
  private static let monitor = Monitor()
  nonisolated(unsafe) private static var isTaken = false  // under the monitor

  /// Waits for the turn, does the work, and hands the turn on.
  ///
  /// - Throws: `CancellationError` when `stop` was requested while waiting; what `body` throws.
  static func take<Result>(_ stop: StopFlag, _ body: () throws -> Result) throws -> Result {
    try monitor.sync {
      while isTaken && !stop.isRequested { monitor.wait() }
      if stop.isRequested { throw CancellationError() }
      isTaken = true
    }
    defer {
      monitor.sync {
        isTaken = false
        monitor.wakeAll()
      }
    }
    return try body()
  }

  /// Makes those who wait look whether they are still wanted.
  static func recheck() { monitor.sync { monitor.wakeAll() } }
}

/// A training from its arguments to its outcome, on the thread that calls.
struct TrainingWork: Sendable {
  let photos: FilePath
  let run: FilePath
  let options: ImageTraining.Options
  let logger: Logger
  let stop: StopFlag
  let report: @Sendable (ImageTraining.Event) -> Void

  /// Trains.
  ///
  /// - Throws: ``ImageTrainingError``, `CancellationError`.
  func outcome() throws -> ImageTraining.Outcome {
    do { return try Turn.take(stop, fit) } catch PipelineError.interrupted {
      throw CancellationError()
    } catch let error as CancellationError { throw error } catch { throw ImageTrainingError(error) }
  }

  private func fit() throws -> ImageTraining.Outcome {
    let directory = RunDirectory(run)
    let stage = Mutex(ImageTraining.Stage.prepare)
    let context = try context(stage: { stage.withLock { $0 } })
    let recipe = try options.applied(to: directory.startingRecipe(options.recipe))
    let summary = try FitStage(directory, context: context).fit(
      photos, recipe: recipe,
      onBegin: { part in
        guard let next = ImageTraining.Stage(rawValue: part.rawValue) else { return }
        stage.withLock { $0 = next }
        report(.began(next))
      },
      onPrepared: {
        report(.prepared(photos: $0.count, classNames: $0.classes.map(\.name)))
      })
    return ImageTraining.Outcome(summary, directory)
  }

  private func context(
    stage: @escaping @Sendable () -> ImageTraining.Stage
  ) throws -> StageContext {
    let pace = ProgressPace()
    let console = Console(logger: logger) { event in
      switch event {
      case .note(let text): report(.note(text))
      case .warning(let text): report(.warning(text))
      case .progress(let label, let completed, let total, let unit):
        guard pace.isDue(label, isLast: completed == total) else { return }
        report(
          .progress(.init(label: label, completed: completed, total: total, unit: unit)))
      }
    }
    var pretrained = try options.pretrained.map(PretrainedStore.init) ?? .locate()
    pretrained.missingWeights = .fetched(
      report: { console.say($0) },
      checkpoint: { if stop.isRequested { throw PipelineError.interrupted } })
    var context = StageContext(
      console: console, threads: options.threads, pretrained: pretrained)
    context.isInterrupted = { stop.isRequested }
    context.onEpoch = { _, record in
      report(
        .epoch(
          .init(
            stage: stage(), number: record.epoch + 1, trainLoss: record.trainLoss,
            trainAccuracy: record.trainAccuracy, validLoss: record.validLoss,
            validAccuracy: record.validAccuracy)))
    }
    return context
  }
}

/// Lets ten reports a second through, and the first and the last of every piece of work.
private final class ProgressPace: Sendable {
  private let last = Mutex<(label: String, time: ContinuousClock.Instant)?>(nil)

  func isDue(_ label: String, isLast: Bool) -> Bool {
    last.withLock { last in
      let now = ContinuousClock.now
      if let known = last, known.label == label, !isLast, now < known.time + .milliseconds(100) {
        return false
      }
      last = (label, now)
      return true
    }
  }
}

extension ImageTraining.Options {
  /// The recipe with what was given.
  ///
  /// - Throws: ``PipelineError/usage(_:)``, errors of the recipe.
  fileprivate func applied(to start: Recipe) throws -> Recipe {
    if let threads, !(1...1024).contains(threads) {
      throw PipelineError.usage("threads is \(threads), expected 1 to 1024.")
    }
    var recipe = start
    if let backbone { recipe.backbone = backbone }
    if let imageSize { recipe.image.size = imageSize }
    if let headEpochs { recipe.train.epochs = headEpochs }
    if let fineTuningEpochs { recipe.fineTune.train.epochs = fineTuningEpochs }
    if let fineTunes { recipe.fineTune.enabled = fineTunes }
    if let validShare { recipe.data.valid = validShare }
    if let testShare { recipe.data.test = testShare }
    if let seed { recipe.seed = seed }
    if let skipsBadPhotos { recipe.data.onBadImage = skipsBadPhotos ? .skip : .stop }
    if let labels {
      // The recipe is read again by trainings that are started elsewhere.
      let here = FilePath(".").canonical ?? "."
      recipe.data.labels = here.pushing(labels).lexicallyNormalized().string
    }
    if let severalLabels { recipe.data.severalLabels = severalLabels ? .several : .single }
    return try recipe.checked()
  }
}

extension ImageTraining.Outcome {
  fileprivate init(_ summary: FitStage.Summary, _ run: RunDirectory) {
    let result = summary.evaluate
    model = run.model
    report = run.report
    classNames = summary.prepare.classes.map(\.name)
    trained =
      summary.fineTune.map { tuned in
        .groups(tuned.plan.filter { $0.trainable > 0 }.map(\.group))
      } ?? .head
    trainableParameters =
      summary.fineTune?.trainableParameters ?? summary.train.trainableParameters
    seconds = summary.train.seconds + (summary.fineTune?.seconds ?? 0)
    split = result.split
    photos = result.count
    accuracy = result.accuracy
    accuracyInterval = result.accuracyInterval
    loss = result.loss
    meanAveragePrecision = result.meanAveragePrecision
    caution = summary.caution
    advice = summary.advice
  }
}
