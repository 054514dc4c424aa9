// SPDX-License-Identifier: Apache-2.0

package import ThawTraining

/// An order of classes in which those often confused are neighbours.
package enum Seriation {
  /// A permutation of the classes of a confusion matrix.
  ///
  /// The similarity of two classes is the share of either that is taken for the other, added up.
  /// Classes are joined by average linkage, the two clusters turned so that the most similar ends
  /// meet; then stretches are reversed while that raises the sum of neighbours' similarities. The
  /// given order is kept where nothing is confused, and altogether when no better one is found.
  /// Deterministic: ties go to the lower index. Time grows with the cube of the class count (200
  /// classes: well under a second).
  ///
  /// - Parameter confusion: square, `[true][predicted]`, counts or shares of at least 0.
  /// - Source: greedy leaf ordering after Gruvaeus and Wainer 1972; 2-opt, Croes 1958.
  package static func order(_ confusion: [[Double]]) -> [Int] {
    let similarity = similarities(confusion)
    guard similarity.count > 2 else { return Array(similarity.indices) }
    var order = improved(linked(similarity), similarity)
    if order[0] > order[order.count - 1] { order.reverse() }
    let given = Array(similarity.indices)
    return score(order, similarity) > score(given, similarity) + 1e-12 ? order : given
  }

  /// Sum of the similarities of neighbours, the quantity ``order(_:)`` makes large.
  package static func score(_ order: [Int], _ similarity: [[Double]]) -> Double {
    zip(order, order.dropFirst()).reduce(0) { $0 + similarity[$1.0][$1.1] }
  }

  /// Symmetric shares: s[i][j] = c[i][j] / sum(c[i]) + c[j][i] / sum(c[j]); 0 on the diagonal.
  package static func similarities(_ confusion: [[Double]]) -> [[Double]] {
    let totals = confusion.map { row in
      precondition(
        row.count == confusion.count,
        "A confusion matrix is square, not \(confusion.count) x \(row.count).")
      return max(row.reduce(0, +), 1e-300)
    }
    return confusion.indices.map { i in
      confusion.indices.map { j in
        i == j ? 0 : confusion[i][j] / totals[i] + confusion[j][i] / totals[j]
      }
    }
  }

  /// Leaves of an average-linkage tree, each join turned to put similar ends together.
  private static func linked(_ similarity: [[Double]]) -> [Int] {
    var clusters = similarity.indices.map { [$0] }
    var linkage = similarity
    while clusters.count > 1 {
      let (i, j) = mostSimilar(linkage)
      let (first, second) = (Double(clusters[i].count), Double(clusters[j].count))
      for k in linkage.indices where k != i && k != j {
        let mean = (linkage[i][k] * first + linkage[j][k] * second) / (first + second)
        linkage[i][k] = mean
        linkage[k][i] = mean
      }
      clusters[i] = joined(clusters[i], clusters[j], similarity)
      clusters.remove(at: j)
      linkage.remove(at: j)
      for row in linkage.indices { linkage[row].remove(at: j) }
    }
    return clusters.first ?? []
  }

  private static func mostSimilar(_ linkage: [[Double]]) -> (Int, Int) {
    var best = (0, 1, -Double.infinity)
    for i in linkage.indices {
      for j in linkage.indices.dropFirst(i + 1) where linkage[i][j] > best.2 {
        best = (i, j, linkage[i][j])
      }
    }
    return (best.0, best.1)
  }

  private static func joined(_ a: [Int], _ b: [Int], _ similarity: [[Double]]) -> [Int] {
    let turns: [([Int], [Int])] = [
      (a, b), (a, b.reversed()), (a.reversed(), b), (a.reversed(), b.reversed()),
    ]
    var best = (order: a + b, value: -Double.infinity)
    for (left, right) in turns {
      let value = similarity[left[left.count - 1]][right[0]]
      if value > best.value { best = (left + right, value) }
    }
    return best.order
  }

  /// Reverses stretches while that raises the score; at most 50 rounds.
  private static func improved(_ start: [Int], _ similarity: [[Double]]) -> [Int] {
    var order = start
    func near(_ i: Int, _ j: Int) -> Double {
      i < 0 || j >= order.count ? 0 : similarity[order[i]][order[j]]
    }
    for _ in 0..<50 {
      var changed = false
      for i in order.indices {
        for j in order.indices.dropFirst(i + 1) {
          let before = near(i - 1, i) + near(j, j + 1)
          let after =
            (i > 0 ? similarity[order[i - 1]][order[j]] : 0)
            + (j + 1 < order.count ? similarity[order[i]][order[j + 1]] : 0)
          if after > before + 1e-12 {
            order[i...j].reverse()
            changed = true
          }
        }
      }
      if !changed { break }
    }
    return order
  }
}

extension ConfusionMatrix {
  /// An order in which confused classes are neighbours; see ``Seriation/order(_:)``.
  package var seriation: [Int] { Seriation.order(counts.map { $0.map(Double.init) }) }
}
