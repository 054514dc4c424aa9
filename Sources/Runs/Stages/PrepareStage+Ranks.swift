// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import ThawConsole
import ThawDatasets
import ThawFiles
import ThawImages
package import ThawInference
package import ThawRanks
import ThawRecipes

// Photos are read, decoded and hashed by all ranks, each into a journal of its own. Rank 0 takes those over and goes
// on as if it had checked all of them before: the result is that of one process.
extension PrepareStage {
  /// A run whose photos rank 0 has checked.
  package init(following job: RankJob, context: StageContext) {
    self.init(RunDirectory(FilePath(job.run)), context: context)
  }

  /// Checks some of the photos that rank 0 prepares.
  ///
  /// - Throws: `RankError.disagreement` when they are not the same here; errors of the folder.
  package func follow(_ job: RankJob) throws {
    guard let data = job.subject.first else {
      preconditionFailure("Rank 0 says where the photos are.")
    }
    let recipe = try Recipe(
      written: job.recipe, file: "the recipe of \(context.ranks.name(of: 0))")
    let scan = try PhotoSource(FilePath(data), recipe.data).scan(
      scannerOptions(recipe), console: nil)
    try verifyPieces(of: scan, recipe.image.reading)
  }

  func scannerOptions(_ recipe: Recipe) -> FolderScanner.Options {
    var options = FolderScanner.Options()
    options.output = run.path
    options.layout = recipe.data.layout.given
    return options
  }

  /// Has all ranks check the photos that nobody has checked, where there are other ranks.
  func verifyTogether(_ scan: FolderScan, of data: FilePath, _ recipe: Recipe) throws {
    let ranks = context.ranks
    let journal = run.verifiedPhotos
    let verifier = DecodingVerifier(options: recipe.image.reading.decodeOptions)
    // What ranks had checked when a job was killed.
    try DatasetVerification.takeOver(journalsBeside: journal, verifier: verifier)
    guard ranks.hasOthers else { return }
    let directory = run.path.canonical ?? run.path
    try ranks.begin(
      .work(
        context.job(.verify, in: directory, recipe, subject: [(data.canonical ?? data).string])))
    do { try verifyPieces(of: scan, recipe.image.reading) } catch
      where OpenRun.isShared(error, in: .verify)
    {
      ranks.endJob()
      try DatasetVerification.takeOver(journalsBeside: journal, verifier: verifier)
      throw error
    }
    ranks.endJob()
    try DatasetVerification.takeOver(journalsBeside: journal, verifier: verifier)
  }

  /// Checks this rank's pieces, and those that nobody has begun.
  private func verifyPieces(of scan: FolderScan, _ reading: PixelReading) throws {
    let ranks = context.ranks
    try MemoryNeed(of: reading, threads: context.threads).check()
    try requireSamePhotos(scan)
    let verifier = DecodingVerifier(options: reading.decodeOptions)
    let files = try DatasetVerification.unknown(
      scan, verifier: verifier, journal: run.verifiedPhotos)
    let size = max((files.count + 8 * ranks.count - 1) / (8 * ranks.count), 16)
    let pieces = stride(from: 0, to: files.count, by: size).map {
      Array(files[$0..<min($0 + size, files.count)])
    }
    let progress = context.console.progress("Checking photos", total: files.count)
    let options = DatasetVerification.Options(
      threads: context.threads,
      journal: DatasetVerification.journal(of: ranks.rank, beside: run.verifiedPhotos))
    defer { progress.finish() }
    try context.share(pieces: pieces.count, in: run.path) { piece in
      _ = try DatasetVerification.run(
        scan.only(pieces[piece]), with: verifier, options: options
      ) { _ in try context.checkInterruption() }
      progress.advance(by: pieces[piece].count)
    }
  }

  private func requireSamePhotos(_ scan: FolderScan) throws {
    let ranks = context.ranks
    var hash = SHA256()
    for file in scan.files {
      hash.update(file.path.bytes)
      hash.update(Array(" \(file.status.size) \(file.className)\n".utf8))
    }
    let all = try ranks.gather(String(hash.hexadecimalDigest.prefix(16)))
    guard let other = all.firstIndex(where: { $0 != all[0] }) else { return }
    throw RankError.disagreement(
      "\(ranks.name(of: other)): sees other photos in \(scan.root.displayed) than"
        + " \(ranks.name(of: 0)): hash \(all[other]), expected \(all[0]). All hosts must see the same"
        + " photos: put them on a file system that they share.")
  }
}
