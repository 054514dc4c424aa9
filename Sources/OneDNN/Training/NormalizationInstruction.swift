// SPDX-License-Identifier: Apache-2.0

import CThawKernels
import ThawExecution
import ThawNetwork
import ThawTensors

/// A batch norm that is executed as one, with a residual addition and a rectifier behind it.
///
/// y = rectifier(gamma * (x - mean) * inverse + beta + residual), inverse = 1 / sqrt(variance +
/// epsilon). With batch statistics it has two rounds each way: sums over the batch, then the map.
/// Lanes take the moments of their images apart, and those are merged in the lanes' order; then those of
/// the batch's shards in theirs.
///
/// - Source: Chan, Golub and LeVeque 1983 for the merging; Ioffe and Szegedy 2015, arXiv:1502.03167;
///   for the running variance ``VarianceCorrection``.
final class NormalizationInstruction: TrainingInstructionBase, TrainingInstruction {
  private let layer: BatchNormalization
  private let mode: BatchNormMode
  private let hasResidual: Bool
  private let gamma: PlanParameter<Float>?
  private let beta: PlanParameter<Float>?
  private let runningMean: PlanParameter<Float>
  private let runningVariance: PlanParameter<Float>
  /// Of each lane, [C]: forward the mean of its rows and their squared distances from it; backward the
  /// sums of dy and of dy * (x - mean).
  private let sums: [AlignedStorage<Double>]
  private let squares: [AlignedStorage<Double>]
  /// Rows that are in the lanes' sums.
  private let seen: LaneStorage<Int>
  /// Of the last forward pass: [C]. The map is y = scale * x + shift.
  private let mean: AlignedStorage<Float>
  private let inverse: AlignedStorage<Double>
  private let scale: AlignedStorage<Float>
  private let shift: AlignedStorage<Float>
  /// dx = scale * dy + slope * x + offset: [C].
  private let slope: AlignedStorage<Float>
  private let offset: AlignedStorage<Float>
  /// Values of a channel in the last forward pass's batch.
  private var batchValues = 0.0

  init(
    _ layer: BatchNormalization, _ context: TrainingContext, residual: TrainingValue?,
    rectifier: Activation?
  ) {
    self.layer = layer
    mode = context.mode
    hasResidual = residual != nil
    gamma = context.parameter(.normScale)
    beta = context.parameter(.normShift)
    runningMean = context.required(.runningMean)
    runningVariance = context.required(.runningVariance)
    let channels = layer.channels
    sums = (0..<context.lanes).map { _ in AlignedStorage(count: channels) }
    seen = LaneStorage(repeating: 0, lanes: context.lanes)
    squares = (0..<context.lanes).map { _ in AlignedStorage(count: channels) }
    (mean, inverse) = (AlignedStorage(count: channels), AlignedStorage(count: channels))
    (scale, shift) = (AlignedStorage(count: channels), AlignedStorage(count: channels))
    (slope, offset) = (AlignedStorage(count: channels), AlignedStorage(count: channels))
    super.init(
      context.node.path, residual.map { [$0, context.input] } ?? [context.input], context.output,
      rectifier: rectifier)
  }

  private var usesBatch: Bool { mode.usesBatchStatistics }
  private var channels: Int64 { Int64(layer.channels) }
  private func rows(_ work: TrainingWork) -> Int64 {
    Int64(work.images.count * input.plane)
  }

  override var rounds: Int { usesBatch ? 2 : 1 }
  override var keepsInputs: [Bool] {
    inputs.indices.map { $0 == inputs.count - 1 && usesBatch && output.hasGradient }
  }
  override var keepsOutput: Bool { rectifier != THAW_IDENTITY && output.hasGradient }
  override var canShareGradient: [Bool] { inputs.indices.map { hasResidual && $0 == 0 } }

  override func check(_ pass: TrainingPass) throws {
    let takesBatch = pass.inspection?.usesBatch(path) ?? pass.isTraining
    if takesBatch && usesBatch && pass.batchCount * input.plane < 2 {
      throw NetworkError.degenerateBatch(layer: path)
    }
  }

  override func prepare(_ scratch: UnsafeMutableRawPointer) {
    if !usesBatch { useRunningStatistics() }
  }

  private func useRunningStatistics() {
    for channel in 0..<layer.channels {
      setMap(
        channel, Double(runningMean.values[channel]), Double(runningVariance.values[channel]))
    }
  }

  private func setMap(_ channel: Int, _ mean: Double, _ variance: Double) {
    let inverse = 1 / (variance + layer.epsilon).squareRoot()
    let scale = inverse * (gamma.map { Double($0.values[channel]) } ?? 1)
    self.mean.start[channel] = Float(mean)
    self.inverse.start[channel] = inverse
    self.scale.start[channel] = Float(scale)
    shift.start[channel] = Float((beta.map { Double($0.values[channel]) } ?? 0) - mean * scale)
  }

  private func clearSums() {
    for lane in sums.indices {
      sums[lane].elements.update(repeating: 0)
      squares[lane].elements.update(repeating: 0)
    }
    seen.reset(to: 0)
  }

