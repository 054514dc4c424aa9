// SPDX-License-Identifier: Apache-2.0

import CThawOneDNN
import ThawExecution
import ThawNetwork
import ThawTensors

/// Shape and memory order of a tensor, as oneDNN describes it; owns the description.
final class OneDNNLayout {
  let handle: OpaquePointer

  /// A layout the program decides on; `.any` (`THAW_DNNL_ANY`) leaves the order to the primitive.
  init(
    _ shape: Shape, _ order: thaw_dnnl_order, _ layer: ParameterPath?,
    of element: thaw_dnnl_element = THAW_DNNL_FLOAT32
  ) throws(ExecutionError) {
    let extents = shape.extents.map(Int64.init)
    handle = try make("memory layout \(shape)", layer) {
      thaw_dnnl_layout_create($0, extents, CInt(extents.count), order, element)
    }
  }

  /// The order of `like` with other elements.
  init(_ like: OneDNNLayout, of element: thaw_dnnl_element) throws(ExecutionError) {
    handle = try make("memory layout", nil) {
      thaw_dnnl_layout_create_as($0, like.handle, element)
    }
  }

  /// A layout for `shape` whose channels lie in the same blocks as those of `like`.
  init(
    _ shape: Shape, like: OneDNNLayout, _ layer: ParameterPath?,
    of element: thaw_dnnl_element = THAW_DNNL_FLOAT32
  ) throws(ExecutionError) {
    let extents = shape.extents.map(Int64.init)
    handle = try make("memory layout \(shape)", layer) {
      thaw_dnnl_layout_create_like($0, extents, CInt(extents.count), like.handle, element)
    }
  }

  /// Takes over a description made by the library.
  init(adopting handle: OpaquePointer) { self.handle = handle }

  deinit { thaw_dnnl_layout_destroy(handle) }

  /// Size in memory, with the padding of blocked orders.
  var bytes: Int { thaw_dnnl_layout_bytes(handle) }
  /// What its elements are.
  var element: thaw_dnnl_element { thaw_dnnl_layout_element(handle) }
  /// Whether the bytes are those of the row-major tensor.
  var isDense: Bool { thaw_dnnl_layout_is_dense(handle) }
  /// How many channels of images lie beside each other: 1 where they are not in blocks.
  var channelBlock: Int { Int(thaw_dnnl_layout_channel_block(handle)) }

  /// Whether two tensors of these layouts can stand for each other byte by byte.
  func matches(_ other: OneDNNLayout) -> Bool { thaw_dnnl_layout_equal(handle, other.handle) }
}

/// A block of memory for parameters in oneDNN's order, freed with the last reference.
final class OneDNNBlock {
  let address: UnsafeMutableRawPointer

  /// Takes `bytes` bytes, not initialised.
  init(bytes: Int, _ layer: ParameterPath?) throws(ExecutionError) {
    guard let address = thaw_dnnl_allocate(bytes) else {
      throw .kernel(
        library: OneDNN.name, operation: "allocation of \(bytes) bytes", layer: layer,
        status: "out of memory")
    }
    self.address = address
  }

  deinit { thaw_dnnl_free(address) }

  /// Writes a row-major tensor of `shape` in `layout`.
  func fill(
    _ values: Tensor<Float>, as shape: Shape, in layout: OneDNNLayout, _ layer: ParameterPath
  ) throws {
    let dense = try OneDNNLayout(shape, THAW_DNNL_DENSE, layer)
    try values.withUnsafeElements { source in
      guard let base = source.baseAddress else { return }
      if layout.matches(dense) {
        return address.copyMemory(from: base, byteCount: layout.bytes)
      }
      try OneDNNPrimitive.reorder(base, dense, into: address, layout, layer)
    }
  }
}
