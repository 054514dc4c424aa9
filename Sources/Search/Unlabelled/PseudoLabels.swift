// SPDX-License-Identifier: Apache-2.0

package import ThawTensors

/// Answers for photos without labels that are sure enough to be taken for labels (Lee 2013, self-training).
///
/// They are balanced over the classes: those of a class together weigh at most `weight` times as much as its
/// labelled photos, and none more than a labelled one, so that a class that the head answers readily does not
/// outweigh the others.
package struct PseudoLabels: Sendable, Equatable {
  /// The photos of a class.
  package struct Class: Sendable, Equatable {
    /// By their numbers, ascending.
    package let photos: [Int]
    /// How much one counts beside a labelled photo, above 0 and at most 1.
    package let share: Double
    /// How many an epoch of descent sees, at least one where there are any.
    package let turn: Int
  }

  /// By class.
  package let classes: [Class]

  /// - Parameters:
  ///   - probabilities: calibrated, [photos, classes].
  ///   - confidence: the least probability of an answer that is taken.
  ///   - labelled: labelled photos of each class.
  package init(
    _ probabilities: Tensor<Float>, above confidence: Double, weight: Double, labelled: [Int]
  ) {
    precondition(
      probabilities.shape.rank == 2 && probabilities.shape[1] == labelled.count,
      "Probabilities \(probabilities.shape) do not fit \(labelled.count) classes.")
    var photos = [[Int]](repeating: [], count: labelled.count)
    let width = labelled.count
    probabilities.withUnsafeElements { elements in
      for photo in 0..<probabilities.shape[0] {
        let row = elements[photo * width..<(photo + 1) * width]
        guard let best = row.indices.max(by: { (row[$0], $1) < (row[$1], $0) }),
          Double(row[best]) >= confidence
        else { continue }
        photos[best - row.startIndex].append(photo)
      }
    }
    classes = zip(photos, labelled).map { photos, labelled in
      let most = weight * Double(labelled)
      guard !photos.isEmpty, most > 0 else { return Class(photos: [], share: 1, turn: 0) }
      return Class(
        photos: photos, share: min(1, most / Double(photos.count)),
        turn: min(photos.count, max(Int(most.rounded()), 1)))
    }
  }

  /// How many photos there are.
  package var count: Int { classes.reduce(0) { $0 + $1.photos.count } }
}
