// SPDX-License-Identifier: Apache-2.0

extension Manifest {
  /// Whether photos were split by these fractions, this seed and these bonds.
  ///
  /// A split of version 0.1.0, which knew no bonds, stays as it is unless photos are grouped.
  ///
  /// - Parameter hasTestFolder: whether a fraction for testing has no effect: earlier versions wrote it
  ///   down all the same.
  func isSplit(
    by fractions: SplitFractions, seed: UInt64, bonds: [String], hasTestFolder: Bool
  ) -> Bool {
    guard let own = self.fractions else { return false }
    let isBound = self.bonds.map { $0 == bonds } ?? bonds.allSatisfy { $0 == "near-duplicates" }
    return self.seed == seed && isBound && own.valid == fractions.valid
      && (hasTestFolder || own.test == fractions.test)
  }

  /// Whether the photos were split anew after `earlier`, and not only completed.
  package func isSplitAnew(from earlier: Manifest) -> Bool {
    guard let fractions else { return earlier.fractions != nil }
    return !earlier.isSplit(
      by: fractions, seed: seed, bonds: bonds ?? [], hasTestFolder: hasTestFolder)
  }

  /// How many photos of `earlier` are held out now from what they were used for: learned from and now
  /// for validation or testing, or chosen by and now for testing. A model made with `earlier` knows them,
  /// whatever moved them: fractions, folders or a table.
  package func heldOutSince(_ earlier: Manifest) -> Int {
    let uses = Split.allCases
    func use(_ split: Split) -> Int { uses.firstIndex(of: split) ?? 0 }
    var before: [String: Int] = [:]
    for record in earlier.records {
      before[record.sha256] = min(before[record.sha256] ?? uses.count, use(record.split))
    }
    return Set(records.filter { use($0.split) > before[$0.sha256] ?? uses.count }.map(\.sha256))
      .count
  }

  /// Whether the test photos come from a folder.
  private var hasTestFolder: Bool { layout == .splits && records.contains { $0.split == .test } }

  /// How the split was made, for people.
  package var splitDescription: String {
    guard let fractions else { return "by folders" }
    let test = fractions.test > 0 ? " and test \(fractions.test)" : ""
    let together = bonds.map {
      $0.isEmpty ? "" : ", keeping together: " + $0.joined(separator: ", ")
    }
    return "valid \(fractions.valid)\(test) by seed \(seed)\(together ?? "")"
  }
}