  func forward(
    _ work: TrainingWork, round: Int, _ scratch: UnsafeMutableRawPointer
  ) {
    let source = input.values(work)
    if usesBatch && round == 0 {
      guard work.pass.isTraining || work.pass.inspection != nil else { return }
      thaw_moments(
        source, rows(work), channels, Int64(seen[work.lane]), sums[work.lane].start,
        squares[work.lane].start)
      seen[work.lane] += Int(rows(work))
      return
    }
    thaw_affine(
      source, scale.start, shift.start, hasResidual ? inputs[0].values(work) : nil,
      forwardRectifier,
      rows(work), channels, output.values(work))
  }

  override var sharedWidth: Int { usesBatch ? ShardMoments.width(channels: layer.channels) : 0 }

  override func collectForward(into row: UnsafeMutablePointer<Double>) {
    let (means, distances) = (row + 1, row + 1 + layer.channels)
    row[0] = 0
    for lane in sums.indices { row[0] += Double(seen[lane]) }
    for channel in 0..<layer.channels {
      var (count, mean, square) = (0.0, 0.0, 0.0)
      for lane in sums.indices where seen[lane] > 0 {
        let more = Double(seen[lane])
        let delta = sums[lane].start[channel] - mean
        mean += delta * more / (count + more)
        square += squares[lane].start[channel] + delta * delta * count * more / (count + more)
        count += more
      }
      (means[channel], distances[channel]) = (mean, square)
    }
    clearSums()
  }

  override func combineForward(_ pass: TrainingPass, _ rows: UnsafeBufferPointer<Double>) {
    guard pass.isTraining || pass.inspection != nil else { return useRunningStatistics() }
    var recorded: [(mean: Double, variance: Double)] = []
    for channel in 0..<layer.channels {
      let (count, mean, square) = ShardMoments.merged(
        rows, channels: layer.channels, channel: channel)
      setMap(channel, mean, square / count)
      batchValues = count
      if pass.inspection != nil {
        recorded.append((mean, square / count))
      } else if mode.movesRunningStatistics {
        let factor = layer.runningVarianceCorrection.factor(count: Int(count))
        move(channel, mean, square / count * factor)
      }
    }
    guard let inspection = pass.inspection else { return }
    inspection.record(path, count: pass.count * input.plane, recorded)
    if !inspection.usesBatch(path) { useRunningStatistics() }
  }

  private func move(_ channel: Int, _ mean: Double, _ variance: Double) {
    func blend(_ values: UnsafeMutablePointer<Float>, _ new: Double) {
      let old = Double(values[channel])
      values[channel] = Float((1 - layer.momentum) * old + layer.momentum * new)
    }
    blend(runningMean.values, mean)
    blend(runningVariance.values, variance)
  }

  func backward(
    _ work: TrainingWork, round: Int, _ scratch: UnsafeMutableRawPointer
  ) {
    let outer = output.gradient(work)
    if round == 0 {
      if rectifier != THAW_IDENTITY {
        thaw_rectify_backward(
          outer, output.values(work), rectifier, outer, Int64(work.images.count * output.stride))
      }
      if usesBatch {
        thaw_gradient_moments(
          outer, input.values(work), mean.start, rows(work), channels, sums[work.lane].start,
          squares[work.lane].start)
      }
    }
    guard round == rounds - 1 else { return }
    if hasResidual { pass(outer, to: 0, work) }
    guard input.hasGradient else { return }
    thaw_affine_backward(
      outer, usesBatch ? input.values(work) : nil, scale.start, slope.start, offset.start,
      accumulates[inputs.count - 1], rows(work), channels, input.gradient(work))
  }

  // With normalised x^ = (x - mean) * inverse and g = gamma * inverse, over n values a channel:
  //   dx = g * (dy - sum(dy) / n - x^ * sum(dy * x^) / n),  dgamma = sum(dy * x^), dbeta = sum(dy)
  // The gradients of gamma and beta are a shard's own, as those of all parameters.
  override func collectBackward(into row: UnsafeMutablePointer<Double>) {
    row[0] = 0
    for channel in 0..<layer.channels {
      var (sum, product) = (0.0, 0.0)
      for lane in sums.indices {
        sum += sums[lane].start[channel]
        product += squares[lane].start[channel]
      }
      gamma?.gradient?[channel] += Float(product * inverse.start[channel])
      beta?.gradient?[channel] += Float(sum)
      (row[1 + channel], row[1 + layer.channels + channel]) = (sum, product)
    }
    clearSums()
  }

  override func combineBackward(_ rows: UnsafeBufferPointer<Double>) {
    let width = sharedWidth
    for channel in 0..<layer.channels {
      let sum = ShardMoments.sum(rows, width: width, column: 1 + channel)
      let product = ShardMoments.sum(rows, width: width, column: 1 + layer.channels + channel)
      let inverse = inverse.start[channel]
      let scale = Double(scale.start[channel])
      let projection = scale * product / batchValues * inverse * inverse
      slope.start[channel] = Float(-projection)
      offset.start[channel] = Float(
        projection * Double(mean.start[channel]) - scale * sum / batchValues)
    }
  }
}
