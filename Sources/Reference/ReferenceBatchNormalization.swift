// SPDX-License-Identifier: Apache-2.0

import ThawExecution
import ThawNetwork
import ThawTensors

/// A batch norm in any ``BatchNormMode``, on [N, C, H, W] or [N, C].
///
/// y = gamma * (x - mean) * inverse + beta with inverse = 1 / sqrt(variance + epsilon); a missing
/// gamma is 1, a missing beta 0. All sums are taken in Double.
///
/// - Source: Ioffe and Szegedy 2015, arXiv:1502.03167; for the running variance ``VarianceCorrection``.
final class ReferenceBatchNormalization<Scalar: BLASScalar>: ReferenceSharingLayer {
  private let layer: BatchNormalization
  private let path: ParameterPath
  private let mode: BatchNormMode
  private let input: ReferenceValue<Scalar>
  private let output: ReferenceValue<Scalar>
  private let gamma: PlanParameter<Scalar>?
  private let beta: PlanParameter<Scalar>?
  private let runningMean: PlanParameter<Scalar>
  private let runningVariance: PlanParameter<Scalar>
  /// Mean and inverse of the last pass, [channels] each, as `backward` needs them.
  private let means: AlignedStorage<Double>
  private let inverses: AlignedStorage<Double>
  /// What a pass by itself knows, see ``ReferenceSharingLayer``.
  private let row: AlignedStorage<Double>
  /// Values of a channel in the last batch.
  private var batchValues = 0.0

  init(_ layer: BatchNormalization, _ context: ReferenceContext<Scalar>) {
    self.layer = layer
    path = context.node.path
    mode = context.mode
    input = context.input
    output = context.output
    gamma = context.parameter(.normScale)
    beta = context.parameter(.normShift)
    runningMean = context.required(.runningMean)
    runningVariance = context.required(.runningVariance)
    means = AlignedStorage(count: layer.channels)
    inverses = AlignedStorage(count: layer.channels)
    row = AlignedStorage(count: ShardMoments.width(channels: layer.channels))
  }

  private var plane: Int { input.stride / layer.channels }

  func check(_ pass: ReferencePass) throws {
    if usesBatch(pass) && pass.batchCount * plane < 2 {
      throw NetworkError.degenerateBatch(layer: path)
    }
  }

  /// Whether this pass normalises by the batch.
  private func usesBatch(_ pass: ReferencePass) -> Bool {
    guard mode.usesBatchStatistics else { return false }
    return pass.inspection?.usesBatch(path) ?? pass.isTraining
  }

  func forward(_ pass: ReferencePass) {
    let usesBatch = usesBatch(pass)
    let records = mode.usesBatchStatistics ? pass.inspection : nil
    if usesBatch || records != nil { collectForward(pass, into: row.start) }
    let rows = UnsafeBufferPointer(row.elements)
    if let records {
      let moments = (0..<layer.channels).map { channel in
        let (count, mean, square) = ShardMoments.merged(
          rows, channels: layer.channels, channel: channel)
        return (mean: mean, variance: square / count)
      }
      records.record(path, count: pass.count * plane, moments)
    }
    if usesBatch {
      combineForward(rows, moves: pass.isTraining)
    } else {
      for channel in 0..<layer.channels {
        set(channel, Double(runningMean.values[channel]), Double(runningVariance.values[channel]))
      }
    }
    finishForward(pass)
  }

  var sharedWidth: Int {
    mode.usesBatchStatistics ? ShardMoments.width(channels: layer.channels) : 0
  }

  func collectForward(_ pass: ReferencePass, into row: UnsafeMutablePointer<Double>) {
    row[0] = Double(pass.count * plane)
    for channel in 0..<layer.channels {
      let (mean, square) = slice(channel, pass).moments(input.values)
      (row[1 + channel], row[1 + layer.channels + channel]) = (mean, square)
    }
  }

  func combineForward(_ rows: UnsafeBufferPointer<Double>, moves: Bool) {
    for channel in 0..<layer.channels {
      let (count, mean, square) = ShardMoments.merged(
        rows, channels: layer.channels, channel: channel)
      batchValues = count
      set(channel, mean, square / count)
      if moves && mode.movesRunningStatistics {
        move(channel, mean, square / count, count: Int(count))
      }
    }
  }

  private func set(_ channel: Int, _ mean: Double, _ variance: Double) {
    means.start[channel] = mean
    inverses.start[channel] = 1 / (variance + layer.epsilon).squareRoot()
  }

  func finishForward(_ pass: ReferencePass) {
    for channel in 0..<layer.channels {
      slice(channel, pass).normalize(
        input.values, into: output.values, mean: means.start[channel],
        scale: inverses.start[channel] * scale(channel),
        shift: beta.map { Double($0.values[channel]) } ?? 0)
    }
  }

  private func slice(_ channel: Int, _ pass: ReferencePass) -> ReferenceChannel {
    ReferenceChannel(
      offset: channel * plane, rows: pass.count, rowStride: input.stride, plane: plane)
  }

  private func scale(_ channel: Int) -> Double { gamma.map { Double($0.values[channel]) } ?? 1 }

