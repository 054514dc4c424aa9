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

  /// - Parameters:
  ///   - features: of the network with the recipe's cut, at full precision.
  ///   - trainingEngine: the one that trains, where the usual one has no kernel for a layer.
  package init(
    _ recipe: Recipe, _ manifest: Manifest, features: FeatureCacheKey, trainingEngine: String?
  ) {
    self.trainingEngine = trainingEngine
    self.recipe = recipe
    self.manifest = manifest
    self.features = features
  }

  /// 64 lower-case hexadecimal digits.
  ///
  /// - Throws: `NetworkError` when the network lacks a parameter.
  package func key() throws -> String { try key(settings: recipe.train.yaml) }

  /// Whether a model was made by this training: by this version, or by one that knew fewer settings,
  /// all others being what they were.
  ///
  /// - Throws: as ``key()``.
  package func made(_ record: TrainingRecord) throws -> Bool {
    if try record.key == key() { return true }
    guard let then = record.readRecipe(), then.train == recipe.train, then.head.means(recipe.head),
      let settings = record.section("train", before: "fine_tune")
    else { return false }
    return try [key(settings: settings), formerKey(then.head, settings: settings)]
      .contains(record.key)
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
    hash.add("classes", list: manifest.classes)
    hash.add("photos", manifest.records.count)
    for record in manifest.records {
      hash.add(record.sha256, record.className)
      hash.add("split", record.split.rawValue)
      hash.add(record.labels)
    }
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
  func readRecipe() -> Recipe? { try? Recipe(yaml: recipe, file: "recipe") }

  /// The lines of a section of the recipe as they were written then.
  func section(_ name: String, before next: String) -> String? {
    guard let start = recipe.range(of: "\n\(name):\n"),
      let end = recipe[start.upperBound...].range(of: "\n\(next):\n")
    else { return nil }
    return String(recipe[start.upperBound..<end.lowerBound])
  }
}
