// SPDX-License-Identifier: Apache-2.0

import Synchronization
import ThawDatasets

/// The threads of a classifier and the queue they work from.
///
/// They are threads of their own, not tasks: decoding and computing take milliseconds to seconds,
/// which the cooperative pool must not spend on one job.
final class WorkerPool: Sendable {
  private struct Ending {
    var running: Int
    var waiting: [CheckedContinuation<Void, Never>] = []
  }

  private let queue: PhotoQueue
  private let threads: WorkerThreads
  private let ending: End
  /// Photos under way at once that keep every worker busy: two batches each.
  let usualReadAhead: Int

  /// Shared by the threads, which must not keep the pool alive.
  private final class End: Sendable {
    let state: Mutex<Ending>
    init(workers: Int) { state = Mutex(Ending(running: workers)) }

    /// Called by each worker as the last thing it does.
    func workerEnded() {
      let waiting = state.withLock { state in
        state.running -= 1
        return state.running == 0 ? state.waiting : []
      }
      for continuation in waiting { continuation.resume() }
    }

    func wait() async {
      await withCheckedContinuation { continuation in
        let isOver = state.withLock { state in
          if state.running > 0 { state.waiting.append(continuation) }
          return state.running == 0
        }
        if isOver { continuation.resume() }
      }
    }
  }

  /// Makes working memory for every worker and starts them.
  ///
  /// - Throws: what compiling the network throws; `DatasetError` when no thread can be started.
  init(_ network: ClassifierNetwork, _ configuration: ImageClassifier.Configuration) throws {
    let lanes = try network.lanes(configuration.workers, maximumBatch: configuration.maximumBatch)
    let queue = PhotoQueue(capacity: configuration.capacity, workers: lanes.count)
    let ending = End(workers: lanes.count)
    threads = try WorkerThreads(count: lanes.count) { number in
      let lane = lanes[number]
      while let jobs = queue.take(upTo: lane.maximumPhotos) { lane.answer(jobs) }
      ending.workerEnded()
    }
    usualReadAhead = 2 * lanes.count * lanes[0].maximumPhotos
    self.queue = queue
    self.ending = ending
    for _ in threads.count..<lanes.count { ending.workerEnded() }
  }

  /// Waits for the answer to one photo.
  ///
  /// - Parameter isBounded: whether a full queue refuses it.
  func answer(
    _ photo: Photo, _ question: Question, isBounded: Bool
  ) async throws -> PhotoAnswer {
    let job = PhotoJob(photo, question)
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        guard job.attach(continuation) else { return }
        do { try queue.add(job, isBounded: isBounded) } catch { job.finish(.failure(error)) }
      }
    } onCancel: {
      job.finish(.failure(CancellationError()))
      queue.remove(job)
    }
  }

  /// See ``ImageClassifier/close()``.
  func close() async {
    queue.close()
    await ending.wait()
    // All of them have done their work: this waits for their last instructions.
    threads.join()
  }

  /// Lets the threads end by themselves: whoever drops the last reference may be a task, which must
  /// not wait for a photo that nobody wants any more.
  func abandon() {
    queue.close()
    threads.detach()
  }
}
