// SPDX-License-Identifier: Apache-2.0

import ThawNetwork
import ThawTensors

/// The largest value under a window. Padding never wins, the first of equal values does, and NaN
/// beats everything, as in PyTorch. A window that sees no pixel at all yields minus infinity.
final class ReferenceMaximumPooling<Scalar: BLASScalar>: ReferenceLayer {
  private let window: ReferenceWindow
  private let input: ReferenceValue<Scalar>
  private let output: ReferenceValue<Scalar>
  /// Position in its input plane of every output's maximum, -1 for none; empty without training.
  private let winners: AlignedStorage<Int32>
  private let records: Bool

  init(_ window: Window2D, _ context: ReferenceContext<Scalar>) {
    input = context.input
    output = context.output
    self.window = ReferenceWindow(window, input: input.image, output: output.image)
    records = context.trains
    winners = AlignedStorage(count: records ? output.shape.count : 0)
  }

  func forward(_ pass: ReferencePass) {
    for plane in 0..<(pass.count * output.shape[1]) {
      ReferenceWindows.maximum(
        input.values + plane * window.inputPlane, window,
        into: output.values + plane * window.plane,
        winners: records ? winners.start + plane * window.plane : nil)
    }
  }

  func backward(_ pass: ReferencePass) {
    guard let outer = output.gradient, let gradient = input.gradient else { return }
    for plane in 0..<(pass.count * output.shape[1]) {
      ReferenceWindows.addWinners(
        outer + plane * window.plane, winners.start + plane * window.plane, count: window.plane,
        to: gradient + plane * window.inputPlane)
    }
  }
}

extension ReferenceMaximumPooling {
  func note(_ kinks: inout KinkSides, _ pass: ReferencePass) {
    for winner in winners.elements.prefix(pass.count * output.stride) {
      kinks.add(UInt64(truncatingIfNeeded: winner))
    }
  }
}

/// The mean under a window.
final class ReferenceAveragePooling<Scalar: BLASScalar>: ReferenceLayer {
  private let window: ReferenceWindow
  private let includesPadding: Bool
  private let input: ReferenceValue<Scalar>
  private let output: ReferenceValue<Scalar>

  init(_ window: Window2D, includesPadding: Bool, _ context: ReferenceContext<Scalar>) {
    input = context.input
    output = context.output
    self.window = ReferenceWindow(window, input: input.image, output: output.image)
    self.includesPadding = includesPadding
  }

  func forward(_ pass: ReferencePass) {
    for plane in 0..<(pass.count * output.shape[1]) {
      ReferenceWindows.average(
        input.values + plane * window.inputPlane, window, includesPadding,
        into: output.values + plane * window.plane)
    }
  }

  func backward(_ pass: ReferencePass) {
    guard let outer = output.gradient, let gradient = input.gradient else { return }
    for plane in 0..<(pass.count * output.shape[1]) {
      ReferenceWindows.spreadAverage(
        outer + plane * window.plane, window, includesPadding,
        to: gradient + plane * window.inputPlane)
    }
  }
}

/// The mean over a whole plane, summed in Double.
final class ReferenceGlobalAverage<Scalar: BLASScalar>: ReferenceLayer {
  private let input: ReferenceValue<Scalar>
  private let output: ReferenceValue<Scalar>

  init(_ context: ReferenceContext<Scalar>) {
    input = context.input
    output = context.output
  }

  func forward(_ pass: ReferencePass) {
    ReferenceWindows.means(
      input.values, into: output.values, planes: pass.count * output.stride,
      plane: input.stride / output.stride)
  }

  func backward(_ pass: ReferencePass) {
    guard let outer = output.gradient, let gradient = input.gradient else { return }
    ReferenceWindows.spreadMeans(
      outer, to: gradient, planes: pass.count * output.stride, plane: input.stride / output.stride)
  }
}
