// SPDX-License-Identifier: Apache-2.0

import ThawDatasets
import ThawImages
import ThawRecipes

// What is kept of decoded photos is in the key of a training only where it changes pixels: with it, photos
// that no draw needs in full become smaller. What was trained before there was a choice kept nothing, to
// the pixels of whole photos.

extension Recipe.Train {
  /// Leaves a choice that changes nothing at whole photos.
  mutating func keepPixels(shrinking shrinksPhotos: Bool) {
    if !shrinksPhotos || !drawsAnew { keptPixels = .whole }
  }
}

extension String {
  /// The lines of a section as they are in the key of a training: for whole photos as they were before
  /// there was a choice.
  func keyed(_ train: Recipe.Train) -> String {
    guard train.keptPixels == .whole else { return self }
    return split(separator: "\n", omittingEmptySubsequences: false)
      .filter { !$0.hasPrefix("  kept_pixels: ") }.joined(separator: "\n")
  }
}

extension OpenRun {
  /// Whether a training that keeps pixels shrunk makes any of the training photos smaller.
  ///
  /// - Parameters:
  ///   - settings: of the head's training or of fine-tuning.
  ///   - phaseSizes: sides that phases spelt out have.
  /// - Throws: errors of the card.
  func shrinksPhotos(_ settings: Recipe.Train, phaseSizes: [Int] = []) throws -> Bool {
    guard settings.drawsAnew, settings.keptPixels == .shrunk else { return false }
    let contract = recipe.image.contract(
      try context.pretrained.card(named: recipe.backbone).preprocessing)
    let sides = Set(settings.sizes + phaseSizes + [contract.inputSize])
    let rules = sides.map {
      PhotoKeeping(contract.withInputSize($0), settings.augmentation, shrinks: true)
    }
    return manifest.records(in: .train).contains { record in
      let size = PixelSize(width: record.width, height: record.height)
      return rules.contains { $0.shrunkSize(of: size) != nil }
    }
  }

  /// The same of fine-tuning.
  func shrinksTunedPhotos() throws -> Bool {
    let fineTune = recipe.fineTune
    return try shrinksPhotos(fineTune.train, phaseSizes: fineTune.phases.compactMap(\.size))
  }
}
