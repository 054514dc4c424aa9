// SPDX-License-Identifier: Apache-2.0

import Synchronization
package import SystemPackage
import ThawConsole
package import ThawDatasets
import ThawFiles
import ThawImages
package import ThawInference
import ThawOneDNN
package import ThawRecipes
import ThawReports

/// Scan, verify, split: from a folder of photos to `manifest.json`.
package struct PrepareStage {
  let run: RunDirectory
  let context: StageContext

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
    /// A split that took the place of another one.
    package struct NewSplit: Encodable, Sendable {
      /// How photos were split before.
      package let before: String
      /// How they are split now.
      package let now: String
      /// Photos that are now used for something else; nil when nobody knows.
      package let moved: Int?
      /// Where the model was put that knows photos which are now held out; nil when there is none.
      package let formerModel: String?
    }
    /// The folder.
    package let root: String
    /// Usable photos.
    package let count: Int
    /// Whether a photo may have several labels.
    package let severalLabels: Bool
    /// By class; a photo with several labels counts for each.
    package let classes: [ClassCount]
    /// Files left out.
    package let bad: [Bad]
    /// The same counted, by class and format.
    package let leftOut: [LeftOutFiles]
    /// What each class is made of, and what deserves attention before training.
    package let look: DataLook
    /// The same as a page.
    package let page: String
    /// Whether the manifest is as it was before.
    package let unchanged: Bool
    /// What became of an earlier split that was made otherwise; nil when there was none.
    package let newSplit: NewSplit?
    /// What people decided about photos in `thaw review`; nil when nobody did.
    package let reviewed: ReviewDecisions.Applied?
    /// What deserves a look.
    package let warnings: [String]
  }

  /// Scans `data` and writes the manifest and the recipe.
  ///
  /// A run that was split by other fractions or another seed is split anew, and says so. A model that
  /// knows photos which are now held out, whatever moved them, is put aside.
  ///
  /// - Parameter requests: must have an effect.
  /// - Throws: ``PipelineError/usage(_:)`` for a request without effect; `DatasetError` when the folder is no dataset or photos are bad and the recipe says
  ///   stop; `bad_files.tsv` then names all of them.
  package func prepare(
    _ data: FilePath, recipe: Recipe, requests: Requests = []
  ) throws -> Summary {
    // A wrong name is better told now than after the photos have been checked.
    _ = try context.pretrained.card(named: recipe.backbone)
    let recipe = withDecidedPrecision(recipe)
    warnOfPrecision(recipe)
    let photos = PhotoSource(data, recipe.data)
    let scan = try photos.scan(scannerOptions(recipe), console: context.console)
    try requireUnlabelled(recipe.data.unlabelled, severalLabels: scan.severalLabels)
    try requests.requireEffect(scan, recipe)
    let lock = try run.lock(isShared: context.ranks.hasOthers ? true : nil)
    defer { withExtendedLifetime(lock) {} }
    try FileSystem.createDirectory(run.cache)
    // Photos that are to be read again although they are known are rank 0's.
    if !requests.contains(.verifyContents) { try verifyTogether(scan, of: data, recipe) }
    let (verification, reviewed) = try reviewed(
      verify(scan, recipe.image.reading, again: requests.contains(.verifyContents)))
    try AtomicFile.write(run.badFiles, text: verification.bad.tabSeparated)
    let existing = try existingManifest(of: scan)
    var builder = ManifestBuilder()
    builder.policy = recipe.data.onBadImage == .stop ? .stop : .skip
    builder.fractions = SplitFractions(valid: recipe.data.valid, test: recipe.data.test)
    builder.seed = recipe.seed
    builder.allowsNewClasses = true
    builder.grouping = recipe.data.groupBy.isEmpty ? nil : recipe.data.groupBy
    builder.conflicts = recipe.data.conflictingLabels
    builder.nearDuplicates = recipe.data.nearDuplicates
    let manifest: Manifest
    do { manifest = try builder.build(verification, existing: existing) } catch {
      for line in LeftOutFiles.count(verification).lines { context.console.warn(line) }
      throw error
    }
    if let existing, manifest.classes.count > existing.classes.count {
      let names = manifest.classes.dropFirst(existing.classes.count).map { "'\($0)'" }
      context.console.say(
        "New classes: \(names.joined(separator: ", ")). They come behind those that the run has; the"
          + " head has to be trained anew, features that are cached stay.")
      // For the report, which compares the two on the same photos.
      if FileSystem.exists(run.model) { try FileSystem.copy(run.model, to: run.earlierModel) }
    }
    let isNew = manifest != existing
    let writesPage = isNew || !FileSystem.exists(run.photosPage)
    let findings = try findings(
      verification, manifest, recipe, writesManifest: isNew, writesPage: writesPage)
    let newSplit = try splitAnew(from: existing, to: manifest)
    if let json = findings.json { try AtomicFile.write(run.manifest, bytes: json) }
    try AtomicFile.write(run.recipe, text: recipe.yaml)
    if writesPage {
      let page = PhotosPage(
        findings.look, manifest, warnings: findings.warnings, showing: shownGroups(manifest),
        thumbnails: findings.thumbnails)
      try AtomicFile.write(run.photosPage, text: page.html)
    }
    return summary(manifest, verification, findings, unchanged: !isNew, newSplit, reviewed)
  }

  /// Whether photos without labels are there, and could be used.
  private func requireUnlabelled(_ path: String, severalLabels: Bool) throws {
    guard !path.isEmpty else { return }
    guard !severalLabels else { throw PipelineError.unlabelledWithSeveralLabels }
    _ = try FolderScanner.unlabelled(FilePath(path), output: run.path)
  }

  /// `auto` is decided once: a run that goes on elsewhere computes as it began.
  private func withDecidedPrecision(_ recipe: Recipe) -> Recipe {
    guard recipe.precision == .auto else { return recipe }
    var result = recipe
    if let earlier = try? run.startingRecipe(nil), earlier.precision != .auto,
      FileSystem.exists(run.recipe)
    {
      result.precision = earlier.precision
    } else {
      result.precision = Recipe.PrecisionChoice(context.precision(of: recipe)) ?? .float32
    }
    context.console.say(
      "Precision: \(result.precision.rawValue), as this"
        + (FileSystem.exists(run.recipe) ? " run began." : " processor computes fastest."))
    return result
  }

  private func warnOfPrecision(_ recipe: Recipe) {
    let (wanted, computed) = (recipe.precision.rawValue, context.computedPrecision(of: recipe))
    guard recipe.precision != .auto, wanted != computed.rawValue else { return }
    context.console.warn(
      "\(wanted) does not compute on this processor; \(computed.rawValue) is computed and recorded."
    )
  }

  /// The photos as `review.tsv` says they are; the files stay what they are.
  private func reviewed(
    _ verification: DatasetVerification
  ) throws -> (DatasetVerification, ReviewDecisions.Applied?) {
    let decisions = try ReviewDecisions(contentsOf: run.review)
    guard !decisions.all.isEmpty else { return (verification, nil) }
    let (result, applied) = try decisions.applied(to: verification)
    context.console.say(
      "\(run.review.displayed): \(counted(applied.relabelled, "photo")) under another class,"
        + " \(applied.dropped) left out, \(applied.kept) as they are."
        + (applied.withoutPhoto > 0
          ? " \(applied.withoutPhoto) of its decisions are about photos that are not there." : ""))
    return (result, applied)
  }

  /// Puts away what was trained on an earlier split, before the new one is written: at no moment does a
  /// model stand beside photos that it is not to have seen.
  private func splitAnew(
    from earlier: Manifest?, to manifest: Manifest
  ) throws -> Summary.NewSplit? {
    guard let earlier else {
      // A deleted manifest tells no more which photos the model has learned from.
      let key = (try? TrainingRecord.read(run.model))?.photosKey
      return key == manifest.photosKey
        ? nil : try putAside(before: "unknown", manifest, moved: nil)
    }
    let isHeldOut = manifest.heldOutSince(earlier) > 0
    guard manifest.isSplitAnew(from: earlier) || isHeldOut else { return nil }
    // By contents: a photo that is moved to another folder is the same photo.
    let before = Dictionary(earlier.records.map { ($0.sha256, $0.split) }) { first, _ in first }
    let moved = manifest.records.count { (before[$0.sha256] ?? $0.split) != $0.split }
    guard isHeldOut else {
      return Summary.NewSplit(
        before: earlier.splitDescription, now: manifest.splitDescription, moved: moved,
        formerModel: nil)
    }
    return try putAside(before: earlier.splitDescription, manifest, moved: moved)
  }

  /// Nil when there is nothing to put aside and nothing is known to have moved.
  private func putAside(
    before: String, _ manifest: Manifest, moved: Int?
  ) throws -> Summary.NewSplit? {
    let hasModel = FileSystem.exists(run.model)
    if hasModel { try FileSystem.move(run.model, to: run.formerModel) }
    // Each knows photos that are held out now.
    for model in [run.headModel, run.earlierModel] { try FileSystem.remove(model) }
    guard hasModel || moved != nil else { return nil }
    return Summary.NewSplit(
      before: before, now: manifest.splitDescription, moved: moved,
      formerModel: hasModel ? run.formerModel.displayed : nil)
  }

  private func verify(
    _ scan: FolderScan, _ reading: PixelReading, again: Bool
  ) throws -> DatasetVerification {
    try MemoryNeed(of: reading, threads: context.threads).check()
    let progress = context.console.progress("Checking photos", total: scan.files.count)
    var options = DatasetVerification.Options(
      threads: context.threads, journal: run.verifiedPhotos)
    options.trustsTimes = !again
    let result = try DatasetVerification.run(
      scan, with: DecodingVerifier(options: reading.decodeOptions), options: options
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

  private func summary(
    _ manifest: Manifest, _ verification: DatasetVerification, _ findings: Findings,
    unchanged: Bool, _ newSplit: Summary.NewSplit?, _ reviewed: ReviewDecisions.Applied?
  ) -> Summary {
    let counts = Split.allCases.map(manifest.counts)
    let classes = manifest.classes.indices.map { index in
      Summary.ClassCount(
        name: manifest.classes[index], train: counts[0][index], valid: counts[1][index],
        test: counts[2][index])
    }
    if let newSplit { context.console.warn(newSplit.text) }
    let leftOut = LeftOutFiles.count(verification)
    for line in leftOut.lines { context.console.warn(line) }
    // What was said about the same photos before stands on the page about them.
    if !unchanged {
      for finding in findings.look.findings { context.console.warn(finding.text + ".") }
      for warning in findings.warnings { context.console.warn(warning) }
    }
    return Summary(
      root: manifest.root.description, count: manifest.records.count,
      severalLabels: manifest.severalLabels, classes: classes,
      bad: manifest.bad.map { .init(path: $0.path.description, reason: $0.reason) },
      leftOut: leftOut, look: findings.look, page: run.photosPage.displayed, unchanged: unchanged,
      newSplit: newSplit, reviewed: reviewed, warnings: findings.warnings)
  }
}

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

extension PrepareStage.Summary.NewSplit {
  /// For people.
  fileprivate var text: String {
    "the photos are split anew: \(before) before, \(now) now"
      + (moved.map { "; \($0 == 1 ? "1 photo has" : "\($0) photos have") another use." } ?? ".")
      + (formerModel.map {
        " The model may know photos that are now held out; it is now \($0)."
      } ?? "")
  }
}

extension Recipe.Data.Layout {
  /// The layout, where the names of folders are not to decide it.
  var given: DatasetLayout? {
    switch self {
    case .auto: nil
    case .classes: .classes
    case .splits: .splits
    }
  }
}
