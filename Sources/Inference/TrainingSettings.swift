// SPDX-License-Identifier: Apache-2.0

import Foundation
package import ThawCheckpoints
import ThawConfiguration
package import ThawImages
import ThawRecipes

/// What of a model's training matters after it: how photos were varied, by which draws, in batches
/// of how many.
///
/// A model file has the whole recipe, but a recipe of another version may have keys that this one
/// does not know. They must not cost what is needed, so these few values are then read alone.
package struct TrainingSettings: Sendable, Equatable {
  /// What the training photos were varied by; none for a network that Thaw did not train.
  package var augmentation = Augmentation.none
  /// Keys every draw of the training; 0 for a network that Thaw did not train.
  package var seed: UInt64 = 0
  /// Photos in a gradient; nil when that is not known.
  package var batch: Int?
  /// Why the values above are not those of the training, as the end of a sentence about the file;
  /// nil when they are, or when there was no training by Thaw.
  package var problem: String?
  /// What was passed over without harm, likewise; nil for nothing.
  package var note: String?

  /// Of a network that Thaw did not train.
  package init() {}

  /// Reads them from the training record in a model file.
  ///
  /// Never throws: predicting needs none of it. Ask ``problem`` before relying on the values.
  package init(of record: ModelRecord) {
    guard record.hasTraining else { return }
    do {
      let own = try JSONDecoder().decode(Own.self, from: Data(record.training.utf8))
      try read(own)
    } catch let error as ConfigurationError {
      problem = "the recipe in its training record is not understood (\(error.reason))"
    } catch {
      problem = "its training record is not understood"
    }
  }

  /// The members of a training record that are needed here.
  private struct Own: Decodable {
    let recipe: String
    let isHeadAlone: Bool

    enum CodingKeys: String, CodingKey {
      case recipe
      case isHeadAlone = "is_head_alone"
    }
  }

  private mutating func read(_ own: Own) throws {
    do {
      let recipe = try Recipe(written: own.recipe, file: "recipe")
      let train = own.isHeadAlone ? recipe.train : recipe.fineTune.train
      (augmentation, seed, batch) = (train.augmentation, recipe.seed, train.batch)
    } catch let error as ConfigurationError {
      try readAlone(own)
      note =
        "the recipe in its training record is one of another version of Thaw (\(error.reason));"
        + " only its seed, augmentation and batch are used"
    }
  }

  /// Reads the few keys alone. Recipes in model files have all of them, so an absent one was renamed.
  private mutating func readAlone(_ own: Own) throws {
    var fields = try YAMLFields(file: "recipe", text: own.recipe)
    let name = own.isHeadAlone ? "train" : "fine_tune"
    guard fields.has("seed"), var section = try fields.part(name), section.has("augmentation")
    else { throw fields.error(at: name, "it has no seed or no \(name).augmentation") }
    try fields.read("seed", into: &seed)
    try section.read("augmentation", decoding: &augmentation)
    var size = 0
    if section.has("batch") {
      try section.read("batch", into: &size, in: 1...65536)
      batch = size
    }
  }
}

extension ModelRecord {
  /// Whether it says anything about a training: that of a card or of a checkpoint from elsewhere
  /// does not.
  package var hasTraining: Bool { training != "{}" && !training.isEmpty }
}
