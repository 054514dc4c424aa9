// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
import ThawConsole
package import ThawDatasets
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
    /// Whether the manifest is as it was before.
    package let unchanged: Bool
    /// What became of an earlier split that was made otherwise; nil when there was none.
    package let newSplit: NewSplit?
    /// What deserves a look.
    package let warnings: [String]
  }

  /// Settings that somebody asked for now, in place of those that a recipe has anyway.
  package struct Requests: OptionSet, Sendable {
    package let rawValue: Int
    package init(rawValue: Int) { self.rawValue = rawValue }
    /// The share of validation photos.
    package static let valid = Requests(rawValue: 1)
    /// The share of test photos.
    package static let test = Requests(rawValue: 2)
    /// To stop when the validation loss stays as it is.
    package static let patience = Requests(rawValue: 4)
    /// To read every file again, however unchanged its time and inode are.
    package static let contents = Requests(rawValue: 8)
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
    var options = FolderScanner.Options()
    options.output = run.path
    options.layout = recipe.data.layout.given
    let photos = PhotoSource(data, recipe.data)
    let scan = try photos.scan(options, console: context.console)
    try PrepareStage.refuseIdle(requests, scan, recipe)
    let lock = try run.lock()
    defer { withExtendedLifetime(lock) {} }
    try FileSystem.createDirectory(run.cache)
    let verification = try verify(scan, again: requests.contains(.contents))
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
    }
    let newSplit = try splitAnew(from: existing, to: manifest)
    if manifest != existing { try manifest.write(to: run.manifest) }
    try AtomicFile.write(run.recipe, text: recipe.yaml)
    return summary(
      manifest, verification, recipe, unchanged: manifest == existing, newSplit)
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
      result.precision = Recipe.PrecisionChoice(context.precision(of: recipe))
    }
    context.console.say(
      "Precision: \(result.precision.rawValue), as this"
        + (FileSystem.exists(run.recipe) ? " run began." : " processor computes fastest."))
    return result
  }

  private static func refuseIdle(
    _ requests: Requests, _ scan: FolderScan, _ recipe: Recipe
  ) throws(PipelineError) {
    let folders = Set(scan.files.compactMap(\.split))
    func refuse(_ option: String, _ reason: String) -> PipelineError {
      .usage("\(option) has no effect: \(reason).")
    }
    if requests.contains(.valid), folders.contains(.valid) {
      throw refuse("--valid", "\(scan.root.displayed) has a folder of validation photos")
    }
    if requests.contains(.test), let folder = [Split.test, .valid].first(where: folders.contains) {
      throw refuse(
        "--test",
        "\(scan.root.displayed) has a folder of \(folder.photos), so its folders are the split"
      )
    }
    if requests.contains(.patience), recipe.data.valid == 0, !folders.contains(.valid) {
      throw refuse("--patience", "there are no validation photos")
    }
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
    if FileSystem.exists(run.headModel) { try FileSystem.remove(run.headModel) }
    guard hasModel || moved != nil else { return nil }
    return Summary.NewSplit(
      before: before, now: manifest.splitDescription, moved: moved,
      formerModel: hasModel ? run.formerModel.displayed : nil)
  }

  private func verify(_ scan: FolderScan, again: Bool) throws -> DatasetVerification {
    let progress = context.console.progress("Checking photos", total: scan.files.count)
    var options = DatasetVerification.Options(
      threads: context.threads, journal: run.verifiedPhotos)
    options.trustsTimes = !again
    let result = try DatasetVerification.run(
      scan, with: DecodingVerifier(), options: options
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
    _ manifest: Manifest, _ verification: DatasetVerification, _ recipe: Recipe, unchanged: Bool,
    _ newSplit: Summary.NewSplit?
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
    // One training that does not weigh the classes is enough for the advice.
    let trainings = [recipe.train] + (recipe.fineTune.enabled ? [recipe.fineTune.train] : [])
    let look = DataLook(
      verification, weighsClasses: trainings.allSatisfy { $0.classWeights != .none })
    for finding in look.findings { context.console.warn(finding.text + ".") }
    for warning in manifest.warnings { context.console.warn(warning) }
    return Summary(
      root: manifest.root.description, count: manifest.records.count,
      severalLabels: manifest.severalLabels, classes: classes,
      bad: manifest.bad.map { .init(path: $0.path.description, reason: $0.reason) },
      leftOut: leftOut, look: look, unchanged: unchanged, newSplit: newSplit,
      warnings: manifest.warnings)
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
  fileprivate var given: DatasetLayout? {
    switch self {
    case .auto: nil
    case .classes: .classes
    case .splits: .splits
    }
  }
}

extension Split {
  /// For people.
  fileprivate var photos: String {
    switch self {
    case .train: "training photos"
    case .valid: "validation photos"
    case .test: "test photos"
    }
  }
}
