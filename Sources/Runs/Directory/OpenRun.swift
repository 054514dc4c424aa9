// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
import ThawCheckpoints
package import ThawConsole
package import ThawDatasets
import ThawFiles
package import ThawInference
package import ThawRecipes

/// A prepared run that this process, and no other, works in: what every stage begins with.
///
/// The recipe and the manifest are read when the lock is held, so nobody can change them between that
/// and the work. The lock lasts as long as one of its copies.
package struct OpenRun: Sendable {
  /// Where its files are.
  package let directory: RunDirectory
  /// The recipe in force, or another one to try (``with(_:)``).
  package let recipe: Recipe
  /// Which photo belongs to which class and split.
  package let manifest: Manifest
  /// Console, threads, engine and weights.
  package let context: StageContext
  private let lock: DirectoryLock

  /// Takes the lock of a directory and reads what `thaw prepare` left in it.
  ///
  /// - Throws: ``PipelineError/notPrepared(_:needs:command:)``; `FileError` with the reason `inUse` when
  ///   another process works there; errors of the recipe and the manifest.
  package init(_ directory: RunDirectory, context: StageContext) throws {
    // A wrong name must not make a directory.
    try directory.require(directory.recipe, from: "thaw prepare DATA")
    lock = try directory.lock()
    recipe = try directory.loadRecipe()
    manifest = try directory.loadManifest()
    self.directory = directory
    self.context = context
  }

  private init(_ run: OpenRun, recipe: Recipe) {
    directory = run.directory
    manifest = run.manifest
    context = run.context
    lock = run.lock
    self.recipe = recipe
  }

  /// The same run under the same lock with another recipe, which is not written down.
  package func with(_ recipe: Recipe) -> OpenRun {
    var recipe = recipe
    // Decided when the run was prepared.
    if recipe.precision == .auto { recipe.precision = self.recipe.precision }
    return OpenRun(self, recipe: recipe)
  }

  /// Puts the recipe in force: the next command finds it.
  ///
  /// - Throws: `FileError`.
  package func saveRecipe() throws {
    guard try directory.loadRecipe() != recipe else { return }
    try AtomicFile.write(directory.recipe, text: recipe.yaml)
  }

  /// Fails when somebody asked now to stop once the validation loss stays as it is, and there are no
  /// photos to tell it by.
  ///
  /// - Throws: ``PipelineError/usage(_:)``.
  package func requireValidationPhotos(forPatience patience: Bool) throws(PipelineError) {
    if patience, manifest.records(in: .valid).isEmpty { throw .patienceWithoutValidation }
  }

  /// Says so when the recipe's seed is not the one that the photos were split by.
  package func saySeedOfSplit() {
    guard manifest.fractions != nil, recipe.seed != manifest.seed else { return }
    context.console.say(
      "The photos stay split by seed \(manifest.seed). Preparing them with seed \(recipe.seed) would"
        + " split them anew.")
  }

  /// Makes sure that a model of this run answers with the run's classes, and that it was made in the
  /// precision in which the run computes here.
  ///
  /// - Throws: ``PipelineError/data(_:)``.
  func requireContract(of model: ModelRecord, in file: FilePath) throws(PipelineError) {
    let again = "Run: thaw train --run \(directory.path.quoted)"
    guard
      model.classNames == manifest.classes && model.outputActivation == manifest.outputActivation
    else {
      throw .data(
        "\(file.displayed): was trained for other classes or another number of labels a photo than the run"
          + " has now. \(again)")
    }
    let precision = context.computedPrecision(of: recipe)
    guard model.precision == precision else {
      throw .data(
        "\(file.displayed): was made in \(model.precision.rawValue), and the run computes in"
          + " \(precision.rawValue) here. \(again)")
    }
  }

  /// The trained model, compiled; what of its file cannot be read is said.
  ///
  /// - Throws: ``PipelineError/notPrepared(_:needs:command:)`` before training; errors of the file.
  package func classifier() throws -> Classifier {
    try directory.require(directory.model, from: "thaw train")
    let classifier = try Classifier(
      modelFile: directory.model, compiler: context.compiler, threads: context.threads)
    if let note = classifier.note { context.console.warn(note) }
    return classifier
  }

  /// Makes sure that the directory is still the one that was locked, before a result is written.
  ///
  /// - Throws: `FileError` when it was removed meanwhile.
  package func verify() throws { try lock.verify() }

  /// Writes a result as JSON, complete or not at all.
  ///
  /// - Throws: `FileError`.
  package func write(_ result: some Encodable, to path: FilePath) throws {
    try verify()
    try AtomicFile.write(path, text: try JSONText.of(result) + "\n")
  }
}
