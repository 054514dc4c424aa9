// SPDX-License-Identifier: Apache-2.0

package import ThawDatasets
import ThawTensors

/// Which photos are held out together.
///
/// Photos that show one picture, or that are of one group, are in one fold. Every class is spread evenly,
/// and one whose photos all would be in one fold stays in training always: -1.
package struct FoldAssignment: Sendable {
  /// Each photo's fold, -1 for always in training.
  package let folds: [Int]
  /// How many folds there are.
  package let count: Int

  /// - Parameters:
  ///   - classes: something of each photo that is to be spread evenly.
  ///   - groups: the photos that stay together, every photo once.
  package init(classes: [String], groups: [[Int]], count: Int, seed: UInt64) {
    precondition(count >= 2, "Cross-validation needs at least 2 folds, got \(count).")
    var folds = [Int](repeating: -1, count: classes.count)
    let strata = Dictionary(grouping: groups) { classes[$0[0]] }
    var next = 0
    for (index, stratum) in strata.sorted(by: { $0.key < $1.key }).enumerated()
    where stratum.value.count > 1 {
      var stream = RandomStream(seed: seed, purpose: .resampling, epoch: 4, sample: index)
      for place in stream.permutation(of: stratum.value.count) {
        for photo in stratum.value[place] { folds[photo] = next % count }
        next += 1
      }
    }
    for photos in Dictionary(grouping: classes.indices, by: { classes[$0] }).values
    where Set(photos.map { folds[$0] }).count == 1 {
      for photo in photos { folds[photo] = -1 }
    }
    self.folds = folds
    self.count = count
  }

  /// The folds of photos of a manifest.
  package init(of records: [Manifest.Record], in manifest: Manifest, count: Int, seed: UInt64) {
    self.init(
      classes: records.map(\.className), groups: manifest.sameness(of: records), count: count,
      seed: seed)
  }

  /// The photos that are trained on while `fold` is held out.
  package func training(_ fold: Int) -> [Int] { folds.indices.filter { folds[$0] != fold } }

  /// The photos that are held out.
  package func held(_ fold: Int) -> [Int] { folds.indices.filter { folds[$0] == fold } }
}
