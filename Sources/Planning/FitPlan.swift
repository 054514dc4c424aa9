// SPDX-License-Identifier: Apache-2.0

import Foundation
import ThawFiles
package import ThawRecipes
package import ThawRuns

/// A plan as a run keeps it, `checkpoints/minutes.json`: the same command again goes on with what was decided,
/// however fast the machine is then.
package struct FitPlan: Codable, Equatable, Sendable {
  /// Time for everything, minutes.
  package var minutes: Double
  /// The recipe that was asked for.
  package var asked: String
  /// The recipes that were in force since, the last being the latest decision.
  package var followed: [String]
  /// Seconds that were spent until something was written down last.
  package var spent: Double
  /// Of the photos that it was made for.
  package var photos: String
  /// Side of the input.
  package var side: Int
  /// Measured before.
  package var measured: FitPlanSummary.Measured
  /// What was decided and why.
  package var decisions: [String]
  /// Whether the head was chosen, and how long fine-tuning lasts; whether all is done.
  package var hasHead = false
  package var hasLength = false
  package var isFinished = false

  /// A plan that was just made.
  package init(
    minutes: Double, asked: String, followed: [String], spent: Double, photos: String, side: Int,
    measured: FitPlanSummary.Measured, decisions: [String]
  ) {
    self.minutes = minutes
    self.asked = asked
    self.followed = followed
    self.spent = spent
    self.photos = photos
    self.side = side
    self.measured = measured
    self.decisions = decisions
  }

  /// The plan of a run; nil without one, or with one that an earlier version made.
  package static func read(_ directory: RunDirectory) -> FitPlan? {
    guard let bytes = try? FileSystem.read(directory.timeLimit, limit: 1 << 20) else { return nil }
    return try? JSONDecoder().decode(FitPlan.self, from: Data(bytes))
  }

  /// - Throws: `FileError`.
  package func write(_ directory: RunDirectory) throws {
    try FileSystem.createDirectory(directory.checkpoints)
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted]
    try AtomicFile.write(directory.timeLimit, bytes: Array(try encoder.encode(self)))
  }

  /// `recipe` where it is what a plan decides as it was asked for, everything else as it is now: what another
  /// plan is to be made from.
  package func undecided(_ recipe: Recipe) -> Recipe {
    guard let asked = try? Recipe(written: asked, file: "plan") else { return recipe }
    let followed = followed.compactMap { try? Recipe(written: $0, file: "plan") }
    var result = recipe
    func reset<Value: Equatable>(_ path: WritableKeyPath<Recipe, Value>) {
      if followed.contains(where: { $0[keyPath: path] == recipe[keyPath: path] }) {
        result[keyPath: path] = asked[keyPath: path]
      }
    }
    reset(\.image.size)
    reset(\.train)
    reset(\.fineTune.enabled)
    reset(\.fineTune.train.epochs)
    reset(\.fineTune.train.schedule)
    reset(\.fineTune.stopAfter)
    return result
  }

  /// Whether the plan was made for `recipe`, which its own decisions may have changed since.
  package func isFor(_ recipe: Recipe) -> Bool {
    guard let asked = try? Recipe(written: asked, file: "plan") else { return false }
    return undecided(recipe).likened(to: asked) == asked
  }

  /// Whether `recipe` is one of those that the plan has put in force.
  package func hasFollowed(_ recipe: Recipe) -> Bool {
    followed.contains {
      (try? Recipe(written: $0, file: "plan")).map { recipe.likened(to: $0) == $0 } ?? false
    }
  }
}

extension Recipe {
  /// This recipe with what decides nothing, or was decided when the photos were prepared, as in `other`.
  fileprivate func likened(to other: Recipe) -> Recipe {
    var result = self
    (result.name, result.minutes) = (other.name, other.minutes)
    if precision == .auto { result.precision = other.precision }
    return result
  }
}

/// What an earlier version kept in place of a plan: how many epochs fit.
struct FormerTimeLimit: Codable {
  let wanted: Int
  let chosen: Int

  /// The recipe before that decision.
  static func undecided(_ recipe: Recipe, in directory: RunDirectory) -> Recipe {
    guard let bytes = try? FileSystem.read(directory.timeLimit, limit: 1 << 16),
      let decision = try? JSONDecoder().decode(FormerTimeLimit.self, from: Data(bytes)),
      recipe.fineTune.train.epochs == decision.chosen
    else { return recipe }
    var result = recipe
    result.fineTune.train.epochs = decision.wanted
    return result
  }
}
