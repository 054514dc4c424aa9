// SPDX-License-Identifier: Apache-2.0

import Glibc
import ThawExecution
import ThawNetwork
import ThawTensors

/// Multi-head self-attention: see ``Attention``. All matrices are [channels, tokens], row major.
///
/// Per sample and head, with S = scale Q^T K and P = softmax of S's rows: Y = V P^T. Backward computes P
/// anew: dV = dY P, dP = dY^T V, dS = P (dP - sum over the row of dP P), dQ = scale K dS^T,
/// dK = scale Q dS.
final class ReferenceAttention<Scalar: BLASScalar>: ReferenceLayer {
  private let layer: Attention
  private let input: ReferenceValue<Scalar>
  private let output: ReferenceValue<Scalar>
  private let scratch: ReferenceScratch<Scalar>

  init(
    _ layer: Attention, _ context: ReferenceContext<Scalar>, _ scratch: ReferenceScratch<Scalar>
  ) {
    self.layer = layer
    input = context.input
    output = context.output
    self.scratch = scratch
    let tokens = context.output.stride / layer.channels
    scratch.reserve((context.trains ? 2 : 1) * tokens * tokens)
  }

  private var tokens: Int { output.stride / layer.channels }

  /// Where one head of one sample lies: queries, keys and values in the input, its result in the output.
  private struct Head {
    let queries: Int
    let keys: Int
    let values: Int
    let result: Int
  }

  private func forEachHead(_ pass: ReferencePass, _ body: (Head) -> Void) {
    let part = layer.channels * tokens
    for sample in 0..<pass.count {
      for head in 0..<layer.heads {
        let start = sample * input.stride + head * layer.width * tokens
        body(
          Head(
            queries: start, keys: start + part, values: start + 2 * part,
            result: sample * output.stride + head * layer.width * tokens))
      }
    }
  }

  /// A head's [width, tokens] matrix.
  private func matrix(
    _ base: UnsafePointer<Scalar>, transposed: Bool = false
  ) -> MatrixView<Scalar> {
    MatrixView(
      base, rows: transposed ? tokens : layer.width, columns: transposed ? layer.width : tokens,
      transposed: transposed)
  }

  private func square(
    _ base: UnsafePointer<Scalar>, transposed: Bool = false
  ) -> MatrixView<Scalar> {
    MatrixView(base, rows: tokens, columns: tokens, transposed: transposed)
  }

  /// P of one head, in the scratch memory.
  private func weigh(_ head: Head) -> UnsafeMutablePointer<Scalar> {
    let weights = scratch.start
    LinearAlgebra.multiply(
      matrix(input.values + head.queries, transposed: true), matrix(input.values + head.keys),
      into: weights, alpha: Scalar(layer.scale))
    ReferenceSoftmax.apply(weights, rows: tokens, columns: tokens)
    return weights
  }

  func forward(_ pass: ReferencePass) {
    forEachHead(pass) { head in
      let weights = weigh(head)
      LinearAlgebra.multiply(
        matrix(input.values + head.values), square(weights, transposed: true),
        into: output.values + head.result)
    }
  }

  func backward(_ pass: ReferencePass) {
    guard let outer = output.gradient, let gradient = input.gradient else { return }
    forEachHead(pass) { head in
      let weights = weigh(head)
      let slopes = scratch.start + tokens * tokens
      let dy = UnsafePointer(outer + head.result)
      LinearAlgebra.multiply(
        matrix(dy), square(weights), into: gradient + head.values, beta: 1)
      LinearAlgebra.multiply(
        matrix(dy, transposed: true), matrix(input.values + head.values), into: slopes)
      ReferenceSoftmax.applyBackward(slopes, weights, rows: tokens, columns: tokens)
      LinearAlgebra.multiply(
        matrix(input.values + head.keys), square(slopes, transposed: true),
        into: gradient + head.queries, alpha: Scalar(layer.scale), beta: 1)
      LinearAlgebra.multiply(
        matrix(input.values + head.queries), square(slopes), into: gradient + head.keys,
        alpha: Scalar(layer.scale), beta: 1)
    }
  }
}

/// The softmax of each row of a matrix, in place; sums are taken in Double.
enum ReferenceSoftmax {
  /// x[r, i] = exp(x[r, i] - m) / sum over j of exp(x[r, j] - m), m the row's maximum.
  @specialized(where Scalar == Float)
  @specialized(where Scalar == Double)
  static func apply<Scalar: BLASScalar>(
    _ x: UnsafeMutablePointer<Scalar>, rows: Int, columns: Int
  ) {
    for row in 0..<rows {
      let start = x + row * columns
      var largest = start[0]
      for i in 1..<max(columns, 1) where !(start[i] <= largest) { largest = start[i] }
      var sum = 0.0
      for i in 0..<columns {
        let value = exp(Double(start[i]) - Double(largest))
        start[i] = Scalar(value)
        sum += value
      }
      for i in 0..<columns { start[i] = Scalar(Double(start[i]) / sum) }
    }
  }

  /// Turns the gradient by the softmax's result `p` into that by its argument:
  /// d[r, i] = p[r, i] (d[r, i] - sum over j of d[r, j] p[r, j]).
  @specialized(where Scalar == Float)
  @specialized(where Scalar == Double)
  static func applyBackward<Scalar: BLASScalar>(
    _ d: UnsafeMutablePointer<Scalar>, _ p: UnsafePointer<Scalar>, rows: Int, columns: Int
  ) {
    for row in 0..<rows {
      let start = row * columns
      var sum = 0.0
      for i in start..<start + columns { sum += Double(d[i]) * Double(p[i]) }
      for i in start..<start + columns { d[i] = Scalar(Double(p[i]) * (Double(d[i]) - sum)) }
    }
  }
}
