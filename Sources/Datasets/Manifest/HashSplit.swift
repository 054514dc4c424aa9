// SPDX-License-Identifier: Apache-2.0

import ThawFiles

/// Which part of the photos goes to validation and to test when no folders say so.
package struct SplitFractions: Sendable, Hashable, Codable {
  /// Part of all photos, 0 up to 1.
  package let valid: Double
  /// Part of all photos, 0 up to 1.
  package let test: Double

  /// A fifth for validation, no test photos. Traps unless both are at least 0 and their sum is
  /// below 1.
  package init(valid: Double = 0.2, test: Double = 0) {
    precondition(
      SplitFractions.areUsable(valid, test),
      "Split fractions need 0 <= valid, 0 <= test, valid + test < 1, got \(valid) and \(test).")
    self.valid = valid
    self.test = test
  }

  static func areUsable(_ valid: Double, _ test: Double) -> Bool {
    valid >= 0 && test >= 0 && valid + test < 1
  }
}

/// Splits photos by what they contain.
///
/// Every photo has a *position* in [0, 1), a hash of the seed and its contents. Below `valid` it
/// is for validation, in the next `test` for test, otherwise for training. So a photo's split depends
/// on nothing but the photo: adding, renaming, moving or removing others moves none, and copies of
/// one photo stay together. The price is that fractions hold on average only (with n photos of a
/// class the count scatters by sqrt(n v (1 - v))).
///
/// A class that chance leaves without a validation photo gives the one with the lowest position, and
/// one without a training photo takes back the one with the highest. No rule can both promise that
/// and be a function of single photos; it is the manifest, in which a split once given is kept for
/// ever, that makes these photos stay when others are added later.
enum HashSplit {
  /// A photo's position in [0, 1).
  static func position(of sha256: String, seed: UInt64) -> Double {
    var hash = SHA256()
    hash.update("thaw split")
    hash.update("\(seed)")
    hash.update(sha256)
    let word = hash.finalized().prefix(8).reduce(0 as UInt64) { $0 << 8 | UInt64($1) }
    return Double(word >> 11) * 0x1p-53
  }

  /// A split for every photo of `classes`.
  ///
  /// - Parameters:
  ///   - classes: the contents' hashes of each class.
  ///   - kept: splits that were given before and stay.
  /// - Throws: ``DatasetError/tooFewImages(className:count:needed:)`` for a class that has nothing
  ///   to train on, or with `fractions.valid` > 0 nothing new to validate with.
  static func assign(
    _ classes: [(name: String, contents: [String])], fractions: SplitFractions, seed: UInt64,
    kept: [String: Split]
  ) throws(DatasetError) -> [String: Split] {
    var positions: [String: Double] = [:]
    for content in classes.flatMap(\.contents) where positions[content] == nil {
      positions[content] = position(of: content, seed: seed)
    }
    var result = positions.mapValues { split(at: $0, fractions) }
    for (content, split) in kept where result[content] != nil { result[content] = split }
    var movable = Set(positions.keys).subtracting(kept.keys)
    for (_, contents) in classes {
      let ranked = Set(contents).sorted { (positions[$0] ?? 0, $0) < (positions[$1] ?? 0, $1) }
      provide(.valid, &result, &movable, fractions.valid > 0 ? ranked : [])
      provide(.train, &result, &movable, ranked.reversed())
    }
    try check(classes, result, needsValid: fractions.valid > 0 && kept.isEmpty)
    return result
  }

  private static func split(at position: Double, _ fractions: SplitFractions) -> Split {
    if position < fractions.valid { return .valid }
    return position < fractions.valid + fractions.test ? .test : .train
  }

  /// Gives `split` the first movable photo when none of `ranked` has it; that one stays there.
  private static func provide(
    _ split: Split, _ result: inout [String: Split], _ movable: inout Set<String>,
    _ ranked: [String]
  ) {
    guard !ranked.contains(where: { result[$0] == split }) else { return }
    guard let chosen = ranked.first(where: movable.contains) else { return }
    result[chosen] = split
    movable.remove(chosen)
  }

  private static func check(
    _ classes: [(name: String, contents: [String])], _ result: [String: Split], needsValid: Bool
  ) throws(DatasetError) {
    // A photo that is in two classes can leave the larger one short; the smaller one is the reason.
    for (name, contents) in classes.sorted(by: { Set($0.contents).count < Set($1.contents).count })
    {
      let splits = Set(contents.compactMap { result[$0] })
      if !splits.contains(.train) || (needsValid && !splits.contains(.valid)) {
        throw .tooFewImages(
          className: name, count: Set(contents).count, needed: needsValid ? 2 : 1)
      }
    }
  }
}
