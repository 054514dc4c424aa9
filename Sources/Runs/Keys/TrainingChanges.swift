// SPDX-License-Identifier: Apache-2.0

import ThawConsole
import ThawDatasets
import ThawInference
import ThawRecipes

/// Why a training that is finished does not count any more.
struct TrainingChanges {
  /// One phrase a difference, such as `train.epochs was 5, is now 10`.
  let reasons: [String]

  /// - Parameters:
  ///   - then: how the finished training came about.
  ///   - sections: of the recipe that the training reads, `""` for the keys outside of sections.
  init(since then: TrainingRecord, _ run: OpenRun, sections: [String]) {
    var reasons = TrainingChanges.photos(then, run.manifest)
    let before = RecipeLines(then.recipe)
    let now = RecipeLines(run.recipe.yaml)
    for (key, value) in now.values where sections.contains(key.section) && key.name != "name" {
      guard let old = before[key], old != value else { continue }
      let name = key.section.isEmpty ? key.name : "\(key.section).\(key.name)"
      reasons.append("\(name) was \(old), is now \(value)")
    }
    self.reasons = reasons
  }

  /// Says it.
  ///
  /// - Parameter label: the training.
  func say(_ label: String, to console: Console) {
    let why = reasons.isEmpty ? "what it rests on has changed" : reasons.joined(separator: "; ")
    console.say(
      "\(label) begins anew: \(why). A finished training is never continued under other settings.")
  }

  private static func photos(_ then: TrainingRecord, _ manifest: Manifest) -> [String] {
    let counts = Split.allCases.map { manifest.records(in: $0).count }
    let before = Split.allCases.map { then.photos[$0.rawValue] ?? 0 }
    if counts != before {
      return ["it had \(before.described) photos, there are now \(counts.described)"]
    }
    guard let key = then.photosKey, key != manifest.photosKey else { return [] }
    return ["some photos are others, or have another label or use"]
  }
}

extension [Int] {
  /// For example `19 training, 5 validation and 0 test`.
  fileprivate var described: String {
    "\(self[0]) training, \(self[1]) validation and \(self[2]) test"
  }
}

/// The values of a recipe as it is written: one key a line, in sections of one level.
private struct RecipeLines {
  struct Key: Hashable {
    let section: String
    let name: String
  }

  private(set) var values: [(Key, String)] = []

  init(_ yaml: String) {
    var section = ""
    for line in yaml.split(separator: "\n") {
      guard let colon = line.firstIndex(of: ":") else { continue }
      let name = line[..<colon].drop { $0 == " " }
      let value = line[line.index(after: colon)...].drop { $0 == " " }
      if !line.hasPrefix(" ") { section = value.isEmpty ? String(name) : "" }
      if !value.isEmpty {
        values.append((Key(section: section, name: String(name)), String(value)))
      }
    }
  }

  subscript(key: Key) -> String? { values.first { $0.0 == key }?.1 }
}
