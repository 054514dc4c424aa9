// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
import ThawDatasets
import ThawFiles
package import ThawImages
package import ThawInference
import ThawRecipes

/// Show what augmentation does to the training photos of a run.
package struct AugmentStage {
  private let context: StageContext

  /// Uses the context's cards.
  package init(context: StageContext) { self.context = context }

  /// What was drawn.
  package struct Summary: Encodable, Sendable {
    /// One operation and the range its numbers come from.
    package struct Operation: Encodable, Sendable {
      /// For example `rotation`.
      package let name: String
      /// For example `-10 to 10 degrees`.
      package let range: String
    }
    /// The sheet.
    package let preview: String
    /// Name of the preset.
    package let augmentation: String
    /// What it does; empty when it does nothing.
    package let operations: [Operation]
  }

  /// Writes a contact sheet as PNG: a row a photo, first as it is, then as training would see it.
  /// Nothing of the run changes, so it may be at work.
  ///
  /// - Parameters:
  ///   - preset: nil for what the recipe trains the head with, or else fine-tunes with.
  ///   - photos: rows; photos are taken evenly from the training split.
  /// - Throws: ``PipelineError/notPrepared(_:needs:command:)``, errors of the photos.
  package func preview(
    of run: RunDirectory, _ preset: Augmentation.Preset?, to output: FilePath, photos: Int,
    draws: Int
  ) throws -> Summary {
    let recipe = try run.loadRecipe()
    let manifest = try run.loadManifest()
    let card = try context.pretrained.card(named: recipe.backbone)
    let augmentation = preset.map(Augmentation.init) ?? recipe.shownAugmentation
    let contract = recipe.image.contract(card.preprocessing)
    let sheet = ContactSheet(contract, augmentation: augmentation, seed: recipe.seed, draws: draws)
    let records = manifest.records(in: .train)
    let count = min(photos, records.count)
    let rows = try (0..<count).map { row in
      let record = records[row * records.count / count]
      let path = record.path.resolved(in: manifest.root.filePath)
      let bytes = try PhotoFiles.read(path, limit: 1 << 30)
      return try bytes.withUnsafeBytes { try sheet.row($0, sample: record.drawNumber) }
    }
    try AtomicFile.write(output, bytes: try PNGEncoder.encode(sheet.image(rows: rows)))
    return Summary(
      preview: output.displayed, augmentation: augmentation.preset?.rawValue ?? "custom",
      operations: augmentation.operations.map { .init(name: $0.name, range: $0.range) })
  }
}

extension Recipe {
  /// The augmentation of the head's training, or that of fine-tuning when the head's does nothing.
  fileprivate var shownAugmentation: Augmentation {
    train.augmentation.isActive ? train.augmentation : fineTune.train.augmentation
  }
}
