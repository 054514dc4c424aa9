// SPDX-License-Identifier: Apache-2.0

import ThawExecution
import ThawNetwork
import ThawTensors

/// A convolution as matrix products, image by image and group by group.
///
/// Shapes: weight [O, I / groups, kH, kW]; per group, with P output pixels and K = I / groups * taps:
/// output [O / groups, P] = weight [O / groups, K] * columns [K, P].
final class ReferenceConvolution<Scalar: BLASScalar>: ReferenceLayer {
  private let layer: Convolution2D
  private let window: ReferenceWindow
  private let input: ReferenceValue<Scalar>
  private let output: ReferenceValue<Scalar>
  private let weight: PlanParameter<Scalar>
  private let bias: PlanParameter<Scalar>?
  private let scratch: ReferenceScratch<Scalar>

  init(
    _ layer: Convolution2D, _ context: ReferenceContext<Scalar>, _ scratch: ReferenceScratch<Scalar>
  ) {
    self.layer = layer
    input = context.input
    output = context.output
    window = ReferenceWindow(layer.window, input: input.image, output: output.image)
    weight = context.required(.weight)
    bias = context.parameter(.bias)
    self.scratch = scratch
    if !window.isIdentity {
      scratch.reserve(layer.inputs / layer.groups * window.taps * window.plane)
    }
  }

  private var groupInputs: Int { layer.inputs / layer.groups }
  private var groupOutputs: Int { layer.outputs / layer.groups }
  /// K above.
  private var depth: Int { groupInputs * window.taps }

  /// Calls `body` with (element offsets of input, output and weight) for each image and group.
  private func forEachGroup(_ count: Int, _ body: (Int, Int, Int) -> Void) {
    for image in 0..<count {
      for group in 0..<layer.groups {
        body(
          image * input.stride + group * groupInputs * window.inputPlane,
          image * output.stride + group * groupOutputs * window.plane,
          group * groupOutputs * depth)
      }
    }
  }

  /// The column matrix of one image and group: the image itself when the window is the identity.
  private func columns(at offset: Int) -> UnsafePointer<Scalar> {
    let image = UnsafePointer(input.values + offset)
    if window.isIdentity { return image }
    ReferenceColumns.gather(image, channels: groupInputs, window, into: scratch.start)
    return UnsafePointer(scratch.start)
  }

  func forward(_ pass: ReferencePass) {
    let weights = weight.values
    forEachGroup(pass.count) { from, to, kernel in
      LinearAlgebra.multiply(
        MatrixView(weights + kernel, rows: groupOutputs, columns: depth),
        MatrixView(columns(at: from), rows: depth, columns: window.plane),
        into: output.values + to)
    }
    if let bias {
      ElementLoops.addBias(
        bias.values, to: output.values, rows: pass.count, channels: layer.outputs,
        plane: window.plane)
    }
  }

  func backward(_ pass: ReferencePass) {
    guard let outer = output.gradient else { return }
    if let gradient = weight.gradient { addWeightGradient(outer, gradient, pass.count) }
    if let gradient = input.gradient { addInputGradient(outer, gradient, pass.count) }
    if let gradient = bias?.gradient {
      ElementLoops.addBiasGradient(
        of: outer, to: gradient, rows: pass.count, channels: layer.outputs,
        plane: window.plane)
    }
  }

  /// dW [O / groups, K] += dY [O / groups, P] * columns^T [P, K].
  private func addWeightGradient(
    _ outer: UnsafeMutablePointer<Scalar>, _ gradient: UnsafeMutablePointer<Scalar>, _ count: Int
  ) {
    forEachGroup(count) { from, to, kernel in
      LinearAlgebra.multiply(
        MatrixView(outer + to, rows: groupOutputs, columns: window.plane),
        MatrixView(columns(at: from), rows: window.plane, columns: depth, transposed: true),
        into: gradient + kernel, beta: 1)
    }
  }

  /// dX += scatter(W^T [K, O / groups] * dY [O / groups, P]).
  private func addInputGradient(
    _ outer: UnsafeMutablePointer<Scalar>, _ gradient: UnsafeMutablePointer<Scalar>, _ count: Int
  ) {
    let weights = weight.values
    forEachGroup(count) { from, to, kernel in
      let target = window.isIdentity ? gradient + from : scratch.start
      LinearAlgebra.multiply(
        MatrixView(weights + kernel, rows: depth, columns: groupOutputs, transposed: true),
        MatrixView(outer + to, rows: groupOutputs, columns: window.plane),
        into: target, beta: window.isIdentity ? 1 : 0)
      if !window.isIdentity {
        ReferenceColumns.scatter(
          scratch.start, channels: groupInputs, window, addingTo: gradient + from)
      }
    }
  }
}
