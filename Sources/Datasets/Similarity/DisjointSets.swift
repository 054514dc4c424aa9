// SPDX-License-Identifier: Apache-2.0

/// Things that are joined two by two, and the groups that come of it.
struct DisjointSets {
  private var parents: [Int]

  /// So many things, each on its own.
  init(count: Int) { parents = Array(0..<count) }

  /// The first thing of the group that `index` is in.
  mutating func first(of index: Int) -> Int {
    var index = index
    while parents[index] != index {
      parents[index] = parents[parents[index]]
      index = parents[index]
    }
    return index
  }

  /// Makes one group of those that the two are in.
  mutating func join(_ one: Int, _ two: Int) {
    let (first, second) = (first(of: one), first(of: two))
    parents[max(first, second)] = min(first, second)
  }

  /// The groups, each in ascending order, ordered by their first thing.
  var groups: [[Int]] {
    mutating get {
      var groups: [Int: [Int]] = [:]
      for index in parents.indices { groups[first(of: index), default: []].append(index) }
      return groups.keys.sorted().compactMap { groups[$0] }
    }
  }
}