  /// Moves the running statistics of one channel towards those of a batch of `count` values.
  private func move(_ channel: Int, _ mean: Double, _ variance: Double, count: Int) {
    let corrected = variance * layer.runningVarianceCorrection.factor(count: count)
    func blend(_ values: UnsafeMutablePointer<Scalar>, _ new: Double) {
      let old = Double(values[channel])
      values[channel] = Scalar((1 - layer.momentum) * old + layer.momentum * new)
    }
    blend(runningMean.values, mean)
    blend(runningVariance.values, corrected)
  }

  // With normalised x^ = (x - mean) * inverse and g = gamma * inverse, over n values a channel:
  //   running statistics: dx = g * dy
  //   batch statistics:   dx = g * (dy - sum(dy) / n - x^ * sum(dy * x^) / n)
  //   dgamma = sum(dy * x^), dbeta = sum(dy)
  func backward(_ pass: ReferencePass) {
    let usesSums = mode.usesBatchStatistics || mode.trainsAffine
    if usesSums { collectBackward(pass, into: row.start) }
    finishBackward(pass, UnsafeBufferPointer(row.elements))
  }

  func collectBackward(_ pass: ReferencePass, into row: UnsafeMutablePointer<Double>) {
    guard let outer = output.gradient else { return }
    row[0] = 0
    for channel in 0..<layer.channels {
      let (sum, product) = slice(channel, pass).gradientSums(
        outer, input.values, mean: means.start[channel], inverse: inverses.start[channel])
      if let gradient = gamma?.gradient { gradient[channel] += Scalar(product) }
      if let gradient = beta?.gradient { gradient[channel] += Scalar(sum) }
      (row[1 + channel], row[1 + layer.channels + channel]) = (sum, product)
    }
  }

  func finishBackward(_ pass: ReferencePass, _ rows: UnsafeBufferPointer<Double>) {
    guard let outer = output.gradient, let gradient = input.gradient else { return }
    let usesBatch = mode.usesBatchStatistics
    let width = ShardMoments.width(channels: layer.channels)
    for channel in 0..<layer.channels {
      let inverse = inverses.start[channel]
      func mean(_ column: Int) -> Double {
        usesBatch
          ? ShardMoments.sum(rows, width: width, column: column) / batchValues : 0
      }
      slice(channel, pass).addInputGradient(
        of: outer, input.values, to: gradient, mean: means.start[channel],
        scale: inverse * scale(channel), meanGradient: mean(1 + channel),
        projection: usesBatch ? mean(1 + layer.channels + channel) * inverse : 0)
    }
  }
}

/// The elements of one channel of a value [rows, channels, plane].
struct ReferenceChannel {
  let offset: Int
  let rows: Int
  let rowStride: Int
  let plane: Int

  /// Values in the channel.
  var count: Int { rows * plane }

  /// Mean and the sum of the squared distances from it, in two passes; zeros of nothing.
  @specialized(where Scalar == Float)
  @specialized(where Scalar == Double)
  func moments<Scalar: BLASScalar>(_ x: UnsafePointer<Scalar>) -> (Double, Double) {
    guard count > 0 else { return (0, 0) }
    var sum = 0.0
    for row in 0..<rows {
      let start = x + (offset + row * rowStride)
      for index in 0..<plane { sum += Double(start[index]) }
    }
    let mean = sum / Double(count)
    var squares = 0.0
    for row in 0..<rows {
      let start = x + (offset + row * rowStride)
      for index in 0..<plane {
        let centred = Double(start[index]) - mean
        squares += centred * centred
      }
    }
    return (mean, squares)
  }

  /// y = (x - mean) * scale + shift.
  @specialized(where Scalar == Float)
  @specialized(where Scalar == Double)
  func normalize<Scalar: BLASScalar>(
    _ x: UnsafePointer<Scalar>, into y: UnsafeMutablePointer<Scalar>, mean: Double, scale: Double,
    shift: Double
  ) {
    for row in 0..<rows {
      let start = offset + row * rowStride
      for index in start..<(start + plane) {
        y[index] = Scalar((Double(x[index]) - mean) * scale + shift)
      }
    }
  }

  /// sum(dy) and sum(dy * x^).
  @specialized(where Scalar == Float)
  @specialized(where Scalar == Double)
  func gradientSums<Scalar: BLASScalar>(
    _ outer: UnsafePointer<Scalar>, _ x: UnsafePointer<Scalar>, mean: Double, inverse: Double
  ) -> (Double, Double) {
    var sum = 0.0
    var product = 0.0
    for row in 0..<rows {
      let start = offset + row * rowStride
      for index in start..<(start + plane) {
        sum += Double(outer[index])
        product += Double(outer[index]) * (Double(x[index]) - mean)
      }
    }
    return (sum, product * inverse)
  }

  /// dx += scale * (dy - meanGradient - (x - mean) * projection).
  @specialized(where Scalar == Float)
  @specialized(where Scalar == Double)
  func addInputGradient<Scalar: BLASScalar>(
    of outer: UnsafePointer<Scalar>, _ x: UnsafePointer<Scalar>,
    to gradient: UnsafeMutablePointer<Scalar>, mean: Double, scale: Double, meanGradient: Double,
    projection: Double
  ) {
    for row in 0..<rows {
      let start = offset + row * rowStride
      for index in start..<(start + plane) {
        let centred = (Double(x[index]) - mean) * projection
        gradient[index] += Scalar(scale * (Double(outer[index]) - meanGradient - centred))
      }
    }
  }
}
