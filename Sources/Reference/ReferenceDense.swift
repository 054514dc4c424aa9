// SPDX-License-Identifier: Apache-2.0

import ThawExecution
import ThawNetwork
import ThawTensors

/// A dense layer: output [N, O] = input [N, I] * weight^T [I, O] + bias.
final class ReferenceDense<Scalar: BLASScalar>: ReferenceLayer {
  private let layer: Dense
  private let input: ReferenceValue<Scalar>
  private let output: ReferenceValue<Scalar>
  private let weight: PlanParameter<Scalar>
  private let bias: PlanParameter<Scalar>?
  /// In a plan that never trains each row is a product of its own, so that its bits cannot depend
  /// on the rows beside it.
  private let rowsPerProduct: Int

  init(_ layer: Dense, _ context: ReferenceContext<Scalar>) {
    self.layer = layer
    input = context.input
    output = context.output
    weight = context.required(.weight)
    bias = context.parameter(.bias)
    rowsPerProduct = context.trains ? output.shape[0] : 1
  }

  func forward(_ pass: ReferencePass) {
    let kernel = MatrixView(
      UnsafePointer(weight.values), rows: layer.inputs, columns: layer.outputs, transposed: true)
    for first in stride(from: 0, to: pass.count, by: rowsPerProduct) {
      LinearAlgebra.multiply(
        MatrixView(
          input.values + first * layer.inputs, rows: min(rowsPerProduct, pass.count - first),
          columns: layer.inputs),
        kernel, into: output.values + first * layer.outputs)
    }
    if let bias {
      ElementLoops.addBias(
        bias.values, to: output.values, rows: pass.count, channels: layer.outputs, plane: 1)
    }
  }

  func backward(_ pass: ReferencePass) {
    guard let outer = output.gradient else { return }
    if let gradient = weight.gradient {
      // dW [O, I] += dY^T [O, N] * X [N, I]
      LinearAlgebra.multiply(
        MatrixView(outer, rows: layer.outputs, columns: pass.count, transposed: true),
        MatrixView(input.values, rows: pass.count, columns: layer.inputs), into: gradient, beta: 1)
    }
    if let gradient = input.gradient {
      // dX [N, I] += dY [N, O] * W [O, I]
      LinearAlgebra.multiply(
        MatrixView(outer, rows: pass.count, columns: layer.outputs),
        MatrixView(weight.values, rows: layer.outputs, columns: layer.inputs),
        into: gradient, beta: 1)
    }
    if let gradient = bias?.gradient {
      ElementLoops.addBiasGradient(
        of: outer, to: gradient, rows: pass.count, channels: layer.outputs, plane: 1)
    }
  }
}
