// SPDX-License-Identifier: Apache-2.0

extension Manifest {
  /// How many different pictures photos of this manifest show: copies and near-duplicates count once,
  /// and so do the photos of one group.
  package func pictures(of photos: [Record]) -> Int { sameness(of: photos).count }

  /// The indices of the photos that show one picture or are of one group, each in ascending order.
  package func sameness(of photos: [Record]) -> [[Int]] {
    var names: [BytePath: [String]] = [:]
    for (number, group) in (nearDuplicates ?? []).enumerated() {
      for path in group.paths { names[path] = ["alike \(number)"] }
    }
    return Ties.components(
      photos.map {
        ["content \($0.sha256)"] + (names[$0.path] ?? [])
          + ($0.group.map { ["group \($0)"] } ?? [])
      })
  }
}
