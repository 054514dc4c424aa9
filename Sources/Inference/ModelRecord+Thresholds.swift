// SPDX-License-Identifier: Apache-2.0

package import ThawCheckpoints
import ThawTraining

extension ModelRecord {
  /// From which probability on a photo has a class, one a class, in their order.
  package var thresholdsOfClasses: [Float] {
    thresholds.isEmpty
      ? [Float](repeating: LabelThresholds.ordinary, count: classNames.count) : thresholds
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
