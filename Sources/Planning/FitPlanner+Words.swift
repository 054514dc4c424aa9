// SPDX-License-Identifier: Apache-2.0

import ThawConsole
import ThawRecipes
import ThawRuns

extension FitPlanner {
  /// `10 minutes`
  static func words(_ minutes: Double) -> String {
    "\(Format.significant(minutes)) \(minutes == 1 ? "minute" : "minutes")"
  }

  /// What was chosen first, and why.
  static func sentences(
    _ choice: PlanChoice, sides: [Int], _ asked: Recipe, _ work: PlanChoice.Work,
    _ pace: PhotoPace, left: Double
  ) -> [String] {
    let side = choice.side
    func rate(_ seconds: Double) -> String { Format.significant(1 / max(seconds, 1e-9), 2) }
    let training = pace.training(at: side).map { ", \(rate($0)) in training" } ?? ""
    var sentences = [
      "Measured at \(side) pixels: \(rate(pace.features(at: side))) photos a second through the frozen"
        + " network\(training)."
    ]
    if sides.count > 1 {
      sentences.append(
        side == sides[0]
          ? "Size: \(side) pixels, the network's own; there is time for it."
          : "Size: \(side) pixels instead of \(sides[0]), so that layers can thaw for more epochs.")
    }
    let before = work.before(pace, side)
    let after = work.afterwards(pace, side, isFineTuned: choice.fitting != nil)
    if let fitting = choice.fitting {
      sentences.append(
        "Planned: \(Format.duration(seconds: before)) for features and head, about"
          + " \(Int(max(min(fitting, 1e6), 0))) epochs at most for all thawed layers,"
          + " \(Format.duration(seconds: after)) kept for judging and writing.")
    } else if asked.fineTune.enabled {
      sentences.append(
        "The backbone stays frozen: \(Format.duration(seconds: max(left, 0))) are too few for two epochs"
          + " of thawed layers.")
    }
    return sentences
  }
}
