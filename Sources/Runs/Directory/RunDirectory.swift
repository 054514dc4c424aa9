// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
import ThawConsole
package import ThawDatasets
package import ThawFiles
package import ThawRecipes

/// `runs/NAME`: everything one run has made, each file under a fixed name.
package struct RunDirectory: Sendable {
  /// The directory itself.
  package let path: FilePath

  /// Names a run directory; nothing is created yet.
  package init(_ path: FilePath) { self.path = path }

  /// The recipe in force.
  package var recipe: FilePath { path.appending("recipe.yml") }
  /// Which photo belongs to which class and split.
  package var manifest: FilePath { path.appending("manifest.json") }
  /// Photos that could not be used, with reasons.
  package var badFiles: FilePath { path.appending("bad_files.tsv") }
  /// Features and the journal of verified photos.
  package var cache: FilePath { path.appending("cache") }
  /// What a killed training continues from.
  package var checkpoints: FilePath { path.appending("checkpoints") }
  /// How long the training of the model took.
  package var trainingTime: FilePath { checkpoints.appending("time.json") }
  /// The model as head training left it: what fine-tuning starts from.
  package var headModel: FilePath { checkpoints.appending("head.safetensors") }
  /// What a training that diverged had last: a model file.
  package var lastGoodModel: FilePath { checkpoints.appending("last_good.safetensors") }
  /// One line an epoch.
  package var history: FilePath { path.appending("history.jsonl") }
  /// The last sweep of the learning rate.
  package var learningRateSearch: FilePath { path.appending("lr_finder.json") }
  /// The one file to ship.
  package var model: FilePath { path.appending("model.safetensors") }
  /// Results of the evaluations.
  package var metrics: FilePath { path.appending("metrics.json") }
  /// One row a photo of the split evaluated last.
  package var predictions: FilePath { path.appending("predictions.csv") }
  /// The last result of `thaw diagnose KIND`.
  package func diagnosis(_ kind: String) -> FilePath { path.appending("diagnosis_\(kind).json") }
  /// One row a photo of the last `thaw diagnose fit`: how well label and photo agree.
  package var labelTable: FilePath { path.appending("diagnosis_fit.csv") }
  /// The photos with the most suspicious labels, as one picture.
  package var labelSheet: FilePath { path.appending("diagnosis_fit.png") }
  /// The report.
  package var report: FilePath { path.appending("report.html") }

  /// Creates the directory if needed and takes the right to write in it.
  ///
  /// - Throws: `FileError`; reason `inUse` when another process holds it.
  package func lock() throws -> DirectoryLock {
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
  package func loadRecipe() throws -> Recipe {
    try require(recipe, from: "thaw prepare DATA")
    let text = String(decoding: try FileSystem.read(recipe, limit: 1 << 20), as: UTF8.self)
    return try Recipe(yaml: text, file: recipe.displayed)
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

  /// Puts another recipe in force.
  ///
  /// - Throws: ``PipelineError/notPrepared(_:needs:command:)`` before the first stage; `FileError`.
  package func change(_ recipe: Recipe) throws {
    guard try loadRecipe() != recipe else { return }
    let lock = try lock()
    defer { withExtendedLifetime(lock) {} }
    try AtomicFile.write(self.recipe, text: recipe.yaml)
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
