// SPDX-License-Identifier: Apache-2.0

import Glibc
import Synchronization
import SystemPackage
import ThawFiles

/// A fixed number of threads that run one body each and are joined.
///
/// Plain threads, not tasks: they block on files and decode for milliseconds at a time, which
/// Swift's cooperative pool must not do.
package final class WorkerThreads: Sendable {
  private final class Start: Sendable {
    let worker: Int
    let body: @Sendable (Int) -> Void
    init(worker: Int, body: @escaping @Sendable (Int) -> Void) {
      self.worker = worker
      self.body = body
    }
  }

  private let handles: Mutex<[pthread_t]>

  /// How many threads were started; fewer than asked for when the system has no more.
  package let count: Int

  /// Starts `count` threads; each gets its number.
  ///
  /// - Throws: ``DatasetError/system(_:)`` when not even one thread can be started.
  package init(count: Int, _ body: @escaping @Sendable (Int) -> Void) throws(DatasetError) {
    precondition(count > 0, "WorkerThreads needs at least 1 thread, got \(count).")
    var started: [pthread_t] = []
    var status: Int32 = 0
    for worker in 0..<count {
      var handle = pthread_t()
      let start = Unmanaged.passRetained(Start(worker: worker, body: body))
      status = pthread_create(
        &handle, nil,
        { raw in
          guard let raw else { return nil }
          let start = Unmanaged<Start>.fromOpaque(raw).takeRetainedValue()
          start.body(start.worker)
          return nil
        }, start.toOpaque())
      guard status == 0 else {
        start.release()
        break
      }
      started.append(handle)
    }
    guard !started.isEmpty else {
      throw .system(FileError("thread", "start a thread", .system(status)))
    }
    self.count = started.count
    handles = Mutex(started)
  }

  /// Waits until every body has returned. May be called again; then there is nothing to wait for.
  package func join() {
    for handle in taken() { pthread_join(handle, nil) }
  }

  /// Lets the threads end on their own; there is nothing to wait for then.
  package func detach() {
    for handle in taken() { pthread_detach(handle) }
  }

  private func taken() -> [pthread_t] {
    handles.withLock { handles in
      defer { handles = [] }
      return handles
    }
  }
}

/// Calls `body` with every index below `count` on `threads` threads and returns when all are done.
///
/// Indices are handed out in order. After an error no new index begins, and the error of the lowest
/// index is thrown.
package func forEachIndex(
  below count: Int, threads: Int, _ body: @escaping @Sendable (Int) throws -> Void
) throws {
  let progress = IndexProgress()
  let workers = try WorkerThreads(count: max(1, min(threads, count))) { _ in
    while let index = progress.take(below: count) {
      do { try body(index) } catch { progress.record(error, at: index) }
    }
  }
  workers.join()
  try progress.throwIfFailed()
}

/// Which index is next, and the first thing that went wrong.
private final class IndexProgress: Sendable {
  private let state = Mutex<(next: Int, failure: (index: Int, error: any Error)?)>((0, nil))

  func take(below count: Int) -> Int? {
    state.withLock { state in
      guard state.failure == nil, state.next < count else { return nil }
      state.next += 1
      return state.next - 1
    }
  }

  func record(_ error: any Error, at index: Int) {
    state.withLock { state in
      if state.failure.map({ index < $0.index }) ?? true { state.failure = (index, error) }
    }
  }

  func throwIfFailed() throws {
    if let failure = state.withLock({ $0.failure }) { throw failure.error }
  }
}
