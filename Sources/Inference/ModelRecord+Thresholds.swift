// SPDX-License-Identifier: Apache-2.0

package import ThawCheckpoints

extension ModelRecord {
  /// From which probability on a photo has a class, where nothing else was chosen.
  package static let ordinaryThreshold: Float = 0.5

  /// One a class, in the order of the classes.
  package var thresholdsOfClasses: [Float] {
    thresholds.isEmpty
      ? [Float](repeating: ModelRecord.ordinaryThreshold, count: classNames.count) : thresholds
  }

  /// The classes that a photo has by its probabilities, the most probable first; of equal ones the
  /// first. One label a photo: the most probable class.
  package func labels(of probabilities: [Float]) -> [Int] {
    let order = probabilities.indices.sorted {
      (probabilities[$1], $0) < (probabilities[$0], $1)
    }
    guard outputActivation.allowsSeveralLabels else { return Array(order.prefix(1)) }
    let thresholds = thresholdsOfClasses
    return order.filter { probabilities[$0] >= thresholds[$0] }
  }
}
