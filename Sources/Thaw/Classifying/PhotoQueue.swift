// SPDX-License-Identifier: Apache-2.0

import ThawDatasets

/// Photos that wait for a worker, first come first served.
final class PhotoQueue: @unchecked Sendable {
  private let monitor = Monitor()
  private let capacity: Int
  private let workers: Int
  // Below: under the monitor.
  private var bounded = 0
  private var jobs: [(job: PhotoJob, isBounded: Bool)] = []
  private var isClosed = false

  /// A queue for so many workers; `capacity` bounded jobs may wait.
  init(capacity: Int, workers: Int) {
    self.capacity = capacity
    self.workers = workers
  }

  /// Puts a job at the end.
  ///
  /// - Parameter isBounded: whether it counts towards the capacity.
  /// - Throws: ``ImageClassifierError/overloaded(waiting:capacity:)``, `closed`.
  func add(_ job: PhotoJob, isBounded: Bool) throws {
    try monitor.sync {
      if isClosed { throw ImageClassifierError.closed }
      if isBounded && bounded >= capacity {
        throw ImageClassifierError.overloaded(waiting: bounded, capacity: capacity)
      }
      if isBounded { bounded += 1 }
      jobs.append((job, isBounded))
      monitor.wakeAll()
    }
  }

  /// Takes a job out that nobody wants any more; nothing happens when a worker has it already.
  func remove(_ job: PhotoJob) {
    monitor.sync {
      guard let index = jobs.firstIndex(where: { $0.job === job }) else { return }
      if jobs.remove(at: index).isBounded { bounded -= 1 }
    }
  }

  /// The next photos for one worker, its share of those that wait but at most `maximum`; blocks while
  /// there are none. Nil when the queue is closed and empty: the worker's end.
  func take(upTo maximum: Int) -> [PhotoJob]? {
    monitor.sync {
      while jobs.isEmpty && !isClosed { monitor.wait() }
      guard !jobs.isEmpty else { return nil }
      let count = min((jobs.count + workers - 1) / workers, maximum)
      let taken = jobs[..<count]
      jobs.removeFirst(count)
      bounded -= taken.count { $0.isBounded }
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
