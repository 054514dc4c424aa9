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
final class ReferenceBatchNormalization<Scalar: BLASScalar>: ReferenceLayer {
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
  }

  private var plane: Int { input.stride / layer.channels }

  func check(_ pass: ReferencePass) throws {
    if usesBatch(pass) && pass.count * plane < 2 {
      throw NetworkError.degenerateBatch(layer: path)
    }
  }

  /// Whether this pass normalises by the batch.
  private func usesBatch(_ pass: ReferencePass) -> Bool {
    guard mode.usesBatchStatistics else { return false }
    return pass.inspection?.usesBatch(path) ?? pass.isTraining
  }

  func forward(_ pass: ReferencePass) {
    let (means, inverses) = (means.start, inverses.start)
    let usesBatch = usesBatch(pass)
    let records = mode.usesBatchStatistics ? pass.inspection : nil
    var recorded: [(mean: Double, variance: Double)] = []
    for channel in 0..<layer.channels {
      let slice = ReferenceChannel(
        offset: channel * plane, rows: pass.count, rowStride: input.stride, plane: plane)
      var mean = Double(runningMean.values[channel])
      var variance = Double(runningVariance.values[channel])
      if usesBatch || records != nil {
        let moments = slice.moments(input.values)
        if records != nil { recorded.append(moments) }
        if usesBatch { (mean, variance) = moments }
        if usesBatch && mode.movesRunningStatistics && pass.isTraining {
          move(channel, mean, variance, count: slice.count)
        }
      }
      means[channel] = mean
      inverses[channel] = 1 / (variance + layer.epsilon).squareRoot()
      slice.normalize(
        input.values, into: output.values, mean: mean,
        scale: inverses[channel] * scale(channel),
        shift: beta.map { Double($0.values[channel]) } ?? 0)
    }
    records?.record(path, count: pass.count * plane, recorded)
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
    guard let outer = output.gradient else { return }
    for channel in 0..<layer.channels {
      let slice = ReferenceChannel(
        offset: channel * plane, rows: pass.count, rowStride: input.stride, plane: plane)
      let (mean, inverse) = (means.start[channel], inverses.start[channel])
      let sums =
        mode.usesBatchStatistics || mode.trainsAffine
        ? slice.gradientSums(outer, input.values, mean: mean, inverse: inverse) : (0, 0)
      if let gradient = gamma?.gradient { gradient[channel] += Scalar(sums.1) }
      if let gradient = beta?.gradient { gradient[channel] += Scalar(sums.0) }
      guard let gradient = input.gradient else { continue }
      let count = Double(slice.count)
      slice.addInputGradient(
        of: outer, input.values, to: gradient, mean: mean, scale: inverse * scale(channel),
        meanGradient: mode.usesBatchStatistics ? sums.0 / count : 0,
        projection: mode.usesBatchStatistics ? sums.1 / count * inverse : 0)
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

  /// Mean and biased variance, in two passes.
  @specialized(where Scalar == Float)
  @specialized(where Scalar == Double)
  func moments<Scalar: BLASScalar>(_ x: UnsafePointer<Scalar>) -> (Double, Double) {
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
    return (mean, squares / Double(count))
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
