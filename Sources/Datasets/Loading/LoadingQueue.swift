// SPDX-License-Identifier: Apache-2.0

import ThawTensors

/// Which photos a batch holds, as arithmetic.
struct BatchPlan {
  let itemCount: Int
  let batchSize: Int
  let part: PrefetchingLoader.Part

  var batchCount: Int { (itemCount + batchSize - 1) / batchSize }

  /// The largest part of a batch.
  var capacity: Int { (batchSize + part.count - 1) / part.count }

  /// The places in the list of this part of batch `number`.
  func items(of number: Int) -> Range<Int> {
    let start = number * batchSize
    let size = min(batchSize, itemCount - start)
    return start + size * part.index / part.count..<start + size * (part.index + 1) / part.count
  }
}

/// What workers and consumer of a ``PrefetchingLoader`` share: a ring of batches under one lock.
///
/// Workers take photos in order and wait while the photo's batch is `depth` or more ahead of the
/// consumer. The oldest unfinished batch is always inside that window, so someone can always go on.
final class LoadingQueue: @unchecked Sendable {
  struct Job {
    let batch: Int
    let item: Int
    let target: UnsafeMutableBufferPointer<Float>
  }

  let plan: BatchPlan
  private let depth: Int
  private let elementCount: Int
  private let ring: AlignedStorage<Float>
  private let monitor = Monitor()

  // Protected by the monitor.
  private var pending: [Int]  // photos still to come, by place in the ring
  private var failures: [(item: Int, error: DatasetError)?]
  private var takenBatch = 0
  private var takenItems: Range<Int>
  private var consumed = 0
  private var isCancelled = false
  private var finalError: DatasetError?

  init(plan: BatchPlan, depth: Int, elementCount: Int) {
    self.plan = plan
    self.depth = depth
    self.elementCount = elementCount
    ring = AlignedStorage(count: depth * plan.capacity * elementCount)
    takenItems = plan.batchCount > 0 ? plan.items(of: 0) : 0..<0
    failures = Array(repeating: nil, count: depth)
    pending = (0..<depth).map { $0 < plan.batchCount ? plan.items(of: $0).count : 0 }
  }

  /// The next photo to load; waits for its place to be free; nil when there is nothing more to do.
  func take() -> Job? {
    monitor.sync {
      while !isCancelled {
        while takenItems.isEmpty {
          takenBatch += 1
          guard takenBatch < plan.batchCount else { return nil }
          takenItems = plan.items(of: takenBatch)
        }
        if takenBatch < consumed + depth {
          let item = takenItems.removeFirst()
          return Job(batch: takenBatch, item: item, target: target(item, in: takenBatch))
        }
        monitor.wait()
      }
      return nil
    }
  }

  /// Marks a photo as done.
  func finish(_ job: Job, _ result: Result<Void, DatasetError>) {
    monitor.sync {
      let place = job.batch % depth
      if case .failure(let error) = result, job.item < failures[place]?.item ?? .max {
        failures[place] = (job.item, error)
      }
      pending[place] -= 1
      if pending[place] == 0 { monitor.wakeAll() }
    }
  }

  /// The next batch when it is complete; nil behind the last one. Every batch must be released.
  func waitForNext() throws -> PrefetchingLoader.Batch? {
    try monitor.sync {
      if let finalError { throw finalError }
      guard consumed < plan.batchCount else { return nil }
      let place = consumed % depth
      while pending[place] > 0 && !isCancelled { monitor.wait() }
      if isCancelled { throw CancellationError() }
      if let failure = failures[place] {
        finalError = failure.error
        isCancelled = true
        monitor.wakeAll()
        throw failure.error
      }
      return batch(consumed)
    }
  }

  /// Gives the place of the batch passed last to one that is still to come.
  func release() {
    monitor.sync {
      let following = consumed + depth
      pending[consumed % depth] =
        following < plan.batchCount ? plan.items(of: following).count : 0
      consumed += 1
      monitor.wakeAll()
    }
  }

  func cancel() {
    monitor.sync {
      isCancelled = true
      monitor.wakeAll()
    }
  }

  private func batch(_ number: Int) -> PrefetchingLoader.Batch {
    let items = plan.items(of: number)
    let start = number % depth * plan.capacity * elementCount
    return .init(
      number: number, items: items,
      elements: UnsafeBufferPointer(
        rebasing: ring.elements[start..<(start + items.count * elementCount)]))
  }

  private func target(_ item: Int, in number: Int) -> UnsafeMutableBufferPointer<Float> {
    let slot = item - plan.items(of: number).lowerBound
    let start = (number % depth * plan.capacity + slot) * elementCount
    return UnsafeMutableBufferPointer(rebasing: ring.elements[start..<(start + elementCount)])
  }
}
