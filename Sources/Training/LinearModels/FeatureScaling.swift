// SPDX-License-Identifier: Apache-2.0

import ThawTensors

/// Mean and deviation of every feature, and how to do without them afterwards.
struct FeatureScaling {
  let means: [Double]
  /// Standard deviations (divided by n), 1 for constant features.
  let deviations: [Double]

  /// Measures features [n, inputs]; means 0 and deviations 1 when `isIdentity`.
  init(_ features: UnsafeMutableBufferPointer<Float>, inputs: Int, isIdentity: Bool) {
    var means = [Double](repeating: 0, count: inputs)
    var deviations = [Double](repeating: 1, count: inputs)
    if !isIdentity {
      let count = Double(features.count / inputs)
      FeatureScaling.forEach(features, inputs) { means[$0] += Double(features[$1]) / count }
      var variances = [Double](repeating: 0, count: inputs)
      FeatureScaling.forEach(features, inputs) { column, index in
        let distance = Double(features[index]) - means[column]
        variances[column] += distance * distance / count
      }
      // A feature that is constant up to rounding carries nothing worth magnifying.
      deviations = zip(variances, means).map { variance, mean in
        variance <= 1e-12 * mean * mean || variance == 0 ? 1 : variance.squareRoot()
      }
    }
    self.means = means
    self.deviations = deviations
  }

  /// (x - mean) / deviation, in place.
  func apply(to features: UnsafeMutableBufferPointer<Float>) {
    guard means.contains(where: { $0 != 0 }) || deviations.contains(where: { $0 != 1 }) else {
      return
    }
    FeatureScaling.forEach(features, means.count) { column, index in
      features[index] = Float((Double(features[index]) - means[column]) / deviations[column])
    }
  }

  /// W [classes, inputs] and b [classes] of scaled features, as a layer on the original ones:
  /// W' = W / deviation, b' = b - sum W' * mean.
  func fold(_ point: [Double], classes: Int) -> (weight: Tensor<Float>, bias: Tensor<Float>) {
    let inputs = means.count
    var weight = [Float](repeating: 0, count: classes * inputs)
    var bias = [Float](repeating: 0, count: classes)
    for row in 0..<classes {
      var shift = point[classes * inputs + row]
      for column in 0..<inputs {
        let value = point[row * inputs + column] / deviations[column]
        weight[row * inputs + column] = Float(value)
        shift -= value * means[column]
      }
      bias[row] = Float(shift)
    }
    return (Tensor(weight, shape: [classes, inputs]), Tensor(bias, shape: [classes]))
  }

  private static func forEach(
    _ features: UnsafeMutableBufferPointer<Float>, _ inputs: Int, _ body: (Int, Int) -> Void
  ) {
    for row in stride(from: 0, to: features.count, by: inputs) {
      for column in 0..<inputs { body(column, row + column) }
    }
  }
}
