// SPDX-License-Identifier: Apache-2.0

package import ThawDatasets
import ThawInference
package import ThawRecipes

extension KeyHash {
  /// Nothing where photos have one label each.
  mutating func add(_ labels: LabelSet?) {
    guard let labels else { return }
    add("labels", list: labels.present)
    add("unknown labels", list: labels.unknown)
  }
}

extension Manifest {
  /// A hash of which photos there are, and what each is used for.
  package var photosKey: String {
    var hash = KeyHash("photos", version: 1)
    hash.add(photosOf: self)
    return hash.key
  }
}

extension Manifest {
  /// A hash of what a cross-validation of heads depends on: the photos, and what the recipe says of the network,
  /// of how photos are prepared and of how heads are trained.
  package func crossValidationKey(_ recipe: Recipe) -> String {
    var hash = KeyHash("cross-validation", version: 1)
    hash.add(photosOf: self)
    hash.add(
      "settings",
      list: recipe.values(of: ["", "image", "head", "train"]).map { "\($0.name): \($0.value)" })
    return hash.key
  }
}

extension KeyHash {
  /// Adds which photos there are, with their classes and splits.
  mutating func add(photosOf manifest: Manifest) {
    add("classes", list: manifest.classes)
    add("photos", manifest.records.count)
    for record in manifest.records {
      add(record.sha256, record.className)
      add("split", record.split.rawValue)
      add(record.labels)
    }
  }
}

extension TrainingRecord {
  /// Whether it was made of the photos of `manifest` as they are used there, as far as it says so.
  func isOf(_ manifest: Manifest) -> Bool { photosKey.map { $0 == manifest.photosKey } ?? true }
}
