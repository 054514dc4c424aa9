// SPDX-License-Identifier: Apache-2.0

import CThawKernels
import ThawNetwork
import ThawTensors

/// The largest value under a window, which alone gets the gradient; the whole image where
/// global.
final class MaximumPoolingInstruction: TrainingInstructionBase, TrainingInstruction {
  private let geometry: Geometry
  /// The tap of every output's maximum, [N, H, W, C] of the output; empty where no gradient comes back.
  private var winners: AlignedStorage<Int32>

  init(_ window: Window2D, _ context: TrainingContext) {
    geometry = Geometry(window, from: context.input, to: context.output)
    winners = AlignedStorage(
      count: context.output.hasGradient ? context.output.shape.count : 0)
    super.init(context.node.path, context.inputs, context.output)
  }

  override func hold(images: Int) {
    if output.hasGradient { winners = AlignedStorage(count: images * output.stride) }
  }

  func forward(
    _ work: TrainingWork, round: Int, _ scratch: UnsafeMutableRawPointer
  ) {
    let (source, result) = (input.values(work), output.values(work))
    for image in 0..<work.images.count {
      thaw_maximum_forward(
        geometry.pointer, source + image * input.stride, result + image * output.stride,
        output.hasGradient
          ? winners.start + (work.images.lowerBound + image) * output.stride : nil)
    }
  }

  func backward(
    _ work: TrainingWork, round: Int, _ scratch: UnsafeMutableRawPointer
  ) {
    guard input.hasGradient else { return }
    let (outer, target) = (output.gradient(work), startedGradient(0, work))
    for image in 0..<work.images.count {
      thaw_maximum_backward(
        geometry.pointer, outer + image * output.stride,
        winners.start + (work.images.lowerBound + image) * output.stride,
        target + image * input.stride)
    }
  }
}

/// The mean under a window; the whole image where global.
final class AveragePoolingInstruction: TrainingInstructionBase, TrainingInstruction {
  private let geometry: Geometry
  /// 1 / the number of pixels that count: [H, W] of the output.
  private let factors: AlignedStorage<Float>
  /// Whether one window sees the whole image: such long sums are taken in Double.
  private let isGlobal: Bool

  init(_ window: Window2D, includesPadding: Bool, _ context: TrainingContext) {
    let (input, output) = (context.input, context.output)
    geometry = Geometry(window, from: input, to: output)
    factors = AlignedStorage(count: output.plane)
    isGlobal = window.kernel == input.image && output.plane == 1 && !includesPadding
    let insets = window.insets(for: input.image)
    func counts(
      _ outputs: Int, _ size: Int, _ before: Int, _ after: Int, _ taps: Int, _ stride: Int,
      _ spacing: Int
    ) -> [Int] {
      (0..<outputs).map { output in
        (0..<taps).count { tap in
          let at = output * stride - before + tap * spacing
          return includesPadding ? at < size + after : at >= 0 && at < size
        }
      }
    }
    let rows = counts(
      output.image.height, input.image.height, insets.top, insets.bottom, window.kernel.height,
      window.stride.height, window.dilation.height)
    let columns = counts(
      output.image.width, input.image.width, insets.left, insets.right, window.kernel.width,
      window.stride.width, window.dilation.width)
    for (row, height) in rows.enumerated() {
      for (column, width) in columns.enumerated() {
        factors.start[row * columns.count + column] = 1 / Float(height * width)
      }
    }
    super.init(context.node.path, context.inputs, context.output)
  }

  override var scratchBytes: Int {
    isGlobal ? input.channels * MemoryLayout<Double>.stride : 0
  }

  func forward(
    _ work: TrainingWork, round: Int, _ scratch: UnsafeMutableRawPointer
  ) {
    let (source, result) = (input.values(work), output.values(work))
    for image in 0..<work.images.count {
      let (pixels, target) = (source + image * input.stride, result + image * output.stride)
      guard isGlobal else {
        thaw_average_forward(geometry.pointer, pixels, factors.start, target)
        continue
      }
      let sums = scratch.assumingMemoryBound(to: Double.self)
      sums.update(repeating: 0, count: input.channels)
      thaw_channel_sums(pixels, Int64(input.plane), Int64(input.channels), sums)
      for channel in 0..<input.channels {
        target[channel] = Float(sums[channel] / Double(input.plane))
      }
    }
  }

  func backward(
    _ work: TrainingWork, round: Int, _ scratch: UnsafeMutableRawPointer
  ) {
    guard input.hasGradient else { return }
    let (outer, target) = (output.gradient(work), startedGradient(0, work))
    for image in 0..<work.images.count {
      thaw_average_backward(
        geometry.pointer, outer + image * output.stride, factors.start,
        target + image * input.stride)
    }
  }
}
