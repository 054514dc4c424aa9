// SPDX-License-Identifier: Apache-2.0

import Glibc
import ThawExecution
import ThawNetwork
import ThawTensors

/// Multi-head self-attention: see ``Attention``. All matrices are [channels, tokens], row major.
///
/// Per sample and head, with Q and K as they are turned, S = scale Q^T K and P = softmax of S's rows:
/// Y = V P^T, and the values' bias, which every row of P weighs by 1. Backward computes P anew: dV = dY P,
/// dP = dY^T V, dS = P (dP - sum over the row of dP P), dQ = scale K dS^T, dK = scale Q dS, and dQ and dK turned
/// back.
final class ReferenceAttention<Scalar: BLASScalar>: ReferenceLayer {
  private let layer: Attention
  private let input: ReferenceValue<Scalar>
  private let output: ReferenceValue<Scalar>
  private let scratch: ReferenceScratch<Scalar>
  private let queryBias: PlanParameter<Scalar>?
  private let valueBias: PlanParameter<Scalar>?
  /// Cosines, then sines, each [width / 2, patches]; empty where nothing is turned.
  private let turns: AlignedStorage<Scalar>

  init(
    _ layer: Attention, _ context: ReferenceContext<Scalar>, _ scratch: ReferenceScratch<Scalar>
  ) {
    self.layer = layer
    input = context.input
    output = context.output
    self.scratch = scratch
    queryBias = layer.hasBiases ? context.parameters[0] : nil
    valueBias = layer.hasBiases ? context.parameters[1] : nil
    turns = AlignedStorage(count: 2 * (context.angles?.count ?? 0))
    if let angles = context.angles { ReferenceAttention.fill(turns.start, angles) }
    let tokens = context.output.stride / layer.channels
    scratch.reserve((context.trains ? 2 : 1) * tokens * tokens + 3 * layer.width * tokens)
  }

  /// - Parameter angles: [patches, width / 2].
  private static func fill(_ turns: UnsafeMutablePointer<Scalar>, _ angles: Tensor<Double>) {
    let (patches, half) = (angles.shape[0], angles.shape[1])
    for patch in 0..<patches {
      for channel in 0..<half {
        let angle = angles[patch * half + channel]
        turns[channel * patches + patch] = Scalar(cos(angle))
        turns[angles.count + channel * patches + patch] = Scalar(sin(angle))
      }
    }
  }

  private var tokens: Int { output.stride / layer.channels }
  /// Elements of a head's queries, keys or values.
  private var count: Int { layer.width * tokens }
  // Working memory: queries and keys as they are turned, a gradient of one of them, weights, slopes.
  private var queries: UnsafeMutablePointer<Scalar> { scratch.start }
  private var keys: UnsafeMutablePointer<Scalar> { scratch.start + count }
  private var slope: UnsafeMutablePointer<Scalar> { scratch.start + 2 * count }
  private var weights: UnsafeMutablePointer<Scalar> { scratch.start + 3 * count }
  private var slopes: UnsafeMutablePointer<Scalar> { weights + tokens * tokens }

  /// Where one head of one sample lies: queries, keys and values in the input, its result in the output.
  private struct Head {
    /// Of its channels the first.
    let channel: Int
    let queries: Int
    let keys: Int
    let values: Int
    let result: Int
  }

  private func forEachHead(_ pass: ReferencePass, _ body: (Head) -> Void) {
    for sample in 0..<pass.count { forEachHead(ofSample: sample, body) }
  }

