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
    // A recipe of a version that knew other keys tells nothing.
    if let before = then.readRecipe()?.values(of: sections) {
      let before = Dictionary(before.map { ($0.name, $0.value) }, uniquingKeysWith: { $1 })
      for now in run.recipe.values(of: sections) {
        guard let old = before[now.name], old != now.value else { continue }
        reasons.append("\(now.name) was \(old), is now \(now.value)")
      }
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
