// SPDX-License-Identifier: Apache-2.0

package import ThawDatasets
import ThawFiles
package import ThawInference
import ThawNetwork
package import ThawRecipes

/// The key of a head's training: everything that its result depends on.
///
/// The version of Thaw is not among it: a new one alone trains nothing anew. When a change makes the
/// same settings give other numbers, the version of the key is raised.
package struct HeadTrainingKey {
  private let recipe: Recipe
  private let manifest: Manifest
  private let features: FeatureCacheKey
  private let trainingEngine: String?
  private let shrinksPhotos: Bool

  /// - Parameters:
  ///   - features: of the network with the recipe's cut, at full precision.
  ///   - trainingEngine: the one that trains, where the usual one has no kernel for a layer.
  ///   - shrinksPhotos: as of ``FineTuningKey``.
  package init(
    _ recipe: Recipe, _ manifest: Manifest, features: FeatureCacheKey, trainingEngine: String?,
    shrinksPhotos: Bool = false
  ) {
    self.shrinksPhotos = shrinksPhotos
    self.trainingEngine = trainingEngine
    self.recipe = recipe
    self.manifest = manifest
    self.features = features
  }

  /// 64 lower-case hexadecimal digits.
  ///
  /// - Throws: `NetworkError` when the network lacks a parameter.
  package func key() throws -> String { try key(settings: settings.yaml.keyed(settings)) }

  private var settings: Recipe.Train {
    var settings = recipe.train
    settings.keepPixels(shrinking: shrinksPhotos)
    return settings
  }

  /// Whether a model was made by this training: by this version, or by one that knew fewer settings,
  /// all others being what they were.
  ///
  /// - Throws: as ``key()``.
  package func made(_ record: TrainingRecord) throws -> Bool {
    if try record.key == key() { return true }
    guard var then = record.readRecipe() else { return false }
    then.train.keepPixels(shrinking: shrinksPhotos)
    guard then.train == settings, then.head.means(recipe.head),
      let text = record.section("train", before: "fine_tune")?.keyed(then.train)
    else { return false }
    return try [key(settings: text), formerKey(then.head, settings: text)].contains(record.key)
  }

  private func key(settings: String) throws -> String {
    var hash = KeyHash("head training", version: 3)
    hash.add("features", try features.key())
    if let trainingEngine { hash.add("training engine", trainingEngine) }
    hash.add("seed", String(recipe.seed))
    hash.add("hidden", recipe.head.hidden.map { [$0] } ?? [])
    hash.add("dropout", recipe.head.dropout)
    hash.add("frozen_batch_norm", (recipe.head.frozenBatchNorm ?? .inference).rawValue)
    hash.add("cache", recipe.cache.rawValue)
    hash.add("settings", settings)
    hash.add("rate", recipe.train.rate)
    hash.add(photosOf: manifest)
    return hash.key
  }

  /// The key that Thaw 0.1.0 gave the same training, which hashed Swift's description of the head.
  private func formerKey(_ head: Recipe.Head, settings: String) throws -> String {
    let hidden = head.hidden.map { "Optional(\($0))" } ?? "nil"
    let norm =
      head.frozenBatchNorm.map { "Optional(Network.BatchNormMode.\($0.rawValue))" } ?? "nil"
    let text = "Head(hidden: \(hidden), dropout: \(head.dropout), frozenBatchNorm: \(norm))"
    var hash = SHA256()
    hash.update("training 2 0.1.0")
    hash.update(try features.formerKey())
    hash.update("\(recipe.seed) \(text) \(recipe.cache.rawValue) \(settings)")
    hash.update("\(recipe.train.rate)")
    for name in manifest.classes { hash.update(name) }
    for record in manifest.records {
      hash.update("\(record.sha256) \(record.className) \(record.split.rawValue)")
    }
    return hash.hexadecimalDigest
  }
}

extension Recipe.Head {
  /// Whether it is the same head; no mode for batch norms is the one of inference.
  fileprivate func means(_ other: Recipe.Head) -> Bool {
    hidden == other.hidden && dropout == other.dropout
      && (frozenBatchNorm ?? .inference) == (other.frozenBatchNorm ?? .inference)
  }
}

extension TrainingRecord {
  /// The recipe of the training; nil when it is one that this version does not know: its result is
  /// then not taken for one of today's.
  func readRecipe() -> Recipe? { try? Recipe(written: recipe, file: "recipe") }

  /// The lines of a section of the recipe as they were written then.
  func section(_ name: String, before next: String) -> String? {
    guard let start = recipe.range(of: "\n\(name):\n"),
      let end = recipe[start.upperBound...].range(of: "\n\(next):\n")
    else { return nil }
    return String(recipe[start.upperBound..<end.lowerBound])
  }
}
