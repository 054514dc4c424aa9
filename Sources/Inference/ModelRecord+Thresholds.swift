// SPDX-License-Identifier: Apache-2.0

package import ThawCheckpoints
import ThawTraining

extension ModelRecord {
  /// From which probability on a photo has a class, one a class, in their order; where photos have one
  /// label see ``ModelThresholds``.
  package var thresholdsOfClasses: [Float] {
    thresholds.isEmpty
      ? [Float](repeating: LabelThresholds.ordinary, count: classNames.count) : thresholds
  }
}
