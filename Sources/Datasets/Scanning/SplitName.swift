// SPDX-License-Identifier: Apache-2.0

/// What the name of a folder says about a split: `train`, `Training_Set`, `seg_test`, `val2017`.
struct SplitName: Equatable {
  /// What a folder's photos are for.
  enum Purpose: Equatable {
    case split(Split)
    /// Photos that somebody is to label: `pred`, `unlabelled`.
    case unlabelled
  }

  let purpose: Purpose
  /// The words that say nothing about the split nor that it is a folder of data, such as the `seg` of
  /// `seg_train`.
  let rest: [String]

  var split: Split? { if case .split(let split) = purpose { split } else { nil } }

  /// Nil for a name that speaks of no split, or of several.
  init?(folderName: String) {
    var purposes: [Purpose] = []
    var rest: [String] = []
    for word in SplitName.words(folderName) {
      if let purpose = SplitName.purpose(word) {
        if !purposes.contains(purpose) { purposes.append(purpose) }
      } else if !SplitName.neutral.contains(word) {
        rest.append(word)
      }
    }
    guard purposes.count == 1 else { return nil }
    purpose = purposes[0]
    self.rest = rest
  }

  /// Whether the name says only that there is data: `images`, `dataset`.
  static func isNeutral(_ folderName: String) -> Bool {
    let words = words(folderName)
    return !words.isEmpty && words.allSatisfy(neutral.contains)
  }

  private static let neutral: Set<String> = [
    "set", "sets", "data", "dataset", "image", "images", "img", "imgs", "photo", "photos",
    "picture",
    "pictures", "pics", "split", "splits", "folder", "dir", "files", "samples",
  ]

  private static func purpose(_ word: String) -> Purpose? {
    switch word {
    case "train", "training", "trn": .split(.train)
    case "valid", "val", "validation", "validate", "dev", "development", "eval", "evaluation":
      .split(.valid)
    case "test", "testing", "tst", "holdout": .split(.test)
    case "pred", "predict", "prediction", "predictions", "unlabeled", "unlabelled", "inference",
      "submission":
      .unlabelled
    default: nil
    }
  }

  /// Words in lower case, parted at anything that is no letter, between small and capital letters, and
  /// before `set`, `data` or `images` at the end of a word that is a split's.
  private static func words(_ name: String) -> [String] {
    var words: [String] = []
    var word = ""
    var last: Character = " "
    for character in name {
      let isNewKind = character.isNumber != last.isNumber
      if !character.isLetter && !character.isNumber || isNewKind
        || character.isUppercase && last.isLowercase
      {
        words.append(word)
        word = ""
      }
      if character.isLetter || character.isNumber { word.append(character) }
      last = character
    }
    return (words + [word]).filter { !$0.isEmpty }.flatMap { parted($0.lowercased()) }
  }

  private static func parted(_ word: String) -> [String] {
    for end in neutral where word.count > end.count && word.hasSuffix(end) {
      let start = String(word.dropLast(end.count))
      if purpose(start) != nil { return [start, end] }
    }
    return [word]
  }
}
