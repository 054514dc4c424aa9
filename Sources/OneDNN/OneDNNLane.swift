// SPDX-License-Identifier: Apache-2.0

import CThawOneDNN
import ThawExecution

/// The memory in which one pass of a chain is computed: activations, scratchpads, and every kernel's
/// arguments bound to them. One thread at a time.
final class OneDNNLane {
  let chain: OneDNNChain
  let handle: OpaquePointer

  /// Takes the memory.
  init(_ chain: OneDNNChain) throws(ExecutionError) {
    self.chain = chain
    handle = try make("memory of a lane", nil) { thaw_dnnl_lane_create($0, chain.handle) }
  }

  deinit { thaw_dnnl_lane_destroy(handle) }

  /// Calls `body` while adding up wall time into `instructions` places.
  func profile(instructions: Int, _ body: () throws -> Void) rethrows -> [Double] {
    try withUnsafeTemporaryAllocation(of: Double.self, capacity: instructions) { seconds in
      seconds.initialize(repeating: 0)
      thaw_dnnl_lane_profile(handle, seconds.baseAddress)
      defer { thaw_dnnl_lane_profile(handle, nil) }
      try body()
      return Array(seconds)
    }
  }
}

/// The lanes in which one caller runs a chain. Their memory is taken when as many passes run.
final class OneDNNLanes {
  let chain: OneDNNChain
  private let count: Int
  private var lanes: [OneDNNLane] = []
  private var handles: [OpaquePointer?] = []

  /// At most `count` lanes of `chain`.
  init(_ chain: OneDNNChain, count: Int) {
    self.chain = chain
    self.count = count
  }

  /// Takes the memory of lanes for `passes` passes.
  func prepare(_ passes: Int) throws(ExecutionError) {
    while lanes.count < min(passes, count) {
      let lane = try OneDNNLane(chain)
      lanes.append(lane)
      handles.append(lane.handle)
    }
  }

  /// Runs `passes` passes over consecutive inputs into consecutive outputs, on at most so many threads.
  func run(
    _ input: UnsafePointer<Float>, into output: UnsafeMutablePointer<Float>, passes: Int,
    threads: Int
  ) throws(ExecutionError) {
    let used = min(passes, threads)
    try prepare(used)
    var failed: CInt = 0
    let status = thaw_dnnl_lanes_run(
      handles, CInt(min(used, handles.count)), input, output, Int64(passes), &failed)
    try chain.verify(status, failed: failed)
  }

  /// Calls `body` while adding up the wall time of each instruction, in seconds over all lanes.
  func profile(instructions: Int, _ body: () throws -> Void) throws -> [Double] {
    try prepare(count)
    func nest(_ index: Int) throws -> [Double] {
      guard index < lanes.count else {
        try body()
        return [Double](repeating: 0, count: instructions)
      }
      var inner: [Double] = []
      let own = try lanes[index].profile(instructions: instructions) { inner = try nest(index + 1) }
      return zip(own, inner).map { $0 + $1 }
    }
    return try nest(0)
  }
}

/// The memory of one pass that several threads share, part by part.
final class OneDNNSharedLane {
  private let lane: OneDNNLane

  /// A pass of a chain of turns.
  init(_ chain: OneDNNChain) throws(ExecutionError) { lane = try OneDNNLane(chain) }

  /// Runs one pass on at most so many threads.
  func run(
    _ input: UnsafePointer<Float>, into output: UnsafeMutablePointer<Float>, threads: Int
  ) throws(ExecutionError) {
    var failed: CInt = 0
    let status = thaw_dnnl_lane_share(lane.handle, CInt(threads), input, output, &failed)
    try lane.chain.verify(status, failed: failed)
  }

  /// Calls `body` while adding up the wall time of each instruction, in seconds.
  func profile(instructions: Int, _ body: () throws -> Void) rethrows -> [Double] {
    try lane.profile(instructions: instructions, body)
  }
}
