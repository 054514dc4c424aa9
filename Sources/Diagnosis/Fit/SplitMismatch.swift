// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Whether the photos of two splits can be told apart by their features.
///
/// A classifier of the split is cross-validated; its area under the curve is 0.5 when the splits are
/// of one kind. Only photos of one class are compared with each other, so that splits with different
/// shares of the classes are not taken for photos of different kinds.
package struct SplitMismatch: Sendable, Equatable, Codable {
  /// Chance that a photo of the second split scores above one of the first, of the same class.
  package let auc: Double
  /// Chance of such an area when the splits are of one kind (one-sided).
  package let chance: Double
  /// Pairs of photos compared.
  package let pairs: Int

  /// Whether the splits differ: clearly more than chance, and enough to matter.
  package var isSignificant: Bool { auc >= SplitMismatch.telling && chance < 0.005 }

  /// Areas below this do no harm worth mentioning.
  package static let telling = 0.65

  /// Judges cross-validated scores; nil when no class has photos in both splits.
  ///
  /// The chance is that of the Mann-Whitney statistic, whose variance is
  /// (n1 + n2 + 1) / (12 n1 n2) in each class.
  ///
  /// - Parameter isSecond: which photos belong to the second split.
  package init?(scores: [Double], isSecond: [Bool], labels: [Int]) {
    precondition(
      scores.count == isSecond.count && scores.count == labels.count,
      "Every photo has a score, a split and a label.")
    var (wins, pairs, variance) = (0.0, 0, 0.0)
    for members in Dictionary(grouping: scores.indices, by: { labels[$0] }).values {
      let second = members.filter { isSecond[$0] }
      let first = members.filter { !isSecond[$0] }
      guard !first.isEmpty, !second.isEmpty else { continue }
      for one in second {
        for other in first {
          wins += scores[one] > scores[other] ? 1 : scores[one] == scores[other] ? 0.5 : 0
        }
      }
      let product = Double(first.count * second.count)
      pairs += first.count * second.count
      // Variance of the number of wins.
      variance += product * Double(first.count + second.count + 1) / 12
    }
    guard pairs > 0 else { return nil }
    self.pairs = pairs
    auc = wins / Double(pairs)
    let deviation = (wins - Double(pairs) / 2) / variance.squareRoot()
    chance = erfc(deviation / 2.0.squareRoot()) / 2
  }
}
