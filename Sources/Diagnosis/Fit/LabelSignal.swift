// SPDX-License-Identifier: Apache-2.0

import Glibc
package import ThawTensors

/// Whether labels have anything to do with what the photos show.
///
/// Always answering the most frequent class needs no look at a photo. A classifier that has not seen the
/// photos, but others like them, has to do better than that: in what it gets right, or, where one class
/// is far more frequent than the others, in the probability that it gives to the label.
package struct LabelSignal: Sendable, Equatable, Codable {
  /// Error of always answering ``commonest``.
  package let baselineError: Double
  /// Error of classifiers that have not seen the photos they answer for.
  package let error: Double
  /// The most frequent class.
  package let commonest: String
  /// Standard errors by which the classifiers get more right.
  package let sigma: Double
  /// What they may at most get more right, as a share of the photos: their gain and two standard errors.
  package let mostGain: Double
  /// Nats by which they find the labels more probable than the shares of the classes do, and the standard
  /// error of that.
  package let (information, informationError): (Double, Double)

  /// Whether the labels can be told apart at all, beyond chance.
  package var isPresent: Bool { sigma > 2 || information > 2 * informationError }

  /// Whether a gain that would matter, a fifth of the photos, is ruled out. With few photos neither this nor
  /// ``isPresent`` need be the case.
  package var isAbsent: Bool { !isPresent && mostGain < 0.2 }

  /// Weighs the answers of classifiers; nil for fewer than ``fewestPhotos``.
  ///
  /// - Parameter probabilities: [n, classes], of photos that they have not seen.
  package init?(_ probabilities: Tensor<Float>, labels: [Int], classes: [String]) {
    guard labels.count >= LabelSignal.fewestPhotos else { return nil }
    let counts = Dictionary(grouping: labels, by: \.self).mapValues(\.count)
    guard let most = counts.max(by: { ($0.value, $1.key) < ($1.value, $0.key) }) else { return nil }
    let answers = probabilities.largestColumns()
    let pair = PairedLosses(
      first: PhotoResults(losses: labels.map { _ in 0 }, isRight: labels.map { $0 == most.key }),
      second: PhotoResults(
        losses: labels.map { _ in 0 }, isRight: zip(answers, labels).map { $0 == $1 }))
    let width = classes.count
    let gains = labels.enumerated().map { row, label in
      let share = Double(counts[label, default: 1]) / Double(labels.count)
      return log(max(Double(probabilities[row * width + label]), 1e-6)) - log(share)
    }
    let count = Double(labels.count)
    let mean = gains.reduce(0, +) / count
    let squares = gains.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
    commonest = classes[most.key]
    baselineError = 1 - Double(most.value) / count
    error = Double(zip(answers, labels).count { $0 != $1 }) / count
    (sigma, information) = (pair.sigma, mean)
    mostGain = pair.mostGain
    informationError = (squares / max(count - 1, 1) / count).squareRoot()
  }

  /// Fewer photos decide nothing.
  package static let fewestPhotos = 40
}
