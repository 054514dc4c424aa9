// SPDX-License-Identifier: Apache-2.0

import Glibc
import ThawTensors

/// Whether predictions would be right under other names: the best one-to-one assignment of the
/// classes that occur to the outputs of the network.
package struct LabelAssignment: Sendable, Equatable {
  /// Share of right predictions when each class goes by the output assigned to it.
  package let accuracy: Double
  /// Share of right predictions by name.
  package let accuracyByName: Double
  /// Output for each class that is clearly predicted under another name; empty when names are right.
  package let moved: [Int: Int]

  /// Assigns outputs to classes such that most predictions are right.
  ///
  /// A class counts as moved when more than half of its photos fall on the output assigned to it and
  /// at most a quarter on its own.
  ///
  /// - Parameter predictions: predicted output of each photo.
  package init(labels: [Int], predictions: [Int]) {
    let classes = Set(labels).sorted()
    // An output that is never predicted is as good as any other.
    let outputs = Set(predictions).union(classes).sorted()
    var counts = classes.map { _ in [Int](repeating: 0, count: outputs.count) }
    var (row, column): ([Int: Int], [Int: Int]) = ([:], [:])
    for (index, name) in classes.enumerated() { row[name] = index }
    for (index, name) in outputs.enumerated() { column[name] = index }
    for (label, prediction) in zip(labels, predictions) {
      if let row = row[label], let column = column[prediction] { counts[row][column] += 1 }
    }
    // Among equally good assignments the one that keeps most names.
    var weights = counts.map { $0.map { $0 * (classes.count + 1) } }
    for (index, name) in classes.enumerated() { weights[index][column[name] ?? 0] += 1 }
    let assigned = LabelAssignment.maximum(weights)
    var (right, byName, moved) = (0, 0, [Int: Int]())
    for (index, output) in assigned.enumerated() {
      let own = counts[index][column[classes[index]] ?? 0]
      let total = counts[index].reduce(0, +)
      right += counts[index][output]
      byName += own
      if outputs[output] != classes[index], 2 * counts[index][output] > total, 4 * own <= total {
        moved[classes[index]] = outputs[output]
      }
    }
    accuracy = labels.isEmpty ? 0 : Double(right) / Double(labels.count)
    accuracyByName = labels.isEmpty ? 0 : Double(byName) / Double(labels.count)
    self.moved = moved
  }

  /// The best assignment of one of several sets of predictions, when classes go by other names and more
  /// clearly than in any of 99 draws of the labels: with few photos the best of all assignments looks
  /// good whatever the network says. Nil otherwise.
  package static func clear(
    labels: [Int], predictions: [[Int]], seed: UInt64
  ) -> LabelAssignment? {
    let best = predictions.map {
      (LabelAssignment(labels: labels, predictions: $0), $0)
    }.max { $0.0.accuracy < $1.0.accuracy }
    guard let (best, predictions) = best, best.accuracy - best.accuracyByName >= 0.05,
      best.accuracy >= 0.5, !best.moved.isEmpty
    else { return nil }
    var stream = RandomStream(seed: seed, purpose: .resampling)
    for _ in 0..<99 {
      let drawn = stream.permutation(of: labels.count).map { labels[$0] }
      let chance = LabelAssignment(labels: drawn, predictions: predictions)
      if chance.accuracy >= best.accuracy { return nil }
    }
    return best
  }

  /// Whether a network knows its classes under other names, rather than telling them apart by accident.
  ///
  /// A head that was hardly trained is a random direction through features that separate the classes:
  /// of two or three classes it often has most on the wrong sides. But it is sure of nothing, so that
  /// under the names that suit it best its loss is still that of guessing.
  ///
  /// - Parameter loss: mean loss under the other names.
  package static func isKnowledge(loss: Double, labels: [Int]) -> Bool {
    let shares = Dictionary(grouping: labels, by: \.self).values.map {
      Double($0.count) / Double(labels.count)
    }
    let guessing = shares.reduce(0) { $0 - $1 * log($1) }
    return loss < 0.85 * guessing
  }

  /// The column for each row such that the sum of the chosen weights is largest; at least as many
  /// columns as rows.
  ///
  /// - Source: the Hungarian method with potentials, Kuhn 1955, Jonker and Volgenant 1987.
  static func maximum(_ weights: [[Int]]) -> [Int] {
    let rows = weights.count
    let columns = weights.first?.count ?? 0
    precondition(columns >= rows, "\(rows) rows cannot be assigned to \(columns) columns.")
    var rowPotential = [Int](repeating: 0, count: rows + 1)
    var columnPotential = [Int](repeating: 0, count: columns + 1)
    var owner = [Int](repeating: 0, count: columns + 1)
    for row in stride(from: 1, through: rows, by: 1) {
      var slack = [Int](repeating: .max, count: columns + 1)
      var previous = [Int](repeating: 0, count: columns + 1)
      var visited = [Bool](repeating: false, count: columns + 1)
      owner[0] = row
      var column = 0
      repeat {
        visited[column] = true
        var (next, delta) = (0, Int.max)
        for candidate in 1...columns where !visited[candidate] {
          let cost =
            -weights[owner[column] - 1][candidate - 1] - rowPotential[owner[column]]
            - columnPotential[candidate]
          if cost < slack[candidate] { (slack[candidate], previous[candidate]) = (cost, column) }
          if slack[candidate] < delta { (delta, next) = (slack[candidate], candidate) }
        }
        for candidate in 0...columns {
          if visited[candidate] {
            rowPotential[owner[candidate]] += delta
            columnPotential[candidate] -= delta
          } else if slack[candidate] != .max {
            slack[candidate] -= delta
          }
        }
        column = next
      } while owner[column] != 0
      repeat {
        owner[column] = owner[previous[column]]
        column = previous[column]
      } while column != 0
    }
    var result = [Int](repeating: 0, count: rows)
    for column in stride(from: 1, through: columns, by: 1) where owner[column] > 0 {
      result[owner[column] - 1] = column - 1
    }
    return result
  }
}
