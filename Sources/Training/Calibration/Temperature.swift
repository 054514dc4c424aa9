// SPDX-License-Identifier: Apache-2.0

import Glibc
package import ThawTensors

/// One number by which logits are divided, so that a probability says how often such an answer is right.
///
/// p[c] = exp(x[c] / T) / sum over k of exp(x[k] / T). Above 1 the network was too sure of itself, below 1
/// not sure enough. The order of the classes stays, so that no answer changes.
///
/// - Source: Guo et al. 2017, arXiv:1706.04599.
package struct Temperature: Sendable, Equatable, Codable {
  /// What logits are divided by, unitless, above 0.
  package let value: Double
  /// Photos that chose it; several of one picture count once.
  package let photos: Int

  /// With fewer photos the number says little; it then stays close to 1.
  package static let few = 100
  /// The logarithm of a temperature before any photo was seen: around 0, with this standard deviation.
  ///
  /// It draws what few photos say towards 1; a few hundred photos outweigh it.
  static let priorDeviation = 0.5
  /// No temperature beyond it, nor below its inverse, is believed.
  static let largest = 10.0

  package init(value: Double, photos: Int) {
    precondition(value > 0 && value.isFinite, "A temperature is above 0, not \(value).")
    (self.value, self.photos) = (value, photos)
  }

  private enum CodingKeys: String, CodingKey { case value, photos }

  /// Reads one and refuses what is none.
  package init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    value = try container.decode(Double.self, forKey: .value)
    photos = try container.decode(Int.self, forKey: .photos)
    guard value.isFinite, value >= 1 / Temperature.largest, value <= Temperature.largest else {
      throw DecodingError.dataCorruptedError(
        forKey: .value, in: container, debugDescription: "the temperature \(value) is impossible")
    }
  }

  /// Whether too few photos chose it to say much.
  package var isOfFew: Bool { photos < Temperature.few }

  /// The temperature with the smallest loss over photos that nothing was trained on, plus the prior's
  /// share: Newton's method on log T in Double, kept inside a bracket.
  ///
  /// - Parameters:
  ///   - logits: [n, classes], or logarithms of averaged probabilities.
  ///   - labels: the true classes, at least one.
  ///   - independent: how many of the photos say something of their own; nil for all of them.
  package static func fitted(
    _ logits: Tensor<Float>, labels: [Int], independent: Int? = nil
  ) -> Temperature {
    precondition(
      logits.shape.rank == 2 && logits.shape[0] == labels.count && !labels.isEmpty,
      "Logits \(logits.shape) do not fit \(labels.count) labels.")
    let weight = Double(min(independent ?? labels.count, labels.count)) / Double(labels.count)
    var (low, high) = (-log(largest), log(largest))
    var point = 0.0
    for _ in 0..<60 where high - low > 1e-10 {
      let (slope, curvature) = derivatives(logits, labels, at: point, weight: weight)
      if slope > 0 { high = point } else { low = point }
      let next = curvature > 0 ? point - slope / curvature : .nan
      let step = next > low && next < high ? next : (low + high) / 2
      if abs(step - point) < 1e-12 { break }
      point = step
    }
    return Temperature(
      value: exp(point), photos: min(independent ?? labels.count, labels.count))
  }

  /// First and second derivative by u = log T of the weighted sum of losses plus the prior's share.
  ///
  /// With b = exp(-u): d/du loss = -b (E[x] - x[y]), d2/du2 = b (E[x] - x[y]) + b^2 Var[x], under the
  /// probabilities at b.
  private static func derivatives(
    _ logits: Tensor<Float>, _ labels: [Int], at u: Double, weight: Double
  ) -> (slope: Double, curvature: Double) {
    let (classes, inverse) = (logits.shape[1], exp(-u))
    let precision = 1 / (priorDeviation * priorDeviation)
    var (slope, curvature) = (precision * u, precision)
    logits.withUnsafeElements { elements in
      for (sample, label) in labels.enumerated() {
        let row = elements[(sample * classes)..<((sample + 1) * classes)]
        let maximum = Double(row.max() ?? 0)
        var (sum, first, second) = (0.0, 0.0, 0.0)
        for element in row {
          let x = Double(element) - maximum
          let share = exp(x * inverse)
          sum += share
          first += share * x
          second += share * x * x
        }
        let mean = first / sum
        let excess = mean - (Double(row[row.startIndex + label]) - maximum)
        let variance = max(second / sum - mean * mean, 0)
        slope -= weight * inverse * excess
        curvature += weight * (inverse * excess + inverse * inverse * variance)
      }
    }
    return (slope, curvature)
  }

  /// The calibrated probabilities of logits, [n, classes].
  package func probabilities(ofLogits logits: Tensor<Float>) -> Tensor<Float> {
    scaled(logits.elements, logits.elements, logits.shape)
  }

  /// The calibrated probabilities of probabilities, such as averages over views: p^(1/T), in each row
  /// divided by its sum, [n, classes].
  ///
  /// Of a softmax it is the softmax of its logits divided by T.
  package func probabilities(of probabilities: Tensor<Float>) -> Tensor<Float> {
    scaled(
      Temperature.logarithms(of: probabilities).elements, probabilities.elements,
      probabilities.shape)
  }

  /// The softmax of x / T by rows, where the first largest element stays the first largest: rounding must
  /// not make a tie of what was none.
  private func scaled(
    _ x: [Float], _ original: [Float], _ shape: Shape
  ) -> Tensor<Float> {
    precondition(shape.rank == 2, "Rows of classes are expected, got \(shape).")
    let classes = shape[1]
    return Tensor(shape: shape) { result in
      for start in stride(from: 0, to: result.count, by: max(classes, 1)) {
        let row = (0..<classes).map { Double(x[start + $0]) / value }
        let maximum = row.max() ?? 0
        let shares = row.map { exp($0 - maximum) }
        let sum = shares.reduce(0, +)
        for index in 0..<classes { result[start + index] = Float(shares[index] / sum) }
        let best = (0..<classes).max {
          (original[start + $0], $1) < (original[start + $1], $0)
        }
        guard let best else { continue }
        for index in 0..<classes where index != best {
          let rival = result[start + index]
          let isAhead = index < best ? rival >= result[start + best] : rival > result[start + best]
          if isAhead { result[start + best] = index < best ? rival.nextUp : rival }
        }
      }
    }
  }

  /// The logarithms of probabilities, finite, for ``fitted(_:labels:independent:)``.
  package static func logarithms(of probabilities: Tensor<Float>) -> Tensor<Float> {
    Tensor(
      probabilities.elements.map { Float(log(Double(max($0, .leastNonzeroMagnitude)))) },
      shape: probabilities.shape)
  }
}
