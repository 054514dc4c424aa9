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

  /// Starts a worker for each lane, at least one.
  ///
  /// - Throws: `DatasetError` when no thread can be started.
  init(_ lanes: [any PhotoLane], _ configuration: ImageClassifier.Configuration) throws {
    let queue = PhotoQueue(
      capacity: configuration.capacity, workers: lanes.count, delay: configuration.batchDelay)
    let ending = End(workers: lanes.count)
    threads = try WorkerThreads(count: lanes.count) { number in
      let lane = lanes[number]
      while let jobs = queue.take(upTo: lane.maximumPhotos) {
        let busy = ContinuousClock().measure { lane.answer(jobs) { queue.idleWorkers } }
        queue.count(busy: busy)
      }
      ending.workerEnded()
    }
    usualReadAhead = 2 * lanes.count * lanes[0].maximumPhotos
    self.queue = queue
    self.ending = ending
    for _ in threads.count..<lanes.count { ending.workerEnded() }
  }

  /// Photos answered so far, and those that wait.
  var statistics: ImageClassifier.Statistics { queue.statistics }

  /// Waits for the answers to several photos that are let in together or not at all.
  func answers(
    _ photos: [Photo], _ question: Question
  ) async throws -> [Result<PhotoAnswer, ImageClassifierError>] {
    try queue.reserve(photos.count)
    // Every place that was kept is used or given back by its task, so all are waited for, cancelled or not.
    let tasks = photos.map { photo in Task { try await answer(photo, question, .reserved) } }
    return try await withTaskCancellationHandler {
      var results: [Result<PhotoAnswer, ImageClassifierError>] = []
      var wasCancelled = false
      for task in tasks {
        switch await task.result {
        case .success(let answer): results.append(.success(answer))
        case .failure(let error as ImageClassifierError): results.append(.failure(error))
        case .failure: wasCancelled = true
        }
      }
      if wasCancelled { throw CancellationError() }
      return results
    } onCancel: {
      for task in tasks { task.cancel() }
    }
  }

  /// Waits for the answer to one photo.
  ///
  /// - Parameter admission: whether a full queue refuses it.
  func answer(
    _ photo: Photo, _ question: Question, _ admission: PhotoQueue.Admission
  ) async throws -> PhotoAnswer {
    let job = PhotoJob(photo, question)
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        guard job.attach(continuation) else {
          if admission == .reserved { queue.release() }
          return
        }
        do { try queue.add(job, admission) } catch { job.finish(.failure(error)) }
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
