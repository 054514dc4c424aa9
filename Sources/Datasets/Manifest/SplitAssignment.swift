// SPDX-License-Identifier: Apache-2.0

import ThawFiles

/// Splits photos by what they contain.
///
/// Photos that must not be told apart, such as copies of one file, are one *unit* and lie in one split.
/// Every unit has a *position* in [0, 1), a hash of the seed and of its contents. In every class the
/// units with the lowest positions are held out, as many as ``SplitFractions/quota(of:)`` says: the next
/// come to the test split, the rest to training. So shares are exact where units are single photos.
///
/// A photo that was given a split before keeps it, whatever is added or removed; the new ones fill up
/// what the class lacks, in the order of their positions.
struct SplitAssignment {
  /// A photo to be given a split.
  struct Photo {
    /// Hash of its contents.
    let content: String
    /// Its class, by name.
    let className: String
    /// Names of what binds photos together: photos with a name in common lie in one split.
    var ties: [String] = []
  }

  private struct Unit {
    let position: Double
    let contents: [String]
    /// Photos by class.
    var counts: [Int: Int] = [:]
    var split: Split?
    let isMovable: Bool
  }

  private let classes: [String]
  private let fractions: SplitFractions
  private var units: [Unit]
  /// By class and split: how many photos are missing; negative where there are too many.
  private var needs: [[Int]]
  /// By class and split: how many photos are there.
  private var counts: [[Int]]

  /// A split for the contents of every photo.
  ///
  /// - Parameters:
  ///   - kept: splits that were given before and stay.
  /// - Throws: ``DatasetError/tooFewImages(_:needed:)`` for classes that have nothing to train on, or
  ///   with `fractions.valid` > 0 nothing new to validate with.
  static func assign(
    _ photos: [Photo], fractions: SplitFractions, seed: UInt64, kept: [String: Split]
  ) throws(DatasetError) -> [String: Split] {
    var assignment = SplitAssignment(photos, fractions, seed: seed, kept)
    assignment.fill()
    assignment.repair()
    try assignment.check(needsValid: fractions.valid > 0 && kept.isEmpty)
    var result: [String: Split] = [:]
    for unit in assignment.units {
      for content in unit.contents { result[content] = kept[content] ?? unit.split ?? .train }
    }
    return result
  }

  /// A unit's position in [0, 1).
  static func position(of key: String, seed: UInt64) -> Double {
    var hash = SHA256()
    hash.update("thaw split")
    hash.update("\(seed)")
    hash.update(key)
    let word = hash.finalized().prefix(8).reduce(0 as UInt64) { $0 << 8 | UInt64($1) }
    return Double(word >> 11) * 0x1p-53
  }

  private init(
    _ photos: [Photo], _ fractions: SplitFractions, seed: UInt64, _ kept: [String: Split]
  ) {
    self.fractions = fractions
    classes = Set(photos.map(\.className)).sorted()
    let indices = Dictionary(uniqueKeysWithValues: classes.enumerated().map { ($1, $0) })
    counts = classes.map { _ in [0, 0, 0] }
    needs = classes.map { _ in [0, 0, 0] }
    units = []
    let totals = Dictionary(grouping: photos, by: \.className).mapValues(\.count)
    for (index, name) in classes.enumerated() {
      needs[index] = fractions.quota(of: totals[name] ?? 0)
    }
    for members in Ties.components(photos.map { ["content " + $0.content] + $0.ties }) {
      let contents = Set(members.map { photos[$0].content }).sorted()
      // Photos that came together only now may lie in several splits: each stays where it is.
      let before = contents.compactMap { kept[$0] }
      var unit = Unit(
        position: SplitAssignment.position(of: contents[0], seed: seed), contents: contents,
        split: Split.allCases.first(where: before.contains), isMovable: before.isEmpty)
      for member in members {
        let index = indices[photos[member].className] ?? 0
        unit.counts[index, default: 0] += 1
        if let split = kept[photos[member].content] ?? unit.split { count(index, split, 1) }
      }
      units.append(unit)
    }
    units.sort { ($0.position, $0.contents[0]) < ($1.position, $1.contents[0]) }
  }

  private mutating func count(_ index: Int, _ split: Split, _ change: Int) {
    counts[index][split.place] += change
    needs[index][split.place] -= change
  }

  private mutating func put(_ unit: Int, in split: Split) {
    for (index, number) in units[unit].counts {
      if let old = units[unit].split { count(index, old, -number) }
      count(index, split, number)
    }
    units[unit].split = split
  }

  /// Gives every movable unit a split, those with the lowest positions held out.
  private mutating func fill() {
    for index in units.indices where units[index].isMovable {
      let split = [Split.valid, .test].first { split in
        // Whether the classes come closer to their quotas.
        units[index].counts.reduce(0) { sum, entry in
          let need = needs[entry.key][split.place]
          return sum + abs(need) - abs(need - entry.value)
        } > 0
      }
      put(index, in: split ?? .train)
    }
  }

  /// Units of several photos can leave a class without a split that it should have.
  private mutating func repair() {
    let order = classes.indices.sorted {
      (counts[$0].reduce(0, +), $0) < (counts[$1].reduce(0, +), $1)
    }
    for index in order {
      if fractions.valid > 0 { provide(.valid, to: index, from: [.train, .test]) }
      provide(.train, to: index, from: [.test, .valid])
    }
    for index in order where fractions.test > 0 {
      provide(.test, to: index, from: [.train])
    }
  }

  /// Moves one unit of the class to `split` when the class has none there, preferably one that leaves
  /// its classes something where it was.
  private mutating func provide(_ split: Split, to index: Int, from donors: [Split]) {
    guard counts[index][split.place] == 0 else { return }
    var candidates = units.indices.filter { units[$0].isMovable && units[$0].counts[index] != nil }
    if split == .train { candidates.reverse() }
    for donor in donors {
      let unit = candidates.first { candidate in
        units[candidate].split == donor
          && units[candidate].counts.allSatisfy { counts[$0.key][donor.place] > $0.value }
      }
      if let unit { return put(unit, in: split) }
    }
    guard split == .train, let last = candidates.first else { return }
    put(last, in: .train)
  }

  private func check(needsValid: Bool) throws(DatasetError) {
    var short: [DatasetError.Shortage] = []
    for (index, name) in classes.enumerated() {
      let isComplete = counts[index][0] > 0 && (!needsValid || counts[index][1] > 0)
      if !isComplete {
        short.append(.init(className: name, count: units.count { $0.counts[index] != nil }))
      }
    }
    guard !short.isEmpty else { return }
    // A photo that is in two classes can leave the larger one short; the smaller one is the reason.
    let needed = needsValid ? 2 : 1
    let small = short.filter { $0.count < needed }
    throw .tooFewImages(small.isEmpty ? short : small, needed: needed)
  }
}

extension Split {
  /// In the order of `allCases`.
  fileprivate var place: Int {
    switch self {
    case .train: 0
    case .valid: 1
    case .test: 2
    }
  }
}

/// Groups things that share a name, directly or through others.
enum Ties {
  /// The groups of indices, each in ascending order, ordered by their first index.
  ///
  /// - Parameter names: of each thing.
  static func components(_ names: [[String]]) -> [[Int]] {
    var sets = DisjointSets(count: names.count)
    var first: [String: Int] = [:]
    for (index, own) in names.enumerated() {
      for name in own {
        guard let other = first[name] else {
          first[name] = index
          continue
        }
        sets.join(index, other)
      }
    }
    return sets.groups
  }
}
