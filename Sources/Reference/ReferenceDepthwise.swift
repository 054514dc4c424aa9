// SPDX-License-Identifier: Apache-2.0

import ThawExecution
import ThawNetwork
import ThawTensors

/// A convolution with one input channel a group, as loops over rows: matrices of one row would only
/// move memory. Output channel o reads input channel o / (outputs / inputs).
final class ReferenceDepthwise<Scalar: BLASScalar>: ReferenceLayer {
  private let layer: Convolution2D
  private let window: ReferenceWindow
  private let input: ReferenceValue<Scalar>
  private let output: ReferenceValue<Scalar>
  private let weight: PlanParameter<Scalar>
  private let bias: PlanParameter<Scalar>?

  init(_ layer: Convolution2D, _ context: ReferenceContext<Scalar>) {
    self.layer = layer
    input = context.input
    output = context.output
    window = ReferenceWindow(layer.window, input: input.image, output: output.image)
    weight = context.required(.weight)
    bias = context.parameter(.bias)
  }

  /// Calls `body` with (input plane, output plane, first tap) as element offsets.
  private func forEachPlane(_ count: Int, _ body: (Int, Int, Int) -> Void) {
    let multiplier = layer.outputs / layer.inputs
    for image in 0..<count {
      for channel in 0..<layer.outputs {
        body(
          image * input.stride + channel / multiplier * window.inputPlane,
          image * output.stride + channel * window.plane, channel * window.taps)
      }
    }
  }

  func forward(_ pass: ReferencePass) {
    ElementLoops.clear(output.values, count: pass.count * output.stride)
    forEachPlane(pass.count) { from, to, kernel in
      ReferenceTaps.correlate(
        input.values + from, weight.values + kernel, window, addingTo: output.values + to)
    }
    if let bias = bias?.values {
      ElementLoops.addBias(
        bias, to: output.values, rows: pass.count, channels: layer.outputs, plane: window.plane)
    }
  }

  func backward(_ pass: ReferencePass) {
    guard let outer = output.gradient else { return }
    forEachPlane(pass.count) { from, to, kernel in
      if let gradient = weight.gradient {
        ReferenceTaps.addWeightGradient(
          of: outer + to, input.values + from, window, to: gradient + kernel)
      }
      if let gradient = input.gradient {
        ReferenceTaps.spread(outer + to, weight.values + kernel, window, addingTo: gradient + from)
      }
    }
    if let gradient = bias?.gradient {
      ElementLoops.addBiasGradient(
        of: outer, to: gradient, rows: pass.count, channels: layer.outputs, plane: window.plane)
    }
  }
}

/// Loops over one plane, tap by tap.
enum ReferenceTaps {
  /// output[oy, ox] += sum over taps of weight[tap] * input[iy, ix].
  @specialized(where Scalar == Float)
  @specialized(where Scalar == Double)
  static func correlate<Scalar: BLASScalar>(
    _ input: UnsafePointer<Scalar>, _ weight: UnsafePointer<Scalar>, _ window: ReferenceWindow,
    addingTo output: UnsafeMutablePointer<Scalar>
  ) {
    for ky in 0..<window.kernel.height {
      for kx in 0..<window.kernel.width {
        let tap = weight[ky * window.kernel.width + kx]
        let span = window.columns(kx)
        let offset = window.columnOffset(kx)
        for oy in window.rows(ky) {
          let iy = oy * window.stride.height + window.rowOffset(ky)
          let target = output + oy * window.output.width
          let source = input + iy * window.input.width
          for ox in span { target[ox] += tap * source[ox * window.stride.width + offset] }
        }
      }
    }
  }

  /// input[iy, ix] += sum over taps of weight[tap] * output[oy, ox]: the transpose of `correlate`.
  @specialized(where Scalar == Float)
  @specialized(where Scalar == Double)
  static func spread<Scalar: BLASScalar>(
    _ output: UnsafePointer<Scalar>, _ weight: UnsafePointer<Scalar>, _ window: ReferenceWindow,
    addingTo input: UnsafeMutablePointer<Scalar>
  ) {
    for ky in 0..<window.kernel.height {
      for kx in 0..<window.kernel.width {
        let tap = weight[ky * window.kernel.width + kx]
        let span = window.columns(kx)
        let offset = window.columnOffset(kx)
        for oy in window.rows(ky) {
          let iy = oy * window.stride.height + window.rowOffset(ky)
          let source = output + oy * window.output.width
          let target = input + iy * window.input.width
          for ox in span { target[ox * window.stride.width + offset] += tap * source[ox] }
        }
      }
    }
  }

  /// weight[tap] += sum over outputs of gradient[oy, ox] * input[iy, ix].
  @specialized(where Scalar == Float)
  @specialized(where Scalar == Double)
  static func addWeightGradient<Scalar: BLASScalar>(
    of gradient: UnsafePointer<Scalar>, _ input: UnsafePointer<Scalar>, _ window: ReferenceWindow,
    to weight: UnsafeMutablePointer<Scalar>
  ) {
    for ky in 0..<window.kernel.height {
      for kx in 0..<window.kernel.width {
        var sum: Scalar = 0
        let span = window.columns(kx)
        let offset = window.columnOffset(kx)
        for oy in window.rows(ky) {
          let iy = oy * window.stride.height + window.rowOffset(ky)
          let outer = gradient + oy * window.output.width
          let source = input + iy * window.input.width
          for ox in span { sum += outer[ox] * source[ox * window.stride.width + offset] }
        }
        weight[ky * window.kernel.width + kx] += sum
      }
    }
  }
}
