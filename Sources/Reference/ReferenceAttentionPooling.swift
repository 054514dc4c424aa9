// SPDX-License-Identifier: Apache-2.0

import ThawExecution
import ThawNetwork
import ThawTensors

/// Pooling of a sequence by one query that is learned: see ``AttentionPooling``. All matrices are [channels, tokens],
/// row major.
///
/// Per sample and head, p = softmax(scale K^T q) and y = V p. Backward computes p anew: dV = dy p^T, dp = V^T dy,
/// ds = p (dp - sum of dp p), dK = scale q ds^T, dq = scale K ds; then dW = dq l^T, db = dq and dl = W^T dq.
final class ReferenceAttentionPooling<Scalar: BLASScalar>: ReferenceLayer {
  private let layer: AttentionPooling
  private let input: ReferenceValue<Scalar>
  private let output: ReferenceValue<Scalar>
  private let scratch: ReferenceScratch<Scalar>
  /// Of the latent token, of the projection; or the query alone.
  private let parameters: [PlanParameter<Scalar>]

  init(
    _ layer: AttentionPooling, _ context: ReferenceContext<Scalar>,
    _ scratch: ReferenceScratch<Scalar>
  ) {
    self.layer = layer
    input = context.input
    output = context.output
    self.scratch = scratch
    parameters = context.parameters
    scratch.reserve(2 * layer.channels + 2 * context.input.stride / (2 * layer.channels))
  }

  private var tokens: Int { input.stride / (2 * layer.channels) }
  // Working memory: the query and its gradient, the weights of one head, their slopes.
  private var query: UnsafeMutablePointer<Scalar> { scratch.start }
  private var querySlope: UnsafeMutablePointer<Scalar> { query + layer.channels }
  private var weights: UnsafeMutablePointer<Scalar> { querySlope + layer.channels }
  private var slopes: UnsafeMutablePointer<Scalar> { weights + tokens }

  /// Where one head of one sample lies: keys and values in the input, its result in the output.
  private struct Head {
    /// Of its channels the first.
    let channel: Int
    let keys: Int
    let values: Int
    let result: Int
  }

  private func forEachHead(ofSample sample: Int, _ body: (Head) -> Void) {
    for head in 0..<layer.heads {
      let channel = head * layer.width
      let keys = sample * input.stride + channel * tokens
      body(
        Head(
          channel: channel, keys: keys, values: keys + layer.channels * tokens,
          result: sample * output.stride + channel))
    }
  }

  private func prepareQuery() {
    guard layer.hasProjection else {
      return query.update(from: parameters[0].values, count: layer.channels)
    }
    query.update(from: parameters[2].values, count: layer.channels)
    LinearAlgebra.multiply(
      MatrixView(parameters[1].values, rows: layer.channels, columns: layer.channels),
      column(parameters[0].values, layer.channels), into: query, beta: 1)
  }

  /// A head's [width, tokens] matrix.
  private func matrix(
    _ base: UnsafePointer<Scalar>, transposed: Bool = false
  ) -> MatrixView<Scalar> {
    MatrixView(
      base, rows: transposed ? tokens : layer.width, columns: transposed ? layer.width : tokens,
      transposed: transposed)
  }

  private func column(_ base: UnsafePointer<Scalar>, _ count: Int) -> MatrixView<Scalar> {
    MatrixView(base, rows: count, columns: 1)
  }

  private func row(_ base: UnsafePointer<Scalar>, _ count: Int) -> MatrixView<Scalar> {
    MatrixView(base, rows: 1, columns: count)
  }

  /// p of one head, in the working memory.
  private func weigh(_ head: Head) {
    LinearAlgebra.multiply(
      row(query + head.channel, layer.width), matrix(input.values + head.keys), into: weights,
      alpha: Scalar(layer.scale))
    ReferenceSoftmax.apply(weights, rows: 1, columns: tokens)
  }

  /// The mean of p over the heads, of the first sample of the last pass, [tokens].
  var meanWeights: [Scalar] {
    let share = 1 / Scalar(layer.heads)
    var result = [Scalar](repeating: 0, count: tokens)
    prepareQuery()
    forEachHead(ofSample: 0) { head in
      weigh(head)
      for index in result.indices { result[index] += share * weights[index] }
    }
    return result
  }

  func forward(_ pass: ReferencePass) {
    prepareQuery()
    for sample in 0..<pass.count {
      forEachHead(ofSample: sample) { head in
        weigh(head)
        LinearAlgebra.multiply(
          matrix(input.values + head.values), column(weights, tokens),
          into: output.values + head.result)
      }
    }
  }

  func backward(_ pass: ReferencePass) {
    guard let outer = output.gradient else { return }
    prepareQuery()
    ElementLoops.clear(querySlope, count: layer.channels)
    for sample in 0..<pass.count {
      forEachHead(ofSample: sample) { head in
        weigh(head)
        let dy = UnsafePointer(outer + head.result)
        LinearAlgebra.multiply(
          row(dy, layer.width), matrix(input.values + head.values), into: slopes)
        ReferenceSoftmax.applyBackward(slopes, weights, rows: 1, columns: tokens)
        let scale = Scalar(layer.scale)
        LinearAlgebra.multiply(
          matrix(input.values + head.keys), column(slopes, tokens),
          into: querySlope + head.channel, alpha: scale, beta: 1)
        guard let gradient = input.gradient else { return }
        LinearAlgebra.multiply(
          column(query + head.channel, layer.width), row(slopes, tokens),
          into: gradient + head.keys, alpha: scale, beta: 1)
        LinearAlgebra.multiply(
          column(dy, layer.width), row(weights, tokens), into: gradient + head.values, beta: 1)
      }
    }
    addParameterGradients()
  }

  private func addParameterGradients() {
    guard layer.hasProjection else {
      if let gradient = parameters[0].gradient {
        ElementLoops.add(querySlope, to: gradient, count: layer.channels)
      }
      return
    }
    if let gradient = parameters[0].gradient {
      LinearAlgebra.multiply(
        MatrixView(
          parameters[1].values, rows: layer.channels, columns: layer.channels, transposed: true),
        column(querySlope, layer.channels), into: gradient, beta: 1)
    }
    if let gradient = parameters[1].gradient {
      LinearAlgebra.multiply(
        column(querySlope, layer.channels), row(parameters[0].values, layer.channels),
        into: gradient, beta: 1)
    }
    if let gradient = parameters[2].gradient {
      ElementLoops.add(querySlope, to: gradient, count: layer.channels)
    }
  }
}
