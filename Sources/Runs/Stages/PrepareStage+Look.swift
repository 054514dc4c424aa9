// SPDX-License-Identifier: Apache-2.0

import Synchronization
import ThawDatasets
import ThawImages
import ThawRecipes
import ThawReports

// What is left to do when every photo has its split takes no photo to decide on: the threads that decoded them share it.
extension PrepareStage {
  /// What is said about the photos, and what is to be written of it.
  struct Findings: Sendable {
    /// What each class is made of, and what deserves attention.
    let look: DataLook
    /// The manifest's own warnings.
    let warnings: [String]
    /// The manifest as JSON; nil where it is not to be written.
    let json: [UInt8]?
    /// Small pictures of near-duplicates, for the page.
    let thumbnails: [BytePath: [UInt8]]
  }

  /// Looks at the photos, and makes what is written about them.
  ///
  /// - Parameters:
  ///   - writesManifest: whether the manifest is to be written.
  ///   - writesPage: whether the page about the photos is.
  /// - Throws: what encoding the manifest throws; `DatasetError` when there is no thread to be had.
  func findings(
    _ verification: DatasetVerification, _ manifest: Manifest, _ recipe: Recipe,
    writesManifest: Bool, writesPage: Bool
  ) throws -> Findings {
    let shown =
      writesPage ? shownGroups(manifest).flatMap { $0.paths.prefix(PhotosPage.photosOfGroup) } : []
    let look = Mutex<DataLook?>(nil)
    let warnings = Mutex<[String]>([])
    let json = Mutex<[UInt8]?>(nil)
    let thumbnails = Mutex<[BytePath: [UInt8]]>([:])
    // The longest first, so that no thread begins one when the others are done.
    try forEachIndex(below: 3 + shown.count, threads: context.threads) { task in
      switch task {
      case 0:
        guard writesManifest else { return }
        let bytes = try manifest.json
        json.withLock { $0 = bytes }
      case 1:
        let found = self.look(at: verification, manifest, recipe)
        look.withLock { $0 = found }
      case 2:
        let lines = manifest.warnings
        warnings.withLock { $0 = lines }
      default:
        let path = shown[task - 3]
        let picture = self.thumbnail(path, manifest)
        thumbnails.withLock { $0[path] = picture }
      }
    }
    return Findings(
      look: look.withLock { $0 } ?? self.look(at: verification, manifest, recipe),
      warnings: warnings.withLock { $0 }, json: json.withLock { $0 },
      thumbnails: thumbnails.withLock { $0 })
  }

  private func thumbnail(_ path: BytePath, _ manifest: Manifest) -> [UInt8]? {
    let place = path.resolved(in: manifest.root.filePath)
    guard let bytes = try? PhotoFiles.read(place, limit: 1 << 28) else { return nil }
    return try? Thumbnail.jpeg(of: bytes, longerSide: 160)
  }

  private func look(
    at verification: DatasetVerification, _ manifest: Manifest, _ recipe: Recipe
  ) -> DataLook {
    // One training that does not weigh the classes is enough for the advice.
    let trainings = [recipe.train] + (recipe.fineTune.enabled ? [recipe.fineTune.train] : [])
    return DataLook(
      verification, weighsClasses: trainings.allSatisfy { $0.classWeights != .none },
      mirrors: trainings.contains { $0.augmentation.mirrors },
      alike: (manifest.nearDuplicates ?? []).filter { $0.kinds.contains(.acrossClasses) }.map(
        \.paths))
  }

  /// The largest groups of copies: the page shows them.
  func shownGroups(_ manifest: Manifest) -> [Manifest.NearDuplicateGroup] {
    Array(
      (manifest.nearDuplicates ?? []).sorted {
        ($1.paths.count, $0.paths[0]) < ($0.paths.count, $1.paths[0])
      }.prefix(12))
  }
}
