// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
import ThawConsole
import ThawDatasets
import ThawFiles
package import ThawInference
import ThawOneDNN
package import ThawRecipes

/// Scan, verify, split: from a folder of photos to `manifest.json`.
package struct PrepareStage {
  private let run: RunDirectory
  private let context: StageContext

  /// Works in `run`.
  package init(_ run: RunDirectory, context: StageContext) {
    self.run = run
    self.context = context
  }

  /// What was found.
  package struct Summary: Encodable, Sendable {
    /// One class's photos.
    package struct ClassCount: Encodable, Sendable {
      /// The class.
      package let name: String
      /// Photos to train on.
      package let train: Int
      /// Photos to choose by.
      package let valid: Int
      /// Photos to measure by.
      package let test: Int
    }
    /// A file left out.
    package struct Bad: Encodable, Sendable {
      /// Below the root.
      package let path: String
      /// Why.
      package let reason: String
    }
    /// The folder.
    package let root: String
    /// Usable photos.
    package let count: Int
    /// By class.
    package let classes: [ClassCount]
    /// Files left out.
    package let bad: [Bad]
    /// Whether the manifest is as it was before.
    package let unchanged: Bool
    /// What deserves a look.
    package let warnings: [String]
  }

  /// Scans `data` and writes the manifest and the recipe.
  ///
  /// - Throws: `DatasetError` when the folder is no dataset or photos are bad and the recipe says
  ///   stop; `bad_files.tsv` then names all of them.
  package func prepare(_ data: FilePath, recipe: Recipe) throws -> Summary {
    // A wrong name is better told now than after the photos have been checked.
    _ = try context.pretrained.card(named: recipe.backbone)
    var options = FolderScanner.Options()
    options.output = run.path
    let scan = try FolderScanner.scan(data, options: options)
    let lock = try run.lock()
    defer { withExtendedLifetime(lock) {} }
    try FileSystem.createDirectory(run.cache)
    let verification = try verify(scan)
    try AtomicFile.write(run.badFiles, text: verification.bad.tabSeparated)
    let existing = try existingManifest(of: scan)
    var builder = ManifestBuilder()
    builder.policy = recipe.data.onBadImage == .stop ? .stop : .skip
    builder.fractions = SplitFractions(valid: recipe.data.valid, test: recipe.data.test)
    builder.seed = recipe.seed
    let manifest = try builder.build(verification, existing: existing)
    if manifest != existing { try manifest.write(to: run.manifest) }
    try AtomicFile.write(run.recipe, text: recipe.yaml)
    return summary(manifest, unchanged: manifest == existing)
  }

  private func verify(_ scan: FolderScan) throws -> DatasetVerification {
    let progress = context.console.progress("Checking photos", total: scan.files.count)
    let result = try DatasetVerification.run(
      scan, with: DecodingVerifier(),
      options: .init(threads: context.threads, journal: run.verifiedPhotos)
    ) { state in
      try context.checkInterruption()
      progress.update(completed: state.done)
    }
    progress.finish()
    return result
  }

  /// The manifest of an earlier call, nil when there is none.
  private func existingManifest(of scan: FolderScan) throws -> Manifest? {
    guard FileSystem.exists(run.manifest) else { return nil }
    let manifest: Manifest
    do { manifest = try Manifest(contentsOf: run.manifest) } catch let error as DatasetError {
      guard case .invalidManifest(let path, let key, let problem) = error else { throw error }
      throw PipelineError.data(
        "\(path.displayed): \(key): \(problem). Delete the file to prepare afresh: splits follow"
          + " from the photos' contents, so hardly any photo will change its own.")
    }
    guard manifest.root == BytePath(scan.root.canonical ?? scan.root) else {
      throw PipelineError.data(
        "\(run.path.displayed): was prepared from \(manifest.root), not from"
          + " \(scan.root.displayed). Use another run directory.")
    }
    return manifest
  }

  private func summary(_ manifest: Manifest, unchanged: Bool) -> Summary {
    let counts = Split.allCases.map(manifest.counts)
    let classes = manifest.classes.indices.map { index in
      Summary.ClassCount(
        name: manifest.classes[index], train: counts[0][index], valid: counts[1][index],
        test: counts[2][index])
    }
    for warning in manifest.warnings { context.console.warn(warning) }
    return Summary(
      root: manifest.root.description, count: manifest.records.count, classes: classes,
      bad: manifest.bad.map { .init(path: $0.path.description, reason: $0.reason) },
      unchanged: unchanged, warnings: manifest.warnings)
  }
}
