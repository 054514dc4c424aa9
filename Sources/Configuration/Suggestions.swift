// SPDX-License-Identifier: Apache-2.0

/// What a word that nobody knows was probably meant to be.
package enum Suggestions {
  /// The known words nearest to `word`, nearest first.
  ///
  /// Upper and lower case, `-`, `_`, `.` and blanks do not count. A word is near when it begins with
  /// the other, or when at most a third of its letters must be inserted, removed, replaced or
  /// exchanged with their neighbour.
  ///
  /// - Parameter count: at most so many.
  package static func of(_ word: String, among known: [String], count: Int = 3) -> [String] {
    let asked = plain(word)
    let near = known.compactMap { name -> (name: String, distance: Int)? in
      let other = plain(name)
      let distance = distance(asked, other)
      let isNear = distance * 3 <= max(asked.count, other.count)
      return isNear || (asked.count > 1 && other.starts(with: asked)) ? (name, distance) : nil
    }
    let best = near.sorted { ($0.distance, $0.name) < ($1.distance, $1.name) }
    // A word that differs in nothing that counts leaves no doubt.
    return best.prefix(best.first?.distance == 0 ? 1 : count).map(\.name)
  }

  /// `Did you mean 'a', 'b' or 'c'?`, nil when nothing is near.
  package static func question(_ word: String, among known: [String]) -> String? {
    question(of(word, among: known).map { "'\($0)'" })
  }

  /// The same about things that have been found already.
  package static func question(_ found: [String]) -> String? {
    guard let last = found.last else { return nil }
    let others = found.dropLast().joined(separator: ", ")
    return "Did you mean \(others.isEmpty ? last : "\(others) or \(last)")?"
  }

  private static func plain(_ word: String) -> [UInt8] {
    word.lowercased().utf8.filter { ![0x20, 0x2D, 0x2E, 0x5F].contains($0) }
  }

  /// Insertions, removals, replacements and exchanges of neighbours from one to the other.
  ///
  /// - Source: Damerau 1964; optimal string alignment.
  private static func distance(_ from: [UInt8], _ to: [UInt8]) -> Int {
    var before = [Int](repeating: 0, count: to.count + 1)
    var last = Array(0...to.count)
    for row in from.indices {
      var current = [row + 1] + [Int](repeating: 0, count: to.count)
      for column in to.indices {
        let replaced = last[column] + (from[row] == to[column] ? 0 : 1)
        current[column + 1] = min(replaced, last[column + 1] + 1, current[column] + 1)
        let isExchange =
          row > 0 && column > 0 && from[row] == to[column - 1] && from[row - 1] == to[column]
        if isExchange { current[column + 1] = min(current[column + 1], before[column - 1] + 1) }
      }
      (before, last) = (last, current)
    }
    return last[to.count]
  }
}
