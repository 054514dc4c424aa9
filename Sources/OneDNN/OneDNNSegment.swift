// SPDX-License-Identifier: Apache-2.0

import Glibc
import ThawExecution
import ThawNetwork
import ThawTensors

/// A compiled part of a plan: its kernel calls, and how many images go through them at once.
///
/// Kernels are compiled where they are first used, under a lock: a single photo on several threads needs
/// the parts of instructions, a batch needs them whole, and few need both.
final class OneDNNSegment {
  /// Kernels of one thread, so that nothing in a result depends on how many there are: a kernel made for
  /// several splits its sums among them.
  let instructions: [ChainInstruction]
  /// Images a pass.
  let batch: Int
  /// Elements of one image.
  let inputStride: Int
  /// Elements of one result.
  let outputStride: Int
  private let buffers: [(bytes: Int, place: BufferPlace)]
  /// Threads that compile.
  private let threads: Int
  private let lock = Lock()
  // Below: under the lock.
  private var whole: OneDNNChain?
  private var shared: [Int: OneDNNChain?] = [:]

  /// Compiles `operations` for passes of `batch` images, on so many threads.
  init(
    _ graph: Graph, operations: [FusedOperation], from source: NodeID, parameters: Parameters,
    batch: Int,
    size: Extent2D, threads: Int, observer: LayerObserver? = nil
  ) throws {
    self.threads = threads
    let shapes = try graph.shapes(batch: batch, size: size)
    let result = operations.last?.result ?? source
    let (input, output) = (shapes[source.index].count, shapes[result.index].count)
    (instructions, buffers) = try withSingleThreadedKernels {
      var builder = try ChainBuilder(
        graph, operations: operations, from: source, parameters: parameters, shapes: shapes)
      try builder.roundToBytes(source)
      for (index, operation) in operations.enumerated() {
        try builder.appendInPrecision(operation, at: index)
        if let observer { try builder.appendObservation(of: operation.result, by: observer) }
      }
      let parts = try builder.finish(result)
      try builder.doWork(threads: threads)
      return parts
    }
    self.batch = batch
    inputStride = input / batch
    outputStride = output / batch
  }

  /// Whether ``sharedChain(_:)`` has to try kernels.
  var needsTrials: Bool { instructions.contains(where: \.needsTrial) }

  /// The whole instructions in order, for a lane of one thread.
  func chain() throws -> OneDNNChain {
    try lock.with {
      if let whole { return whole }
      let made = try chain(of: instructions.map { [$0] }, buffers)
      whole = made
      return made
    }
  }

  /// The instructions in at most `count` parts each, for a pass that as many threads share; nil where there
  /// is nothing to share.
  func sharedChain(_ count: Int) throws -> OneDNNChain? {
    try lock.with {
      if let made = shared[count] { return made }
      var buffers = buffers
      let turns = try withSingleThreadedKernels {
        try instructions.map { try $0.parts(count, buffers: &buffers) }
      }
      let isShared = turns.contains { $0.count > 1 }
      let made = isShared ? try chain(of: turns, buffers) : nil
      shared[count] = .some(made)
      return made
    }
  }

  private func chain(
    of turns: [[ChainInstruction]], _ buffers: [(bytes: Int, place: BufferPlace)]
  ) throws -> OneDNNChain {
    try withSingleThreadedKernels {
      try ComputeThreads.forEach(turns.flatMap(\.self), threads: threads) { try $0.compile() }
      return try OneDNNChain(
        turns, buffers: buffers,
        inputBytes: batch * inputStride * MemoryLayout<Float>.stride,
        outputBytes: batch * outputStride * MemoryLayout<Float>.stride)
    }
  }
}

/// A lock that sanitizers of threads see, unlike `Mutex`, which waits by a system call of its own.
private final class Lock {
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  init() { pthread_mutex_init(mutex, nil) }
  deinit {
    pthread_mutex_destroy(mutex)
    mutex.deallocate()
  }

  func with<Result>(_ body: () throws -> Result) rethrows -> Result {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return try body()
  }
}
