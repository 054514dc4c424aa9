// SPDX-License-Identifier: Apache-2.0

import ThawFiles
package import ThawInference
package import ThawRecipes

/// The key of a fine-tuning: everything that its result depends on. See ``HeadTrainingKey``.
package struct FineTuningKey {
  private let recipe: Recipe
  private let head: TrainingRecord
  private let engine: String
  private let shrinksPhotos: Bool

  /// - Parameters:
  ///   - head: the record of the model that fine-tuning starts from.
  ///   - engine: the name of the one that trains, with its version.
  ///   - shrinksPhotos: whether keeping pixels shrunk would make any photo smaller: otherwise it does not
  ///     matter what is kept.
  package init(_ recipe: Recipe, head: TrainingRecord, engine: String, shrinksPhotos: Bool) {
    self.shrinksPhotos = shrinksPhotos
    self.recipe = recipe
    self.head = head
    self.engine = engine
  }

  /// 64 lower-case hexadecimal digits.
  package var key: String { key(settings: settings.yaml.keyed(settings.train)) }

  /// Whether a model was made by this training; as ``HeadTrainingKey/made(_:)``.
  package func made(_ record: TrainingRecord) -> Bool {
    if record.key == key { return true }
    guard var then = record.readRecipe()?.fineTune, !record.isHeadAlone else { return false }
    then.enabled = true
    then.train.keepPixels(shrinking: shrinksPhotos)
    guard then == settings, let text = record.section("fine_tune", before: "evaluate") else {
      return false
    }
    let lines = text.replacing("  enabled: false\n", with: "  enabled: true\n", maxReplacements: 1)
      .keyed(then.train)
    return [key(settings: lines), formerKey(settings: lines)].contains(record.key)
  }

  /// Whether `fit` fine-tunes changes nothing about how.
  private var settings: Recipe.FineTune {
    var settings = recipe.fineTune
    settings.enabled = true
    settings.train.keepPixels(shrinking: shrinksPhotos)
    return settings
  }

  private var usualRate: Recipe.LearningRate {
    settings.usualRate(headAccuracy: head.accuracyInterval)
  }

  private func key(settings: String) -> String {
    var hash = KeyHash("fine-tuning", version: 4)
    hash.add("engine", engine)
    hash.add("head", head.key)
    hash.add("seed", String(recipe.seed))
    hash.add("cache", recipe.cache.rawValue)
    hash.add(usualRate)
    hash.add("settings", settings)
    return hash.key
  }

  /// The key that Thaw 0.1.0 gave the same training.
  private func formerKey(settings: String) -> String {
    let usual =
      switch usualRate {
      case .single(let rate): "single(\(rate))"
      case .list(let rates): "list(\(rates))"
      case .range(let from, let to):
        "range(from: \(from.map { "Optional(\($0))" } ?? "nil"), to: \(to))"
      case .layerwise(let to, let decay): "layerwise(to: \(to), decay: \(decay))"
      }
    var hash = SHA256()
    hash.update("fine-tuning 3 0.1.0 \(engine)")
    hash.update(head.key)
    hash.update("\(recipe.seed) \(recipe.cache.rawValue) \(usual) \(settings)")
    return hash.hexadecimalDigest
  }
}

extension KeyHash {
  fileprivate mutating func add(_ rate: Recipe.LearningRate) {
    switch rate {
    case .single(let rate): add("single rate", rate)
    case .list(let rates):
      add("rates", rates.count)
      for rate in rates { add("rate", rate) }
    case .range(let from, let to):
      if let from { add("lowest rate", from) }
      add("highest rate", to)
    case .layerwise(let to, let decay):
      add("last rate", to)
      add("decay", decay)
    }
  }
}