  private func forEachHead(ofSample sample: Int, _ body: (Head) -> Void) {
    let part = layer.channels * tokens
    for head in 0..<layer.heads {
      let start = sample * input.stride + head * count
      body(
        Head(
          channel: head * layer.width, queries: start, keys: start + part,
          values: start + 2 * part, result: sample * output.stride + head * count))
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

  /// Turns a head's [width, tokens] in place, or back with a `direction` of -1.
  private func turn(_ values: UnsafeMutablePointer<Scalar>, _ direction: Scalar) {
    guard let rotary = layer.rotary, !turns.elements.isEmpty else { return }
    let (half, patches) = (layer.width / 2, tokens - rotary.prefix)
    for channel in 0..<half {
      let first = values + channel * tokens + rotary.prefix
      let second = first + half * tokens
      let cosines = turns.start + channel * patches
      let sines = cosines + half * patches
      for patch in 0..<patches {
        let (x, y) = (first[patch], second[patch])
        first[patch] = x * cosines[patch] - direction * y * sines[patch]
        second[patch] = y * cosines[patch] + direction * x * sines[patch]
      }
    }
  }

  /// P of one head, and its queries and keys, in the working memory.
  private func weigh(_ head: Head) {
    queries.update(from: input.values + head.queries, count: count)
    keys.update(from: input.values + head.keys, count: count)
    if let queryBias { add(queryBias.values + head.channel, to: queries) }
    turn(queries, 1)
    turn(keys, 1)
    LinearAlgebra.multiply(
      matrix(queries, transposed: true), matrix(keys), into: weights, alpha: Scalar(layer.scale))
    ReferenceSoftmax.apply(weights, rows: tokens, columns: tokens)
  }

  /// The mean of P over the heads, of the first sample of the last pass, [tokens, tokens].
  var meanWeights: [Scalar] {
    let share = 1 / Scalar(layer.heads)
    var result = [Scalar](repeating: 0, count: tokens * tokens)
    forEachHead(ofSample: 0) { head in
      weigh(head)
      for index in result.indices { result[index] += share * weights[index] }
    }
    return result
  }

  /// Adds a number of its own to each of a head's channels.
  private func add(_ bias: UnsafePointer<Scalar>, to values: UnsafeMutablePointer<Scalar>) {
    for channel in 0..<layer.width {
      for token in 0..<tokens { values[channel * tokens + token] += bias[channel] }
    }
  }

  /// Adds a head's sums over tokens to the gradient of a bias.
  private func addSums(
    of values: UnsafePointer<Scalar>, to gradient: UnsafeMutablePointer<Scalar>
  ) {
    for channel in 0..<layer.width {
      for token in 0..<tokens { gradient[channel] += values[channel * tokens + token] }
    }
  }

  func forward(_ pass: ReferencePass) {
    forEachHead(pass) { head in
      weigh(head)
      let result = output.values + head.result
      LinearAlgebra.multiply(
        matrix(input.values + head.values), square(weights, transposed: true), into: result)
      if let valueBias { add(valueBias.values + head.channel, to: result) }
    }
  }

  func backward(_ pass: ReferencePass) {
    guard let outer = output.gradient else { return }
    forEachHead(pass) { head in
      let dy = UnsafePointer(outer + head.result)
      if let gradient = valueBias?.gradient { addSums(of: dy, to: gradient + head.channel) }
      guard input.gradient != nil || queryBias?.gradient != nil else { return }
      weigh(head)
      LinearAlgebra.multiply(
        matrix(dy, transposed: true), matrix(input.values + head.values), into: slopes)
      ReferenceSoftmax.applyBackward(slopes, weights, rows: tokens, columns: tokens)
      LinearAlgebra.multiply(
        matrix(keys), square(slopes, transposed: true), into: slope, alpha: Scalar(layer.scale))
      turn(slope, -1)
      if let gradient = queryBias?.gradient { addSums(of: slope, to: gradient + head.channel) }
      guard let gradient = input.gradient else { return }
      ElementLoops.add(slope, to: gradient + head.queries, count: count)
      LinearAlgebra.multiply(
        matrix(queries), square(slopes), into: slope, alpha: Scalar(layer.scale))
      turn(slope, -1)
      ElementLoops.add(slope, to: gradient + head.keys, count: count)
      LinearAlgebra.multiply(
        matrix(dy), square(weights), into: gradient + head.values, beta: 1)
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
