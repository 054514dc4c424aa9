// SPDX-License-Identifier: Apache-2.0

import ThawDatasets

/// Photos that wait for a worker, first come first served.
final class PhotoQueue: @unchecked Sendable {
  private let monitor = Monitor()
  private let capacity: Int
  private let workers: Int
  /// How long a photo waits for others.
  private let delay: Duration
  // Below: under the monitor.
  private var bounded = 0
  private var jobs: [(job: PhotoJob, isBounded: Bool)] = []
  private var counts = ImageClassifier.Statistics()
  private var isClosed = false
  private var idle = 0

  /// How a job is let in.
  enum Admission {
    /// Refused when the queue is full.
    case bounded
    /// One that a place was kept for, by ``PhotoQueue/reserve(_:)``.
    case reserved
    /// Always.
    case free
  }

  /// A queue for so many workers; `capacity` bounded jobs may wait.
  init(capacity: Int, workers: Int, delay: Duration) {
    self.capacity = capacity
    self.delay = delay
    self.workers = workers
  }

  /// Puts a job at the end.
  ///
  /// - Throws: ``ImageClassifierError/overloaded(waiting:capacity:)``, `closed`; a place that was kept for it
  ///   is then given back.
  func add(_ job: PhotoJob, _ admission: Admission) throws {
    try monitor.sync {
      if admission == .reserved { bounded -= 1 }
      if isClosed { throw ImageClassifierError.closed }
      if admission == .bounded { try checkRoom(for: 1) }
      if admission != .free { bounded += 1 }
      jobs.append((job, admission != .free))
      monitor.wakeAll()
    }
  }

  /// Keeps places for `count` jobs, or for none; each is used by ``add(_:_:)`` or given back by
  /// ``release()``.
  ///
  /// - Throws: ``ImageClassifierError/overloaded(waiting:capacity:)``, `closed`.
  func reserve(_ count: Int) throws {
    try monitor.sync {
      if isClosed { throw ImageClassifierError.closed }
      try checkRoom(for: count)
      bounded += count
    }
  }

  /// Gives back a place that was kept.
  func release() { monitor.sync { bounded -= 1 } }

  private func checkRoom(for count: Int) throws {
    guard count <= capacity - bounded else {
      throw ImageClassifierError.overloaded(waiting: bounded, capacity: capacity)
    }
  }

  /// What has been taken so far, and how many wait.
  var statistics: ImageClassifier.Statistics {
    monitor.sync {
      var result = counts
      result.waiting = jobs.count
      return result
    }
  }

  /// How many workers have nothing to do and will not have anything soon.
  var idleWorkers: Int { monitor.sync { max(idle - jobs.count, 0) } }

  /// Counts the time that a worker spent on a batch.
  func count(busy: Duration) { monitor.sync { counts.busy += busy } }

  /// Takes a job out that nobody wants any more; nothing happens when a worker has it already.
  func remove(_ job: PhotoJob) {
    monitor.sync {
      guard let index = jobs.firstIndex(where: { $0.job === job }) else { return }
      if jobs.remove(at: index).isBounded { bounded -= 1 }
    }
  }

  /// The next photos for one worker, its share of those that wait but at most `maximum`; blocks while
  /// there are none, and while the first of fewer than `maximum` may still wait for others. Nil when the queue is closed and empty: the worker's end.
  func take(upTo maximum: Int) -> [PhotoJob]? {
    monitor.sync {
      while true {
        while jobs.isEmpty && !isClosed {
          idle += 1
          monitor.wait()
          idle -= 1
        }
        guard let first = jobs.first else { return nil }
        let rest = delay == .zero ? .zero : delay - first.job.start.duration(to: .now)
        if isClosed || jobs.count >= maximum || rest <= .zero { break }
        monitor.wait(atMost: rest)
      }
      let count = min((jobs.count + workers - 1) / workers, maximum)
      let taken = jobs[..<count]
      jobs.removeFirst(count)
      bounded -= taken.count { $0.isBounded }
      counts.photos += count
      counts.batches += 1
      return taken.map(\.job)
    }
  }

  /// Accepts nothing more; what is in it is still handed out.
  func close() {
    monitor.sync {
      isClosed = true
      monitor.wakeAll()
    }
  }
}
