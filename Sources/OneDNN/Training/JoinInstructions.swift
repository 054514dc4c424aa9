// SPDX-License-Identifier: Apache-2.0

import CThawKernels
import ThawNetwork
import ThawTensors

/// Element-wise sum of two inputs, with a rectifier behind it.
final class AdditionInstruction: TrainingInstructionBase, TrainingInstruction {
  init(_ context: TrainingContext, rectifier: Activation?) {
    super.init(context.node.path, context.inputs, context.output, rectifier: rectifier)
  }

  override var keepsOutput: Bool { rectifier != THAW_IDENTITY && output.hasGradient }
  override var canShareGradient: [Bool] { [true, true] }

  func forward(
    _ work: TrainingWork, round: Int, _ scratch: UnsafeMutableRawPointer
  ) {
    thaw_sum(
      inputs[0].values(work), inputs[1].values(work), forwardRectifier, output.values(work),
      Int64(work.images.count * output.stride))
  }

  func backward(
    _ work: TrainingWork, round: Int, _ scratch: UnsafeMutableRawPointer
  ) {
    let outer = output.gradient(work)
    if rectifier != THAW_IDENTITY {
      thaw_rectify_backward(
        outer, output.values(work), rectifier, outer, Int64(work.images.count * output.stride))
    }
    if inputs[0] === inputs[1] && sharesGradient[0] {
      // x + x: the shared gradient counts twice.
      guard inputs[0].hasGradient else { return }
      return thaw_sum(
        outer, outer, THAW_IDENTITY, outer, Int64(work.images.count * output.stride))
    }
    // The one in the same memory last: the other still reads the unchanged gradient.
    for index in [0, 1].sorted(by: { !sharesGradient[$0] && sharesGradient[$1] }) {
      pass(outer, to: index, work)
    }
  }
}

/// Concatenation along the channels, pixel by pixel.
final class ConcatenationInstruction: TrainingInstructionBase, TrainingInstruction {
  init(_ context: TrainingContext) {
    super.init(context.node.path, context.inputs, context.output)
  }

  /// Calls `body` with (position in the input, in the output) of each pixel.
  private func forEachPixel(
    _ index: Int, _ work: TrainingWork, _ body: (Int, Int) -> Void
  ) {
    let offset = inputs[..<index].reduce(0) { $0 + $1.channels }
    let width = inputs[index].channels
    for pixel in 0..<(work.images.count * output.plane) {
      body(pixel * width, pixel * output.channels + offset)
    }
  }

  func forward(
    _ work: TrainingWork, round: Int, _ scratch: UnsafeMutableRawPointer
  ) {
    let result = output.values(work)
    for (index, input) in inputs.enumerated() {
      let source = input.values(work)
      forEachPixel(index, work) { from, to in
        (result + to).update(from: source + from, count: input.channels)
      }
    }
  }

  func backward(
    _ work: TrainingWork, round: Int, _ scratch: UnsafeMutableRawPointer
  ) {
    let outer = output.gradient(work)
    for (index, input) in inputs.enumerated() where input.hasGradient {
      let target = input.gradient(work)
      let adds = accumulates[index]
      forEachPixel(index, work) { from, to in
        if adds {
          thaw_add(target + from, outer + to, Int64(input.channels))
        } else {
          (target + from).update(from: outer + to, count: input.channels)
        }
      }
    }
  }
}

/// [N, C, H, W] to [N, C * H * W] in PyTorch's order.
final class FlattenInstruction: TrainingInstructionBase, TrainingInstruction {
  init(_ context: TrainingContext) {
    super.init(context.node.path, context.inputs, context.output)
  }

  override var canShareGradient: [Bool] { [input.plane == 1] }

  func forward(
    _ work: TrainingWork, round: Int, _ scratch: UnsafeMutableRawPointer
  ) {
    let (source, result) = (input.values(work), output.values(work))
    for image in 0..<work.images.count {
      thaw_transpose(
        source + image * input.stride, Int64(input.plane), Int64(input.channels), false,
        result + image * input.stride)
    }
  }

  func backward(
    _ work: TrainingWork, round: Int, _ scratch: UnsafeMutableRawPointer
  ) {
    guard input.hasGradient, !sharesGradient[0] else { return }
    let (outer, target) = (output.gradient(work), input.gradient(work))
    for image in 0..<work.images.count {
      thaw_transpose(
        outer + image * input.stride, Int64(input.channels), Int64(input.plane), accumulates[0],
        target + image * input.stride)
    }
  }
}
