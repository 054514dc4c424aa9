// SPDX-License-Identifier: Apache-2.0

public import Datasets
public import Files
public import SystemPackage

/// `runs/NAME`: everything one run has made, each file under a fixed name.
public struct RunDirectory: Sendable {
  /// The directory itself.
  public let path: FilePath

  /// Names a run directory; nothing is created yet.
  public init(_ path: FilePath) { self.path = path }

  /// The recipe in force.
  public var recipe: FilePath { path.appending("recipe.yml") }
  /// Which photo belongs to which class and split.
  public var manifest: FilePath { path.appending("manifest.json") }
  /// Photos that could not be used, with reasons.
  public var badFiles: FilePath { path.appending("bad_files.tsv") }
  /// Features and the journal of verified photos.
  public var cache: FilePath { path.appending("cache") }
  /// What a killed training continues from.
  public var checkpoints: FilePath { path.appending("checkpoints") }
  /// How long the training of the model took.
  public var trainingTime: FilePath { checkpoints.appending("time.json") }
  /// The model as head training left it: what fine-tuning starts from.
  public var headModel: FilePath { checkpoints.appending("head.safetensors") }
  /// What a training that diverged had last: a model file.
  public var lastGoodModel: FilePath { checkpoints.appending("last_good.safetensors") }
  /// One line an epoch.
  public var history: FilePath { path.appending("history.jsonl") }
  /// The last sweep of the learning rate.
  public var learningRateSearch: FilePath { path.appending("lr_finder.json") }
  /// The one file to ship.
  public var model: FilePath { path.appending("model.safetensors") }
  /// Results of the evaluations.
  public var metrics: FilePath { path.appending("metrics.json") }
  /// One row a photo of the split evaluated last.
  public var predictions: FilePath { path.appending("predictions.csv") }
  /// The last result of `thaw diagnose KIND`.
  public func diagnosis(_ kind: String) -> FilePath { path.appending("diagnosis_\(kind).json") }
  /// One row a photo of the last `thaw diagnose fit`: how well label and photo agree.
  public var labelTable: FilePath { path.appending("diagnosis_fit.csv") }
  /// The photos with the most suspicious labels, as one picture.
  public var labelSheet: FilePath { path.appending("diagnosis_fit.png") }
  /// The report.
  public var report: FilePath { path.appending("report.html") }

  /// Creates the directory if needed and takes the right to write in it.
  ///
  /// - Throws: `FileError`; reason `inUse` when another process holds it.
  public func lock() throws -> DirectoryLock {
    try FileSystem.createDirectory(path)
    let lock = try DirectoryLock(path)
    for directory in [path, checkpoints, cache] { RunDirectory.removeLeftovers(in: directory) }
    return lock
  }

  /// Removes what killed processes had begun to write. Only the holder of the lock writes artifacts,
  /// so an unfinished one that is there when the lock is taken is nobody's.
  private static func removeLeftovers(in directory: FilePath) {
    for name in (try? FileSystem.list(directory)) ?? [] {
      let parts = name.string.split(separator: ".tmp.", omittingEmptySubsequences: false)
      if parts.count == 2, artifacts.contains(String(parts[0])) {
        try? FileSystem.remove(directory.appending(name))
      }
    }
  }

  private static let artifacts: Set = [
    "recipe.yml", "manifest.json", "bad_files.tsv", "verified", "trainer.safetensors", "time.json",
    "history.jsonl", "model.safetensors", "last_good.safetensors", "metrics.json",
    "predictions.csv", "report.html", "diagnosis_batchnorm.json", "diagnosis_gradients.json",
    "diagnosis_preprocessing.json", "diagnosis_fit.json", "diagnosis_fit.csv", "diagnosis_fit.png",
  ]

  /// The recipe of this run.
  ///
  /// - Throws: ``PipelineError/notPrepared(_:needs:command:)``, `ConfigurationError`, `FileError`.
  public func loadRecipe() throws -> Recipe {
    try require(recipe, from: "thaw prepare DATA")
    let text = String(decoding: try FileSystem.read(recipe, limit: 1 << 20), as: UTF8.self)
    return try Recipe(yaml: text, file: recipe.displayed)
  }

  /// Puts another recipe in force.
  ///
  /// - Throws: ``PipelineError/notPrepared(_:needs:command:)`` before the first stage; `FileError`.
  public func change(_ recipe: Recipe) throws {
    guard try loadRecipe() != recipe else { return }
    let lock = try lock()
    defer { withExtendedLifetime(lock) {} }
    try AtomicFile.write(self.recipe, text: recipe.yaml)
  }

  /// The manifest of this run.
  ///
  /// - Throws: ``PipelineError/notPrepared(_:needs:command:)``, `DatasetError`, `FileError`.
  public func loadManifest() throws -> Manifest {
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
