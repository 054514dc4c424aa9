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
}

/// The lanes in which one caller runs a chain.
final class OneDNNLanes {
  let chain: OneDNNChain
  private let lanes: [OneDNNLane]
  private let handles: [OpaquePointer?]

  /// `count` lanes of `chain`.
  init(_ chain: OneDNNChain, count: Int) throws(ExecutionError) {
    self.chain = chain
    var lanes: [OneDNNLane] = []
    for _ in 0..<count { lanes.append(try OneDNNLane(chain)) }
    self.lanes = lanes
    handles = lanes.map(\.handle)
  }

  /// Runs `passes` passes over consecutive inputs into consecutive outputs.
  func run(
    _ input: UnsafePointer<Float>, into output: UnsafeMutablePointer<Float>, passes: Int
  ) throws(ExecutionError) {
    var failed: CInt = 0
    let status = thaw_dnnl_lanes_run(
      handles, CInt(handles.count), input, output, Int64(passes), &failed)
    try chain.verify(status, failed: failed)
  }

  /// Calls `body` while adding up the wall time of each instruction, in seconds over all lanes.
  func profile(_ body: () throws -> Void) rethrows -> [Double] {
    let count = chain.instructions.count
    let seconds = UnsafeMutableBufferPointer<Double>.allocate(capacity: count * lanes.count)
    seconds.initialize(repeating: 0)
    defer { seconds.deallocate() }
    for (index, lane) in lanes.enumerated() {
      thaw_dnnl_lane_profile(lane.handle, seconds.baseAddress.map { $0 + index * count })
    }
    defer { for lane in lanes { thaw_dnnl_lane_profile(lane.handle, nil) } }
    try body()
    return (0..<count).map { instruction in
      lanes.indices.reduce(0) { $0 + seconds[$1 * count + instruction] }
    }
  }
}
