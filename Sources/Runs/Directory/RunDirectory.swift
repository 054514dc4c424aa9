// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
import ThawConsole
package import ThawDatasets
package import ThawFiles
package import ThawRanks
package import ThawRecipes

/// `runs/NAME`: everything one run has made, each file under a fixed name.
package struct RunDirectory: Sendable {
  /// The directory itself.
  package let path: FilePath

  /// Names a run directory; nothing is created yet.
  package init(_ path: FilePath) { self.path = path }

  /// The recipe in force.
  package var recipe: FilePath { place(of: .recipe) }
  /// Which photo belongs to which class and split.
  package var manifest: FilePath { place(of: .manifest) }
  /// Photos that could not be used, with reasons.
  package var badFiles: FilePath { place(of: .badFiles) }
  /// Features and the journal of verified photos.
  package var cache: FilePath { path.appending("cache") }
  /// The caches of features, one a key.
  package var features: FilePath { cache.appending("features") }
  /// Decoded photos that a training keeps from one epoch to the next.
  package var pixels: FilePath { cache.appending("pixels") }
  /// Photos that were verified, and the outcome.
  package var verifiedPhotos: FilePath { place(of: .verifiedPhotos) }
  /// Photos without labels that were verified, and the outcome.
  package var verifiedUnlabelled: FilePath { place(of: .verifiedUnlabelled) }
  /// What a killed training continues from.
  package var checkpoints: FilePath { path.appending("checkpoints") }
  /// The state of a training that is not finished.
  package var trainerState: FilePath { place(of: .trainerState) }
  /// How long the training of the model took.
  package var trainingTime: FilePath { place(of: .trainingTime) }
  /// How many epochs of fine-tuning fit into the minutes that were given.
  package var timeLimit: FilePath { place(of: .timeLimit) }
  /// The model as head training left it: what fine-tuning starts from.
  package var headModel: FilePath { place(of: .headModel) }
  /// What a training that diverged had last: a model file.
  package var lastGoodModel: FilePath { place(of: .lastGoodModel) }
  /// The model at the end of a training's cycle, whose last epoch is `epoch` (from 1).
  package func snapshot(epoch: Int) -> FilePath {
    let digits = String(epoch)
    let zeros = String(repeating: "0", count: max(4 - digits.count, 0))
    return checkpoints.appending(Family.snapshot.name(zeros + digits))
  }
  /// One line an epoch.
  package var history: FilePath { place(of: .history) }
  /// The last sweep of the learning rate.
  package var learningRateSearch: FilePath { place(of: .learningRateSearch) }
  /// The one file to ship.
  package var model: FilePath { place(of: .model) }
  /// The last model before the photos were split anew.
  package var formerModel: FilePath { place(of: .formerModel) }
  /// The model before classes came to the run.
  package var earlierModel: FilePath { place(of: .earlierModel) }
  /// Results of the evaluations.
  package var metrics: FilePath { place(of: .metrics) }
  /// One row a photo of the split evaluated last.
  package var predictions: FilePath { place(of: .predictions) }
  /// The last result of `thaw diagnose KIND`.
  package func diagnosis(_ kind: String) -> FilePath {
    path.appending(Family.diagnosis.name(kind))
  }
  /// One row a photo of the last `thaw diagnose fit`: how well label and photo agree.
  package var labelTable: FilePath { place(of: .labelTable) }
  /// The photos with the most suspicious labels, as one picture.
  package var labelSheet: FilePath { place(of: .labelSheet) }
  /// One row a photo of the last `thaw diagnose errors`: the answer, and its tags.
  package var errorTable: FilePath { place(of: .errorTable) }
  /// The photos with a tag, as one picture.
  package func errorSheet(_ tag: String) -> FilePath {
    path.appending(Family.errorSheet.name(tag))
  }
  /// Removes the sheets of an earlier analysis, which may have had other tags.
  package func removeErrorSheets() throws(FileError) {
    for name in try FileSystem.list(path) where Family.errorSheet.contains(name.string) {
      try FileSystem.remove(path.appending(name))
    }
  }
  /// What people decided about photos, a line each, in the order in which they did.
  package var review: FilePath { place(of: .review) }
  /// Files that were moved because of that, to undo it.
  package var reviewMoves: FilePath { place(of: .reviewMoves) }
  /// The page that says what the run came to.
  package var report: FilePath { place(of: .report) }
  /// What heads make of photos that they have not seen.
  package var crossValidation: FilePath { place(of: .crossValidation) }
  /// The same, a row a photo.
  package var heldOutPredictions: FilePath { place(of: .heldOutPredictions) }
  /// What a search has measured, a line each.
  package var searchJournal: FilePath { place(of: .searchJournal) }
  /// The result of the last search.
  package var search: FilePath { place(of: .search) }
  /// The same as a page.
  package var searchPage: FilePath { place(of: .searchPage) }
  /// The recipe that won.
  package var searchedRecipe: FilePath { place(of: .searchedRecipe) }
  /// A look at the photos before training.
  package var photosPage: FilePath { place(of: .photosPage) }

  /// Every file that stages write, by its name. There is no other way to its path, so that none can
  /// be forgotten when leftovers are removed.
  private enum Artifact: String, CaseIterable {
    case recipe = "recipe.yml"
    case manifest = "manifest.json"
    case badFiles = "bad_files.tsv"
    case verifiedPhotos = "cache/verified"
    case verifiedUnlabelled = "cache/verified_unlabelled"
    case trainerState = "checkpoints/trainer.safetensors"
    case trainingTime = "checkpoints/time.json"
    case timeLimit = "checkpoints/minutes.json"
    case headModel = "checkpoints/head.safetensors"
    case lastGoodModel = "checkpoints/last_good.safetensors"
    case history = "history.jsonl"
    case learningRateSearch = "lr_finder.json"
    case model = "model.safetensors"
    case formerModel = "model_of_former_split.safetensors"
    case earlierModel = "model_before_new_classes.safetensors"
    case metrics = "metrics.json"
    case predictions = "predictions.csv"
    case labelTable = "diagnosis_fit.csv"
    case labelSheet = "diagnosis_fit.png"
    case errorTable = "diagnosis_errors.csv"
    case review = "review.tsv"
    case reviewMoves = "review_moves.tsv"
    case report = "report.html"
    case crossValidation = "cross_validation.json"
    case heldOutPredictions = "cross_validation.csv"
    case searchJournal = "search.jsonl"
    case search = "search.json"
    case searchPage = "search.html"
    case searchedRecipe = "search.yml"
    case photosPage = "photos.html"
  }

  /// Files that stages write of which there may be several.
  private enum Family: CaseIterable {
    case diagnosis, snapshot, errorSheet

    private var ends: (prefix: String, suffix: String) {
      switch self {
      case .diagnosis: ("diagnosis_", ".json")
      case .errorSheet: ("diagnosis_errors_", ".png")
      case .snapshot: ("snapshot-", ".safetensors")
      }
    }

    func name(_ member: String) -> String { ends.prefix + member + ends.suffix }

    func contains(_ name: String) -> Bool {
      name.hasPrefix(ends.prefix) && name.hasSuffix(ends.suffix)
    }
  }

  private func place(of artifact: Artifact) -> FilePath {
    path.pushing(FilePath(artifact.rawValue))
  }

  /// Creates the directory if needed and takes the right to write in it.
  ///
  /// - Parameter isShared: whether other machines may come here; nil to ask the file system.
  /// - Throws: `FileError`; reason `inUse` or `inUseElsewhere` when another process holds it.
  package func lock(isShared: Bool? = nil) throws -> RunLease {
    try FileSystem.createDirectory(path)
    let lock = try RunLease(path, isShared: isShared)
    for directory in [path, checkpoints, cache] {
      AtomicFile.removeLeftovers(in: directory) { isArtifact($0, in: directory) }
    }
    return lock
  }

  /// Whether stages write the file called `name` in `directory`, under the lock alone.
  private func isArtifact(_ name: String, in directory: FilePath) -> Bool {
    Artifact.allCases.contains { place(of: $0) == directory.appending(name) }
      || Family.allCases.contains { $0.contains(name) }
  }

  /// The recipe of this run.
  ///
  /// - Throws: ``PipelineError/notPrepared(_:needs:command:)``, `ConfigurationError`, `FileError`.
  package func loadRecipe() throws -> Recipe {
    try require(recipe, from: "thaw prepare DATA")
    let text = String(decoding: try FileSystem.read(recipe, limit: 1 << 20), as: UTF8.self)
    return try Recipe(written: text, file: recipe.displayed)
  }

  /// The recipe that a new call starts from: that of `file`, else this run's, else the defaults.
  ///
  /// - Throws: `ConfigurationError`, `FileError`.
  package func startingRecipe(_ file: FilePath?) throws -> Recipe {
    if let file {
      let text = String(decoding: try FileSystem.read(file, limit: 1 << 20), as: UTF8.self)
      return try Recipe(yaml: text, file: file.displayed)
    }
    if FileSystem.exists(recipe) { return try loadRecipe() }
    var result = Recipe()
    result.name = path.lastComponent?.string ?? "run"
    return result
  }

  /// The manifest of this run.
  ///
  /// - Throws: ``PipelineError/notPrepared(_:needs:command:)``, `DatasetError`, `FileError`.
  package func loadManifest() throws -> Manifest {
    try require(manifest, from: "thaw prepare DATA")
    return try Manifest(contentsOf: manifest)
  }

  /// Throws unless `file` exists, naming the command that makes it.
  func require(_ file: FilePath, from command: String) throws {
    guard FileSystem.exists(file) else {
      throw PipelineError.notPrepared(
        path.displayed, needs: file.lastComponent?.string ?? "", command: command)
    }
  }
}
