// SPDX-License-Identifier: Apache-2.0

import CThawOneDNN
import ThawExecution
import ThawNetwork

/// One compiled kernel of oneDNN; owns it.
final class OneDNNPrimitive {
  let handle: OpaquePointer
  let layer: ParameterPath

  /// Wraps what `body` makes.
  init(
    _ operation: String, _ layer: ParameterPath,
    _ body: (UnsafeMutablePointer<OpaquePointer?>) -> CInt
  ) throws(ExecutionError) {
    handle = try make(operation, layer, body)
    self.layer = layer
  }

  deinit { thaw_dnnl_primitive_destroy(handle) }

  /// Name of the implementation, for example `jit:avx512_core`.
  var kernel: String { String(cString: thaw_dnnl_primitive_kernel(handle)) }
  /// Whether it is one of the library's slow, plain loops.
  var isPlainLoop: Bool { kernel.hasPrefix("ref") || kernel.hasPrefix("simple") }

  /// The layout it wants for one of its tensors.
  func layout(_ role: thaw_dnnl_role) throws(ExecutionError) -> OneDNNLayout {
    try layout(role: Int(role.rawValue))
  }

  /// The same by its number, which may say the how many'th of several tensors it is.
  func layout(role: Int) throws(ExecutionError) -> OneDNNLayout {
    OneDNNLayout(
      adopting: try make("layout query", layer) { [handle] in
        thaw_dnnl_primitive_layout(handle, CInt(role), $0)
      })
  }

  /// Moves data from one layout to another, once, now.
  static func reorder(
    _ from: UnsafeRawPointer, _ source: OneDNNLayout, into to: UnsafeMutableRawPointer,
    _ destination: OneDNNLayout, _ layer: ParameterPath
  ) throws(ExecutionError) {
    let primitive = try OneDNNPrimitive("reorder", layer) {
      thaw_dnnl_reorder($0, source.handle, destination.handle)
    }
    try check(
      thaw_dnnl_run_reorder(primitive.handle, source.handle, from, destination.handle, to),
      "reorder", layer)
  }
}

extension Activation {
  /// The functions of oneDNN that are it, one after the other; 2.6 has no hard-sigmoid.
  var functions: [thaw_dnnl_function] {
    switch self {
    case .relu: [THAW_DNNL_RELU]
    case .relu6: [THAW_DNNL_RELU6]
    case .silu: [THAW_DNNL_SILU]
    case .sigmoid: [THAW_DNNL_SIGMOID]
    case .gelu: [THAW_DNNL_GELU]
    case .geluTanh: [THAW_DNNL_GELU_TANH]
    case .quickGELU: [THAW_DNNL_QUICK_GELU]
    case .hardSigmoid: [THAW_DNNL_HARD_LINE, THAW_DNNL_UNIT_CLIP]
    case .hardSwish: [THAW_DNNL_HARD_SWISH]
    }
  }
}

extension Window2D {
  /// This window of `layer` over an image of `size`, for an output of `output` pixels.
  ///
  /// oneDNN derives the output from the padding; with `roundsUp` the padding behind the image is
  /// enlarged until the partial window counts.
  ///
  /// - Throws: ``ExecutionError/unsupported(operation:layer:engine:)`` for a window that crops.
  func descriptor(
    for size: Extent2D, output: Extent2D, _ layer: ParameterPath
  ) throws(ExecutionError) -> thaw_dnnl_window {
    let insets = insets(for: size)
    guard min(insets.top, insets.left, insets.bottom, insets.right) >= 0 else {
      throw .unsupported(operation: "negative padding", layer: layer, engine: OneDNN.name)
    }
    let height = (output.height - 1) * stride.height + (kernel.height - 1) * dilation.height + 1
    let width = (output.width - 1) * stride.width + (kernel.width - 1) * dilation.width + 1
    let bottom = max(insets.bottom, height - size.height - insets.top)
    let right = max(insets.right, width - size.width - insets.left)
    return thaw_dnnl_window(
      kernel: pair(kernel.height, kernel.width), stride: pair(stride.height, stride.width),
      dilation: pair(dilation.height, dilation.width), before: pair(insets.top, insets.left),
      after: pair(bottom, right))
  }
}

private func pair(_ first: Int, _ second: Int) -> (Int64, Int64) { (Int64(first), Int64(second)) }
