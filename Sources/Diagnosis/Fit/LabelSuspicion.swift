// SPDX-License-Identifier: Apache-2.0

import Glibc
package import ThawTensors

/// How likely each photo's label is wrong, by two witnesses that have not learned it: a classifier
/// fitted without the photo, and its nearest neighbours among the other photos.
package struct LabelSuspicion: Sendable {
  /// One photo's case.
  package struct Case: Sendable, Equatable {
    /// Position of the photo.
    package let photo: Int
    package let label: Int
    /// What the witnesses say it is.
    package let suggestion: Int
    /// Probability of the label, cross-validated.
    package let labelProbability: Double
    /// Probability of the suggestion, cross-validated.
    package let suggestionProbability: Double
    /// Share of the neighbours with the label, nearer ones counting more.
    package let neighbourShare: Double
    /// -log of ``labelProbability``.
    package var loss: Double { -log(max(labelProbability, 1e-12)) }
    /// How much more the witnesses believe in the suggestion than in the label, -1 to 1.
    package let score: Double
    /// Whether both witnesses contradict the label clearly.
    package let isSuspicious: Bool
  }

  /// Neighbours that are asked.
  package static let neighbours = 10

  /// One case a photo that has a cross-validated probability, the most suspicious first.
  package let cases: [Case]

  /// Weighs the labels of photos.
  ///
  /// - Parameters:
  ///   - features: [n, d]; compared by their cosine.
  ///   - probabilities: [n, classes], cross-validated; a row of NaN for a photo that has none.
  package init(features: Tensor<Float>, probabilities: Tensor<Float>, labels: [Int]) {
    let classes = probabilities.shape[1]
    let votes = LabelSuspicion.votes(features, labels, classes: classes)
    var cases: [Case] = []
    for photo in labels.indices where probabilities[photo * classes].isFinite {
      let row = (0..<classes).map { Double(probabilities[photo * classes + $0]) }
      let belief = (0..<classes).map { (row[$0] + votes[photo][$0]) / 2 }
      let label = labels[photo]
      let others = belief.indices.filter { $0 != label }
      guard let suggestion = others.max(by: { belief[$0] < belief[$1] }) else { continue }
      let agree =
        row[label] < row[suggestion] && votes[photo][label] < votes[photo][suggestion]
      let score = belief[suggestion] - belief[label]
      cases.append(
        Case(
          photo: photo, label: label, suggestion: suggestion, labelProbability: row[label],
          suggestionProbability: row[suggestion], neighbourShare: votes[photo][label],
          score: score, isSuspicious: agree && score >= LabelSuspicion.threshold))
    }
    self.cases = cases.sorted { ($1.score, $0.photo) < ($0.score, $1.photo) }
  }

  /// A label is suspicious when the witnesses' mean belief in another is higher by this.
  package static let threshold = 0.6

  /// The share of each class among the nearest neighbours of each photo, weighted by their cosine
  /// above that of the first neighbour left out.
  private static func votes(
    _ features: Tensor<Float>, _ labels: [Int], classes: Int
  ) -> [[Double]] {
    let (count, width) = (labels.count, features.shape[1])
    let unit = normalized(features)
    let wanted = min(neighbours, max(count - 1, 0))
    var result = [[Double]](repeating: [Double](repeating: 0, count: classes), count: count)
    let block = 256
    var cosines = [Float](repeating: 0, count: min(block, count) * count)
    for start in stride(from: 0, to: count, by: block) {
      let rows = min(block, count - start)
      unit.withUnsafeElements { elements in
        cosines.withUnsafeMutableBufferPointer { output in
          guard let all = elements.baseAddress, let target = output.baseAddress else { return }
          LinearAlgebra.multiply(
            MatrixView(all + start * width, rows: rows, columns: width),
            MatrixView(all, rows: width, columns: count, transposed: true), into: target)
        }
      }
      for row in 0..<rows {
        let similarity = cosines[row * count..<(row + 1) * count]
        let photo = start + row
        let nearest = similarity.indices.filter { $0 - row * count != photo }
          .sorted { (similarity[$1], $0) < (similarity[$0], $1) }.prefix(wanted + 1)
        let base = nearest.count > wanted ? nearest.last.map { similarity[$0] } ?? 0 : -1
        var total = 0.0
        for index in nearest.prefix(wanted) {
          let weight = Double(max(similarity[index] - base, 1e-6))
          result[photo][labels[index - row * count]] += weight
          total += weight
        }
        if total > 0 { for index in 0..<classes { result[photo][index] /= total } }
      }
    }
    return result
  }

  /// Centred rows of length 1: without the mean all photos of a network look alike.
  private static func normalized(_ features: Tensor<Float>) -> Tensor<Float> {
    let (count, width) = (features.shape[0], features.shape[1])
    return Tensor(shape: features.shape) { output in
      features.withUnsafeElements { input in
        var mean = [Double](repeating: 0, count: width)
        for index in input.indices { mean[index % width] += Double(input[index]) / Double(count) }
        for row in 0..<count {
          var square = 0.0
          for column in 0..<width {
            let value = Double(input[row * width + column]) - mean[column]
            output[row * width + column] = Float(value)
            square += value * value
          }
          let scale = Float(1 / max(square.squareRoot(), 1e-12))
          for column in 0..<width { output[row * width + column] *= scale }
        }
      }
    }
  }
}
