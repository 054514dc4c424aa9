// SPDX-License-Identifier: Apache-2.0

import CThawOneDNN
import ThawExecution
import ThawNetwork

/// A kernel bound to arguments whose memory is named at each run. One thread at a time.
final class OneDNNCall {
  private let handle: OpaquePointer
  private let primitive: OneDNNPrimitive
  private let operation: String
  private let layer: ParameterPath

  /// Binds `primitive`, whose scratchpad comes last at run time.
  init(
    _ operation: String, _ layer: ParameterPath, _ primitive: OneDNNPrimitive,
    _ arguments: [(role: Int, layout: OneDNNLayout)]
  ) throws(ExecutionError) {
    self.primitive = primitive
    self.operation = operation
    self.layer = layer
    let scratchpad = try primitive.layout(THAW_DNNL_SCRATCHPAD)
    let all = arguments + [(Int(THAW_DNNL_SCRATCHPAD.rawValue), scratchpad)]
    let roles = all.map { CInt($0.role) }
    let layouts: [OpaquePointer?] = all.map(\.layout.handle)
    handle = try make(operation, layer) {
      thaw_dnnl_call_create($0, primitive.handle, roles, layouts, CInt(roles.count))
    }
    withExtendedLifetime(all) {}
  }

  deinit { thaw_dnnl_call_destroy(handle) }

  /// Runs on memory in the order of the arguments.
  func run(
    _ first: UnsafeRawPointer, _ second: UnsafeRawPointer, _ third: UnsafeRawPointer? = nil,
    _ fourth: UnsafeRawPointer? = nil, _ fifth: UnsafeRawPointer? = nil,
    scratchpad: UnsafeMutableRawPointer
  ) throws(ExecutionError) {
    let status = withUnsafeTemporaryAllocation(
      of: UnsafeMutableRawPointer?.self, capacity: Int(THAW_DNNL_MOST_ARGUMENTS)
    ) { addresses in
      var count = 0
      for address in [first, second, third, fourth, fifth] {
        guard let address else { continue }
        addresses.initializeElement(at: count, to: UnsafeMutableRawPointer(mutating: address))
        count += 1
      }
      addresses.initializeElement(at: count, to: scratchpad)
      return thaw_dnnl_call_run(handle, addresses.baseAddress)
    }
    try check(status, operation, layer)
  }
}

/// Moves a parameter between PyTorch's order and a kernel's, scaling each output channel on the way.
final class OneDNNParameterMove {
  private let call: OneDNNCall
  private let primitive: OneDNNPrimitive
  let scratchBytes: Int

  /// A move from `source` to `destination`.
  ///
  /// - Parameters:
  ///   - scale: one factor an output channel, the first `leading` extents; nil for none.
  ///   - accumulates: whether it adds to the destination.
  init(
    _ source: OneDNNLayout, to destination: OneDNNLayout, scale: [Float]?, leading: Int,
    accumulates: Bool, _ layer: ParameterPath
  ) throws(ExecutionError) {
    primitive = try OneDNNPrimitive("reorder", layer) {
      thaw_dnnl_scaled_reorder(
        $0, source.handle, destination.handle, scale, Int64(scale?.count ?? 0), CInt(leading),
        accumulates)
    }
    scratchBytes = try primitive.layout(THAW_DNNL_SCRATCHPAD).bytes
    call = try OneDNNCall(
      "reorder", layer, primitive,
      [
        (Int(THAW_DNNL_SOURCE.rawValue), source),
        (Int(THAW_DNNL_DESTINATION.rawValue), destination),
      ])
  }

  /// Moves once.
  func run(
    _ source: UnsafeRawPointer, to destination: UnsafeMutableRawPointer,
    scratchpad: UnsafeMutableRawPointer
  ) throws(ExecutionError) {
    try call.run(source, destination, scratchpad: scratchpad)
  }
}
