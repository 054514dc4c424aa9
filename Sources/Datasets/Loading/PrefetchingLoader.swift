// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
import ThawTensors

/// Reads and prepares photos on several threads, ahead of a consumer that takes batches in order.
///
/// Worker threads take the photos in the order of the list, read the file and call `prepare`, which
/// writes [C, H, W] numbers into the photo's place in a ring of `depth` batches. The consumer gets
/// the batches in order on its own thread; what it gets does not depend on the number of threads or
/// on who is faster. Memory is the ring and one file per thread; nothing else is allocated per photo.
///
/// Every photo belongs to a batch of `batchSize` in list order, the last batch may be smaller. A
/// process that computes part i of n of every batch passes a ``Part`` and gets only those photos.
package final class PrefetchingLoader {
  /// A photo to load.
  package struct Item: Sendable, Hashable {
    /// Where it is.
    package let path: FilePath
    /// Bytes that the manifest says it has; nil does not check.
    package let size: Int?
    /// The contents' hash that the manifest says it has; nil does not check (hashing costs about
    /// as much as reading).
    package let sha256: String?

    /// Names a photo and what it must be.
    package init(path: FilePath, size: Int? = nil, sha256: String? = nil) {
      self.path = path
      self.size = size
      self.sha256 = sha256
    }

    /// The photo of a manifest's record; with `verifyingContents` its hash is checked too.
    package init(_ record: Manifest.Record, root: FilePath, verifyingContents: Bool = false) {
      self.init(
        path: record.path.resolved(in: root), size: record.size,
        sha256: verifyingContents ? record.sha256 : nil)
    }
  }

  /// Part `index` of `count` equal parts of every batch, in list order.
  package struct Part: Sendable, Hashable {
    /// Which part, 0 up to `count`.
    package let index: Int
    /// How many parts.
    package let count: Int

    /// Traps unless 0 <= index < count.
    package init(_ index: Int, of count: Int) {
      precondition(
        index >= 0 && index < count, "Part \(index) of \(count) does not exist.")
      self.index = index
      self.count = count
    }

    /// The whole batch.
    package static let whole = Part(0, of: 1)
  }

  /// Sizes of the pipeline.
  package struct Options: Sendable {
    /// Photos in a batch, all parts together.
    package var batchSize: Int
    /// Threads that read and prepare.
    package var threads: Int
    /// Batches in memory, at least 2 to overlap with the consumer.
    package var depth = 3
    /// Which part of every batch to load.
    package var part = Part.whole

    /// Batches of `batchSize`, prepared on `threads` threads.
    package init(batchSize: Int, threads: Int) {
      self.batchSize = batchSize
      self.threads = threads
    }
  }

  /// A batch, or this process's part of it.
  package struct Batch {
    /// The batch's number.
    package let number: Int
    /// Places in the list of items, ascending.
    package let items: Range<Int>
    /// `items.count` times C x H x W numbers, valid until the call that passed the batch returns.
    package let elements: UnsafeBufferPointer<Float>
  }

  /// Prepares one photo.
  ///
  /// Called from several threads at once; `worker` is below the number of threads and differs
  /// between calls that run at the same time, so it may select scratch memory.
  /// Arguments: the file's bytes, the photo's place in the list, the worker, and where to write.
  package typealias Prepare =
    @Sendable (UnsafeRawBufferPointer, Int, Int, UnsafeMutableBufferPointer<Float>) throws -> Void

  private let queue: LoadingQueue
  private let workers: WorkerThreads

  /// Starts loading.
  ///
  /// - Parameter elementCount: numbers of a prepared photo, C x H x W.
  /// - Throws: ``DatasetError/system(_:)`` when no thread can be started.
  package init(
    _ items: [Item], elementCount: Int, options: Options, prepare: @escaping Prepare
  ) throws(DatasetError) {
    precondition(
      options.batchSize > 0 && options.threads > 0 && options.depth > 0 && elementCount > 0,
      "A loader needs a batch size, threads, depth and element count of at least 1.")
    let queue = LoadingQueue(
      plan: BatchPlan(itemCount: items.count, batchSize: options.batchSize, part: options.part),
      depth: options.depth, elementCount: elementCount)
    self.queue = queue
    workers = try WorkerThreads(count: options.threads) { worker in
      let reader = PhotoReader()
      while let job = queue.take() {
        queue.finish(
          job,
          Result { () throws(DatasetError) in
            try load(items[job.item], job, worker, reader, prepare)
          })
      }
    }
  }

  deinit { cancel() }

  /// Number of batches.
  package var batchCount: Int { queue.plan.batchCount }

  /// Waits for the next batch and passes it to `body`; nil, and no call, when there are no more.
  ///
  /// One consumer at a time.
  ///
  /// - Throws: ``DatasetError`` of the first photo of the batch that cannot be loaded, naming it
  ///   (and again at every further call); `CancellationError` after ``cancel()``; what `body` throws.
  package func next<Result>(_ body: (Batch) throws -> Result) throws -> Result? {
    guard let batch = try queue.waitForNext() else { return nil }
    defer { queue.release() }
    return try body(batch)
  }

  /// Stops the threads and waits for those that are in the middle of a photo.
  package func cancel() {
    queue.cancel()
    workers.join()
  }
}

/// Reads and prepares one photo.
private func load(
  _ item: PrefetchingLoader.Item, _ job: LoadingQueue.Job, _ worker: Int, _ reader: PhotoReader,
  _ prepare: PrefetchingLoader.Prepare
) throws(DatasetError) {
  let bytes = try reader.read(item)
  do {
    try prepare(bytes, job.item, worker, job.target)
  } catch {
    throw .unusable(item.path, reason: "\(error)")
  }
}
