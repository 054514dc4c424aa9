// SPDX-License-Identifier: Apache-2.0

import Glibc
package import ThawTensors

/// How a classifier answers when nobody says what is right: sure or not, one answer or many.
package struct HeadResponse: Sendable, Equatable, Codable {
  /// Mean probability of the most probable class.
  package let confidence: Double
  /// Mean entropy of the probabilities, nats.
  package let entropy: Double
  /// Entropy of the mean probabilities minus ``entropy``, nats: what the answers tell about the
  /// photos. A network that says the same of every photo tells nothing, however sure it is.
  package let information: Double
  /// Median over the photos of the largest logit minus the mean one, in logits.
  package let logitRange: Double
  /// Photos with finite logits.
  package let count: Int

  /// Summarises logits [photos, classes]; photos with logits that are not finite are left out.
  ///
  /// - Parameter photos: rows, which may repeat; all when nil.
  package init(_ logits: Tensor<Float>, photos: [Int]? = nil) {
    let classes = logits.shape[1]
    var mean = [Double](repeating: 0, count: classes)
    var (confidences, entropies, ranges): ([Double], [Double], [Double]) = ([], [], [])
    logits.withUnsafeElements { elements in
      for photo in photos ?? Array(0..<logits.shape[0]) {
        let row = elements[photo * classes..<(photo + 1) * classes].map(Double.init)
        guard let largest = row.max(), row.allSatisfy(\.isFinite) else { continue }
        let powers = row.map { exp($0 - largest) }
        let sum = powers.reduce(0, +)
        let probabilities = powers.map { $0 / sum }
        for index in probabilities.indices { mean[index] += probabilities[index] }
        confidences.append(1 / sum)
        entropies.append(HeadResponse.entropy(probabilities))
        ranges.append(largest - row.reduce(0, +) / Double(classes))
      }
    }
    let number = Double(max(confidences.count, 1))
    count = confidences.count
    confidence = confidences.reduce(0, +) / number
    entropy = entropies.reduce(0, +) / number
    information =
      count == 0 ? 0 : max(HeadResponse.entropy(mean.map { $0 / number }) - entropy, 0)
    logitRange = ranges.isEmpty ? 0 : ranges.sorted()[ranges.count / 2]
  }

  /// Minus the entropy, less the orders of magnitude by which logits leave the range that training
  /// leaves them in.
  ///
  /// Without the latter an input 255 times too large would win: everything after it is larger by the
  /// same factor, and the answers are as they were, only surer. (What the answers tell, their
  /// ``information``, does not rank contracts: two kinds of insects taken for two classes tell less
  /// than the same photos, spoilt, taken for fifty.)
  package var score: Double {
    let excess = log(max(logitRange, 1e-9) / HeadResponse.largestRange)
    let lack = log(HeadResponse.smallestRange / max(logitRange, 1e-9))
    return -entropy - max(excess, 0) - max(lack, 0)
  }

  /// Logits of networks trained with cross-entropy reach some ten above their mean (ImageNet
  /// classifiers: 7 to 20), seldom more than this...
  package static let largestRange = 40.0
  /// ...and more than this unless nothing was learned.
  package static let smallestRange = 0.5

  private static func entropy(_ probabilities: [Double]) -> Double {
    probabilities.reduce(0) { $1 > 0 ? $0 - $1 * log($1) : $0 }
  }
}
