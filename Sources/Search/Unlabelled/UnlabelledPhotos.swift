// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import ThawConsole
import ThawDatasets
import ThawFiles
import ThawImages
import ThawInference
import ThawRecipes
package import ThawRuns

/// The photos of `--unlabelled`: they help the head of a run where cross-validation shows that they do.
package struct UnlabelledPhotos: UnlabelledHelping {
  package init() {}

  package func photos(for run: OpenRun) throws -> any UnlabelledHelp {
    try UnlabelledPhotos.check(run)
    return try UnlabelledPool(run)
  }

  /// Refuses heads that they cannot help.
  private static func check(_ run: OpenRun) throws(PipelineError) {
    let recipe = run.recipe
    guard !run.manifest.severalLabels else { throw .unlabelledWithSeveralLabels }
    guard !run.context.ranks.hasOthers else {
      throw .usage(
        "--unlabelled is worked on by one rank alone. Start it without the launcher, or leave it out."
      )
    }
    guard !recipe.train.drawsAnew else {
      throw .usage(
        "--unlabelled needs features that are cached, and train.views is fresh. Give a number of views"
          + " (--views head:4).")
    }
    guard !(recipe.head.frozenBatchNorm?.movesRunningStatistics ?? false) else {
      throw .usage(
        "--unlabelled needs features that are cached, and head.frozen_batch_norm has the whole network run in"
          + " training. Set it to inference.")
    }
    guard recipe.train.sizes.isEmpty else {
      throw .usage(
        "--unlabelled helps a head that is trained at one input size, and train.sizes has several. Leave it out."
      )
    }
  }
}

/// The photos of a folder without labels that can be decoded, each picture file once.
struct UnlabelledPool: UnlabelledHelp {
  let run: OpenRun
  let key: String
  private let folder: FilePath
  private let photos: [VerifiedFile]
  private let found: Int
  private let leftOut: UnlabelledResult.LeftOut

  init(_ run: OpenRun) throws {
    self.run = run
    folder = FilePath(run.recipe.data.unlabelled)
    let scan = try FolderScanner.unlabelled(folder, output: run.directory.path)
    let verification = try UnlabelledPool.verify(
      scan, run, run.directory.verifiedUnlabelled, "Checking photos without labels")
    var (leftOut, seen) = (UnlabelledResult.LeftOut(), Set<String>())
    photos = verification.photos.filter { seen.insert($0.sha256).inserted }
    leftOut.broken = verification.bad.count
    leftOut.repeated = verification.photos.count - photos.count
    self.leftOut = leftOut
    found = verification.photos.count + verification.bad.count
    var hash = SHA256()
    hash.update("unlabelled photos 1")
    for digest in seen.sorted() { hash.update(digest) }
    key = hash.hexadecimalDigest
  }

  private static func verify(
    _ scan: FolderScan, _ run: OpenRun, _ journal: FilePath, _ label: String
  ) throws -> DatasetVerification {
    let context = run.context
    let progress = context.console.progress(label, total: scan.files.count)
    let result = try DatasetVerification.run(
      scan, with: DecodingVerifier(options: run.recipe.image.reading.decodeOptions),
      options: .init(threads: context.threads, journal: journal)
    ) { state in
      try context.checkInterruption()
      progress.update(completed: state.done)
    }
    progress.finish()
    return result
  }

  func head(of network: TransferNetwork) throws -> (UnlabelledResult, HelpedHead?) {
    var result = UnlabelledResult(key: key, found: found, leftOut: leftOut)
    let different = try withoutCopies(&result.leftOut)
    let heads = HeadTraining(run)
    let records = try familiar(different.map(\.unlabelledRecord), network, heads, &result.leftOut)
    guard !records.isEmpty else { return (result, nil) }
    let comparison = UnlabelledComparison(heads, network, pool: records, in: folder)
    let head = try comparison.head(&result)
    return (result, head)
  }

  /// Leaves out what shows a picture that the run has already: judged by a photo whose copy taught it, a head
  /// would look better than it is, and a training photo has a label.
  private func withoutCopies(_ leftOut: inout UnlabelledResult.LeftOut) throws -> [VerifiedFile] {
    let known = try UnlabelledPool.verify(
      run.manifest.scanned(), run, run.directory.verifiedPhotos, "Looking for copies")
    let splits = Dictionary(
      run.manifest.records.map { ($0.path, $0.split) }, uniquingKeysWith: { first, _ in first })
    let heldOut = known.photos.map { (splits[$0.file.path] ?? .train) != .train }
    var isOfHeldOut = [Bool?](repeating: nil, count: photos.count)
    var contents: [String: Bool] = [:]
    for (photo, isHeldOut) in zip(known.photos, heldOut) {
      contents[photo.sha256] = contents[photo.sha256] ?? false || isHeldOut
    }
    for (index, photo) in photos.enumerated() { isOfHeldOut[index] = contents[photo.sha256] }
    let thumbnails = (known.photos + photos).map(\.image.thumbnail)
    for group in NearDuplicates.groups(thumbnails, threads: run.context.threads) {
      let own = group.filter { $0 < known.photos.count }
      guard !own.isEmpty else { continue }
      for member in group where member >= known.photos.count {
        let index = member - known.photos.count
        isOfHeldOut[index] = isOfHeldOut[index] ?? false || own.contains { heldOut[$0] }
      }
    }
    leftOut.ofHeldOut = isOfHeldOut.count { $0 == true }
    leftOut.ofTraining = isOfHeldOut.count { $0 == false }
    return zip(photos, isOfHeldOut).filter { $0.1 == nil }.map(\.0)
  }

  /// Leaves out what is unlike anything that the run is trained on. The bound is the score that 19 of 20 training
  /// photos stay below when four fifths of the others are what is known; photos held out have no say.
  private func familiar(
    _ records: [Manifest.Record], _ network: TransferNetwork, _ heads: HeadTraining,
    _ leftOut: inout UnlabelledResult.LeftOut
  ) throws -> [Manifest.Record] {
    let training = run.manifest.records(in: .train)
    _ = try heads.store(network, run.recipe, filledWith: records, in: folder)
    let bound = try FamiliarPhotos(training, run, network, heads)
    guard let bound else {
      leftOut.unlike = nil
      return records
    }
    let result = try bound.familiar(records)
    leftOut.unlike = records.count - result.count
    return result
  }
}
