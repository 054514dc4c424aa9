// SPDX-License-Identifier: Apache-2.0

import ThawConsole
import ThawTraining

/// What may be said where photos may have several labels: the share of photos with every label right says
/// little by itself, so the average precision stands first.
extension ResultWords {
  /// The one number.
  var labelsFigure: String {
    evaluation.meanAveragePrecision.map { "mAP \(Format.fixed($0, 3))" } ?? "-"
  }

  /// What it means.
  var labelsPlain: String {
    let judged = evaluation.perClass.count { $0.averagePrecision != nil }
    let left = evaluation.perClass.count - judged
    let counts =
      "\(Counted(judged, "class", "classes"))"
      + (left == 0 ? "" : " (\(Counted(left, "class", "classes")) without photos left out)")
    let photos = Counted.photos(evaluation.count)
    let few = isFew ? "Few photos: " : ""
    guard evaluation.meanAveragePrecision != nil else {
      return "None of the \(photos) has a label, so that nothing can be said."
    }
    return
      "\(few)average precision over \(counts), on \(photos): 1 means that every photo with a label"
      + " comes before all photos without it."
  }

  /// Which class is found worst.
  var labelsMistakes: String {
    let judged = evaluation.perClass.filter { $0.averagePrecision != nil }
    guard let worst = judged.min(by: { ($0.averagePrecision ?? 1) < ($1.averagePrecision ?? 1) }),
      let precision = worst.averagePrecision, precision < 1
    else {
      return judged.count < evaluation.perClass.count
        ? "The photos of every class that has some come before all others."
        : "Every class's photos come before all others."
    }
    return "Weakest is '\(worst.name)': average precision \(Format.fixed(precision, 3)),"
      + " \(Counted.photos(worst.count))."
  }
}
