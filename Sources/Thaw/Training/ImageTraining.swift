// SPDX-License-Identifier: Apache-2.0

public import Logging
import Synchronization
public import SystemPackage
import ThawDatasets

/// A training that goes from a folder of photos to a model and a report: what `thaw fit` does.
///
/// ```swift
/// let training = try ImageTraining.start(photos: "photos", run: "runs/mine")
/// for await event in training.events {
///   if case .epoch(let epoch) = event { print(epoch.number, epoch.validAccuracy ?? 0) }
/// }
/// let outcome = try await training.outcome
/// print(outcome.accuracy, outcome.accuracyInterval, outcome.model)
/// ```
/// It works on threads of its own. Kernels use all threads of one training, so trainings of a process
/// run one after the other: one that is started while another runs waits for its turn.
///
/// A run that was cancelled, or whose process was killed, is continued by starting it again with the
/// same arguments, and ends in the same bits.
public final class ImageTraining: Sendable {
  /// What happens, as it happens; ends with the training, whichever way it ends.
  ///
  /// For one reader. Who reads too late misses the oldest: 4096 events are kept.
  public let events: AsyncStream<Event>

  private let promise = Promise<Outcome>()
  private let stop: StopFlag

  private init(events: AsyncStream<Event>, stop: StopFlag) {
    self.events = events
    self.stop = stop
  }

  /// Starts a training and returns at once.
  ///
  /// - Parameters:
  ///   - photos: a folder with one sub-folder a class, or with `train`, `valid` and `test` above
  ///     them.
  ///   - run: the directory that everything is written to; created if needed. One that an earlier
  ///     training left is continued.
  ///   - options: what differs from the recipe.
  ///   - logger: is told remarks (info) and warnings.
  /// - Throws: ``ImageTrainingError`` when no thread can be started; everything else is thrown by
  ///   ``outcome``.
  public static func start(
    photos: FilePath, run: FilePath, options: Options = Options(),
    logger: Logger = Logger(label: "thaw")
  ) throws(ImageTrainingError) -> ImageTraining {
    try start(photos: photos, run: run, options: options, logger: logger, observer: { _ in })
  }

  /// The same; `observer` is called with every event on the training's own thread, which waits for it.
  package static func start(
    photos: FilePath, run: FilePath, options: Options, logger: Logger = Logger(label: "thaw"),
    observer: @escaping @Sendable (Event) -> Void
  ) throws(ImageTrainingError) -> ImageTraining {
    let (events, continuation) = AsyncStream.makeStream(
      of: Event.self, bufferingPolicy: .bufferingNewest(4096))
    let training = ImageTraining(events: events, stop: StopFlag())
    let (stop, promise) = (training.stop, training.promise)
    let work = TrainingWork(
      photos: photos, run: run, options: options, logger: logger, stop: stop,
      report: {
        continuation.yield($0)
        observer($0)
      })
    do {
      // Joined by nobody: `outcome` is how its end is known.
      try WorkerThreads(count: 1) { _ in
        let result = Result { try work.outcome() }
        continuation.finish()
        promise.keep(result)
      }.detach()
    } catch { throw ImageTrainingError(error) }
    return training
  }

  /// What the training has come to, once it has ended.
  ///
  /// Cancelling a task that waits here cancels the training, and the wait ends when it has saved what
  /// it has.
  ///
  /// - Throws: ``ImageTrainingError``; `CancellationError` when the training was cancelled, which
  ///   leaves a run that can be continued.
  public var outcome: Outcome {
    get async throws {
      try await withTaskCancellationHandler {
        try await promise.value
      } onCancel: {
        stop.request()
      }
    }
  }

  /// Asks the training to save what it has and to stop; ``outcome`` then throws `CancellationError`.
  ///
  /// It stops between two photos or two batches. A training that has ended stays as it is.
  public func cancel() { stop.request() }

  /// Whether somebody has asked for the end.
  package var isCancelled: Bool { stop.isRequested }
}

/// A value that others wait for.
final class Promise<Value: Sendable>: Sendable {
  private enum State {
    case open([CheckedContinuation<Value, any Error>])
    case kept(Result<Value, any Error>)
  }

  private let state = Mutex(State.open([]))

  /// Hands over the value, once.
  func keep(_ result: Result<Value, any Error>) {
    let waiting = state.withLock { state -> [CheckedContinuation<Value, any Error>] in
      guard case .open(let waiting) = state else { return [] }
      state = .kept(result)
      return waiting
    }
    for continuation in waiting { continuation.resume(with: result) }
  }

  var value: Value {
    get async throws {
      try await withCheckedThrowingContinuation { continuation in
        let kept = state.withLock { state -> Result<Value, any Error>? in
          switch state {
          case .kept(let result): return result
          case .open(let waiting):
            state = .open(waiting + [continuation])
            return nil
          }
        }
        if let kept { continuation.resume(with: kept) }
      }
    }
  }
}
