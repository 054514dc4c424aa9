// SPDX-License-Identifier: Apache-2.0

import Foundation
package import SystemPackage
import ThawCheckpoints
package import ThawConsole
package import ThawDatasets
import ThawFiles
package import ThawInference
package import ThawRanks
package import ThawRecipes
import ThawTraining

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
  /// Nil on a rank that follows: rank 0 holds it.
  private let lock: RunLease?

  /// Takes the lock of a directory and reads what `thaw prepare` left in it.
  ///
  /// - Throws: ``PipelineError/notPrepared(_:needs:command:)``; `FileError` with the reason `inUse` when
  ///   another process works there; errors of the recipe and the manifest.
  package init(_ directory: RunDirectory, context: StageContext) throws {
    // A wrong name must not make a directory.
    try directory.require(directory.recipe, from: "thaw prepare DATA")
    lock = try directory.lock(isShared: context.ranks.hasOthers ? true : nil)
    recipe = try directory.loadRecipe()
    manifest = try directory.loadManifest()
    self.directory = directory
    self.context = context
  }

  /// Opens the run that rank 0 has open, with the recipe that it works by.
  ///
  /// - Throws: errors of the recipe and the manifest.
  package init(following job: RankJob, context: StageContext) throws {
    directory = RunDirectory(FilePath(job.run))
    recipe = try Recipe(written: job.recipe, file: "the recipe of \(context.ranks.name(of: 0))")
    manifest = try directory.loadManifest()
    self.context = context
    lock = nil
  }

  private init(_ run: OpenRun, recipe: Recipe, context: StageContext? = nil) {
    directory = run.directory
    manifest = run.manifest
    self.context = context ?? run.context
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

  /// The same run, whose work on one rank stops when any rank of a job is asked to.
  package var stoppingTogether: OpenRun {
    var context = context
    let (ranks, isInterrupted) = (context.ranks, context.isInterrupted)
    context.isInterrupted = { isInterrupted() || ((try? ranks.isStopAsked()) ?? false) }
    return OpenRun(self, recipe: recipe, context: context)
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
  package func verify() throws { try lock?.verify() }

  /// Writes a result as JSON, complete or not at all.
  ///
  /// - Throws: `FileError`.
  package func write(_ result: some Encodable, to path: FilePath) throws {
    try verify()
    try AtomicFile.write(path, text: try JSONText.of(result) + "\n")
  }
}

extension OpenRun {
  /// Has all ranks go through `body` together, where there are others: rank 0 calls them here, a rank that
  /// follows comes here by itself. First they make sure that they see the same.
  ///
  /// - Parameter subject: see `RankJob`.
  /// - Throws: `RankError` when a rank sees something else; what `body` throws.
  package func together<Result>(
    _ kind: RankJob.Kind, subject: [String] = [], _ body: () throws -> Result
  ) throws -> Result {
    let ranks = context.ranks
    guard ranks.hasOthers else { return try body() }
    if ranks.isLeader {
      try ranks.begin(
        .work(
          context.job(
            kind, in: directory.path.canonical ?? directory.path, recipe, subject: subject)))
    }
    do {
      try requireSameView()
      let result = try body()
      ranks.endJob()
      return result
    } catch  where OpenRun.isShared(error, in: kind) {
      ranks.endJob()
      throw error
    }
  }

  /// Whether all ranks that go through a job together end it by this error at the same place.
  package static func isShared(_ error: any Error, in kind: RankJob.Kind) -> Bool {
    switch error {
    case PipelineError.interrupted: kind.stopsTogether
    case PipelineError.diverged, TrainingError.diverged, RankError.disagreement: true
    default: false
    }
  }

  /// What a rank works from.
  private struct View: Codable {
    /// Hashes by what they are of.
    var hashes: [String: String] = [:]
    /// Why it cannot work.
    var problem: String?
  }

  /// - Throws: `RankError.disagreement`, the same on all ranks.
  private func requireSameView() throws {
    let ranks = context.ranks
    var own = View()
    do { own.hashes = try hashes() } catch { own.problem = "\(error)" }
    let all = try ranks.gather(own)
    for (rank, view) in all.enumerated() {
      if let problem = view.problem {
        throw RankError.disagreement("\(ranks.name(of: rank)): \(problem)")
      }
      for (name, hash) in all[0].hashes.sorted(by: { $0.key < $1.key })
      where view.hashes[name] != hash {
        throw RankError.disagreement(
          "\(ranks.name(of: rank)): sees other \(name) than \(ranks.name(of: 0)): hash"
            + " \(view.hashes[name] ?? "none"), expected \(hash). All hosts must see the same run"
            + " directory, photos and weights: put them on a file system that they share.")
      }
    }
  }

  private func hashes() throws -> [String: String] {
    func short(_ bytes: [UInt8]) -> String { String(SHA256.hexadecimal(of: bytes).prefix(16)) }
    func file(_ path: FilePath) throws -> String {
      FileSystem.exists(path) ? short(try FileSystem.read(path)) : "none"
    }
    let network = try TransferNetwork(recipe, classes: manifest.classes, context: context)
    try requirePhotos()
    return [
      "photos in manifest.json": try file(directory.manifest),
      "settings": short(Array(recipe.yaml.utf8)),
      "weights": String(
        try network.cacheKey(engine: context.compiler.inferenceEngine).key().prefix(16)),
      "trained heads": try file(directory.headModel),
      "models": try file(directory.model),
      "checkpoints": try file(directory.trainerState),
    ]
  }

  /// Looks at some photos, spread over all: a folder that is not mounted is told at once. Every other
  /// photo is compared with its hash when it is read.
  private func requirePhotos() throws {
    let records = manifest.records
    for index in Set((0..<16).map { $0 * records.count / 16 }) where records.indices.contains(index)
    {
      let place = records[index].path.resolved(in: manifest.root.filePath)
      guard
        SHA256.hexadecimal(of: try PhotoFiles.read(place, limit: 1 << 28)) == records[index].sha256
      else {
        throw PipelineError.data(
          "\(place.displayed): is not the photo that the run was prepared with. Run: thaw prepare")
      }
    }
  }
}

extension StageContext {
  /// Work that the other ranks are to begin with this one.
  func job(
    _ kind: RankJob.Kind, in run: FilePath, _ recipe: Recipe, subject: [String]
  ) -> RankJob {
    RankJob(
      kind: kind, run: run.string, recipe: recipe.yaml, threads: threads, engine: engine.rawValue,
      pretrained: ProcessInfo.processInfo.environment["THAW_PRETRAINED"], subject: subject)
  }
}
