// SPDX-License-Identifier: Apache-2.0

import CThawKernels
import ThawExecution
import ThawNetwork
import ThawTensors

/// The way through a training convolution, forward or back to its source, by Winograd's algorithm, with the
/// weights it needs for it.
final class WinogradPass {
  private let kernel: WinogradKernel
  private let isBackward: Bool
  private let packed: OneDNNBlock

  /// Nil where the kernels of the library do it.
  init?(_ layer: Convolution2D, input: Shape, output: Shape, isBackward: Bool) throws {
    let kernel =
      isBackward
      ? WinogradKernel(backwardOf: layer, input: input, output: output)
      : WinogradKernel(layer, input: input, output: output, block: nil)
    guard let kernel else { return nil }
    self.kernel = kernel
    self.isBackward = isBackward
    packed = try OneDNNBlock(zeroed: kernel.weightCount * MemoryLayout<Float>.stride)
  }

  /// What its weights take.
  var weightBytes: Int { kernel.weightCount * MemoryLayout<Float>.stride }
  /// What it works in.
  var scratchBytes: Int { kernel.scratchCount * MemoryLayout<Float>.stride }

  /// Takes over weights [O, C, 3, 3], each output channel times its scale.
  func prepare(_ weights: UnsafePointer<Float>, scale: [Float]?) {
    kernel.pack(weights, scale: scale, isBackward: isBackward, into: packed.floats)
  }

  /// See ``WinogradKernel/run(_:_:bias:residual:_:images:rows:_:into:)``.
  func run(
    _ x: UnsafePointer<Float>, bias: UnsafePointer<Float>? = nil,
    residual: UnsafePointer<Float>? = nil, _ rectifier: thaw_rectifier = THAW_IDENTITY,
    images: Int, _ scratch: UnsafeMutableRawPointer, into y: UnsafeMutablePointer<Float>
  ) {
    kernel.run(
      x, packed.floats, bias: bias, residual: residual, rectifier, images: images,
      scratch.assumingMemoryBound(to: Float.self), into: y)
  }
}
