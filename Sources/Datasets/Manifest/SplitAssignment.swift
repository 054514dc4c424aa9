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
///
/// Where a photo may have several labels its splits are those of all its classes at once. The class with
/// the fewest photos that are left is served first, photos without a label last: what a rare class needs
/// is not used up by frequent ones.
/// - Source: iterative stratification, Sechidis, Tsoumakas and Vlahavas 2011.
struct SplitAssignment {
  /// A photo to be given a split.
  struct Photo {
    /// Hash of its contents.
    let content: String
    /// Its classes, by name; one where photos have one label each.
    let classNames: [String]
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

  /// Where photos may have several labels the last is that of photos without any.
  private let classes: [String]
  private let severalLabels: Bool
  private let fractions: SplitFractions
  private var units: [Unit]
  /// By class and split: how many photos are missing; negative where there are too many.
  private var needs: [[Int]]
  /// By class and split: how many photos are there.
  private var counts: [[Int]]

  /// A split for the contents of every photo.
  ///
  /// - Parameters:
  ///   - severalLabels: whether a photo may have several labels, or none. A class with a single photo is
  ///     then for training: its photo cannot be left out for it.
  ///   - kept: splits that were given before and stay.
  /// - Throws: ``DatasetError/tooFewImages(_:needed:)`` for classes that have nothing to train on, or
  ///   with `fractions.valid` > 0 nothing new to validate with.
  static func assign(
    _ photos: [Photo], severalLabels: Bool = false, fractions: SplitFractions, seed: UInt64,
    kept: [String: Split]
  ) throws(DatasetError) -> [String: Split] {
    var assignment = SplitAssignment(photos, fractions, severalLabels, seed: seed, kept)
    if severalLabels { assignment.fillBySets() } else { assignment.fill() }
    assignment.repair()
    try assignment.check(needsValid: fractions.valid > 0 && kept.isEmpty && !severalLabels)
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
    _ photos: [Photo], _ fractions: SplitFractions, _ severalLabels: Bool, seed: UInt64,
    _ kept: [String: Split]
  ) {
    self.fractions = fractions
    self.severalLabels = severalLabels
    let names = Set(photos.flatMap(\.classNames)).sorted()
    let hasBare = photos.contains { $0.classNames.isEmpty }
    classes = names + (hasBare ? [""] : [])
    let indices = Dictionary(uniqueKeysWithValues: classes.enumerated().map { ($1, $0) })
    counts = classes.map { _ in [0, 0, 0] }
    needs = classes.map { _ in [0, 0, 0] }
    units = []
    var totals = [Int](repeating: 0, count: classes.count)
    let places = photos.map { photo in
      photo.classNames.isEmpty ? [classes.count - 1] : photo.classNames.compactMap { indices[$0] }
    }
    for own in places { for index in own { totals[index] += 1 } }
    for index in classes.indices { needs[index] = fractions.quota(of: totals[index]) }
    for members in Ties.components(photos.map { ["content " + $0.content] + $0.ties }) {
      let contents = Set(members.map { photos[$0].content }).sorted()
      // Photos that came together only now may lie in several splits: each stays where it is.
      let before = contents.compactMap { kept[$0] }
      var unit = Unit(
        position: SplitAssignment.position(of: contents[0], seed: seed), contents: contents,
        split: Split.allCases.first(where: before.contains), isMovable: before.isEmpty)
      for member in members {
        for index in places[member] {
          unit.counts[index, default: 0] += 1
          if let split = kept[photos[member].content] ?? unit.split { count(index, split, 1) }
        }
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

  /// Gives every movable unit a split, class by class, the rarest first.
  private mutating func fillBySets() {
    // The units of each class in the order of their positions.
    var members = [[Int]](repeating: [], count: classes.count)
    for unit in units.indices where units[unit].isMovable {
      for index in units[unit].counts.keys { members[index].append(unit) }
    }
    var remaining = members.map(\.count)
    let bare = classes.last == "" ? classes.count - 1 : nil
    func rank(_ index: Int) -> (Int, Int, Int) { (index == bare ? 1 : 0, remaining[index], index) }
    while let rarest = classes.indices.filter({ remaining[$0] > 0 }).min(by: { rank($0) < rank($1) }
    ) {
      let own = members[rarest].filter { units[$0].split == nil }
      for split in [Split.valid, .test] {
        // Those first that bring no other class too many.
        hold(own, of: rarest, for: split, strictly: true)
        hold(own, of: rarest, for: split, strictly: false)
      }
      for unit in own {
        if units[unit].split == nil { put(unit, in: .train) }
        for index in units[unit].counts.keys { remaining[index] -= 1 }
      }
    }
  }

  /// Puts units in `split` until the class has its share there.
  private mutating func hold(
    _ own: [Int], of index: Int, for split: Split, strictly: Bool
  ) {
    for unit in own where units[unit].split == nil {
      let need = needs[index][split.place]
      guard need > 0 else { return }
      let overfills = units[unit].counts.contains { needs[$0.key][split.place] < $0.value }
      // A large unit only if the class comes closer to its share by it.
      if 2 * need >= units[unit].counts[index] ?? 0, !(strictly && overfills) {
        put(unit, in: split)
      }
    }
  }

  /// Units of several photos can leave a class without a split that it should have.
  private mutating func repair() {
    let order = classes.indices.sorted {
      (counts[$0].reduce(0, +), $0) < (counts[$1].reduce(0, +), $1)
    }
    for index in order {
      if fractions.valid > 0, !isLone(index) { provide(.valid, to: index, from: [.train, .test]) }
      provide(.train, to: index, from: [.test, .valid])
    }
    for index in order where fractions.test > 0 && !isLone(index) {
      provide(.test, to: index, from: [.train])
    }
  }

  /// Whether the only photo of the class has to be trained on.
  private func isLone(_ index: Int) -> Bool {
    severalLabels && units.count { $0.counts[index] != nil } < 2
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
    for (index, name) in classes.enumerated() where !name.isEmpty {
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
    var parents = Array(names.indices)
    func root(_ index: Int) -> Int {
      var index = index
      while parents[index] != index {
        parents[index] = parents[parents[index]]
        index = parents[index]
      }
      return index
    }
    var first: [String: Int] = [:]
    for (index, own) in names.enumerated() {
      for name in own {
        guard let other = first[name] else {
          first[name] = index
          continue
        }
        let (one, two) = (root(index), root(other))
        parents[max(one, two)] = min(one, two)
      }
    }
    var groups: [Int: [Int]] = [:]
    for index in names.indices { groups[root(index), default: []].append(index) }
    return groups.keys.sorted().compactMap { groups[$0] }
  }
}
