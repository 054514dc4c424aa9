// SPDX-License-Identifier: Apache-2.0

import ThawConsole
import ThawRecipes
package import ThawRuns
package import ThawSearch

/// Which head: the recipe's, logistic regression, or one that sees each photo in several cached views.
///
/// Every way is judged as a trial of `thaw search` is: by cross-validation over the training and validation
/// photos, or where those are many by the validation photos. Another way than the recipe's is taken when its loss is
/// clearly lower and it is not wrong more often.
package struct HeadChoice {
  /// A way to train a head.
  package struct Way: Sendable, Equatable {
    /// For people.
    package let name: String
    /// What differs from the recipe.
    package let parameters: [String: SearchValue]
    /// Views of every training photo whose features are computed for it, besides the plain one.
    package var views = 0
  }

  /// What judging it said.
  package struct Judged: Sendable, Equatable {
    package let way: Way
    package let accuracy: Double
    package let loss: Double

    package init(_ way: Way, accuracy: Double, loss: Double) {
      (self.way, self.accuracy, self.loss) = (way, accuracy, loss)
    }
  }

  /// The recipe's own, and what is tried beside it.
  package static let ways = [
    Way(name: "as the recipe has it", parameters: [:]),
    Way(name: "logistic regression", parameters: ["train.solver": .word("lbfgs")]),
    Way(
      name: "two views of each photo, some mirrored, cached",
      parameters: ["train.augmentation": .word("mirror"), "train.views": .whole(2)], views: 2),
    Way(
      name: "four cropped and mirrored views of each photo, cached",
      parameters: ["train.augmentation": .word("crops"), "train.views": .whole(4)], views: 4),
    Way(
      name: "four cropped, mirrored and recoloured views of each photo, cached",
      parameters: ["train.augmentation": .word("photo"), "train.views": .whole(4)], views: 4),
  ]

  /// How much lower a loss must be, as a share.
  static let clearly = 0.03

  /// The one that is taken; the first is the recipe's.
  package static func best(_ judged: [Judged]) -> Judged? {
    guard let usual = judged.first else { return nil }
    return judged.dropFirst().filter {
      $0.loss < usual.loss * (1 - clearly) && $0.accuracy >= usual.accuracy
    }.min { $0.loss < $1.loss } ?? usual
  }

  /// Judges the ways that there is time for; empty where there is none to compare.
  ///
  /// - Parameter isAffordable: asked before each with the number of views that it needs.
  /// - Throws: ``PipelineError/interrupted``; errors of the photos.
  package static func judge(
    _ run: OpenRun, isAffordable: (Way) -> Bool
  ) throws -> [Judged] {
    let objective = try HeadObjective(run)
    var judged: [Judged] = []
    for way in ways {
      try run.context.checkInterruption()
      guard judged.isEmpty || isAffordable(way) else { continue }
      do {
        let result = try objective.measure(
          SearchRequest(way.parameters, rung: objective.rungs - 1))
        guard result.loss.isFinite else { continue }
        judged.append(Judged(way, accuracy: result.accuracy, loss: result.loss))
      } catch is SearchFailure {
        // Without the recipe's own there is nothing to compare with.
        if way.parameters.isEmpty { return [] }
      }
    }
    return judged
  }
}
