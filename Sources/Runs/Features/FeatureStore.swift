// SPDX-License-Identifier: Apache-2.0

import Glibc
package import SystemPackage
import ThawConsole
package import ThawDatasets
import ThawExecution
import ThawFiles
package import ThawImages
import ThawInference
import ThawOneDNN
import ThawRanks
import ThawTensors
import ThawTraining

/// The features of a run's photos at the network's cut: computed once, then read from the cache.
package struct FeatureStore {
  /// Numbers of one photo.
  package let rowLength: Int
  private let network: TransferNetwork
  private let root: FilePath
  private let cache: FeatureCache
  private let place: FilePath
  private let precision: FeaturePrecision
  private let context: StageContext
  private let run: FilePath

  /// Opens the cache of `network` in the run.
  ///
  /// - Parameter precision: of the numbers on the disk; what is judged is never rounded.
  package init(
    _ network: TransferNetwork, of run: OpenRun, precision: FeaturePrecision = .float32
  ) throws {
    self.network = network
    self.precision = precision
    place = run.directory.features
    self.run = run.directory.path
    context = run.context
    root = run.manifest.root.filePath
    let shapes = try network.graph.shapes(batch: 1, size: network.size)
    rowLength = shapes[network.partition.cut.index].count
    let place = place
    let key = try FeatureStore.key(
      of: network.cacheKey(
        engine: context.compiler.inferenceEngine, precision: precision), in: place)
    let (rowLength, ranks) = (rowLength, run.context.ranks)
    func open(shard: Int) throws -> FeatureCache {
      try FeatureCache(
        directory: place, key: key, rowLength: rowLength, precision: precision, shard: shard)
    }
    if ranks.isInJob {
      // Rank 0 checks and repairs before the others read; nobody adds before all have read.
      var opened = ranks.isLeader ? try open(shard: 0) : nil
      try ranks.meet()
      if !ranks.isLeader { opened = try open(shard: ranks.rank) }
      try ranks.meet()
      cache = try opened ?? open(shard: ranks.rank)
    } else {
      cache = try open(shard: 0)
    }
    if cache.recovery.droppedRows > 0 {
      context.console.warn(
        "\(cache.recovery.droppedRows) damaged rows of the feature cache are computed again.")
    }
  }

  /// The key under which features lie in `place`, or will: that of Thaw 0.1.0 where it has cached
  /// them and this version has not.
  static func key(of features: FeatureCacheKey, in place: FilePath) throws -> String {
    let key = try features.key()
    guard FileSystem.exists(place), !FileSystem.exists(place.appending(key)) else { return key }
    let former = try features.formerKey()
    return FileSystem.exists(place.appending(former)) ? former : key
  }

  /// The features of `records`, one row for each, under `view`.
  package func matrix(_ records: [Manifest.Record], view: TestTimeView = .plain(.center)) throws
    -> FeatureMatrix
  {
    try cache.matrix(for: records.map { FeatureKey($0, view: view.name) })
  }

  /// The features and labels of one split, which must have been filled.
  ///
  /// - Parameter training: the views that epochs of training take turns with, all that is then
  ///   read; none for the centre.
  func features(
    _ split: Split, _ manifest: Manifest, training: [TestTimeView] = []
  ) throws -> CachedFeatures {
    let records = manifest.records(in: split)
    let views = try training.map { try matrix(records, view: $0) }
    return CachedFeatures(
      clean: try views.first ?? matrix(records), training: views,
      labels: SampleLabels(of: records, in: manifest))
  }

  /// Computes the rows that are missing; returns how many photos were read.
  ///
  /// Interrupted at any moment, it continues where it was: rows are added every few batches.
  ///
  /// - Parameter folder: where the photos are; nil for the run's own.
  package func fill(
    _ records: [Manifest.Record], views: [TestTimeView] = [.plain(.center)],
    in folder: FilePath? = nil
  ) throws -> Int {
    var groups: [[TestTimeView]: [Manifest.Record]] = [:]
    var seen: Set<String> = []
    for record in records where seen.insert(record.sha256).inserted {
      let missing = views.filter {
        !cache.contains(FeatureKey(record, view: $0.name))
      }
      if !missing.isEmpty { groups[missing, default: []].append(record) }
    }
    let total = groups.values.reduce(0) { $0 + $1.count }
    guard total > 0 else { return 0 }
    try reserve(rows: groups.reduce(0) { $0 + $1.key.count * $1.value.count })
    let progress = context.console.progress("Computing features", total: total)
    let plan = try prefixPlan()
    let parts = groups.sorted(by: { $0.key.count < $1.key.count }).map {
      FeatureWork(views: $0.key, records: $0.value, root: folder ?? root)
    }
    if context.ranks.isInJob {
      try fillTogether(parts, plan, progress, total: total)
    } else {
      for part in parts { try compute(part, plan) { progress.advance(by: $0) } }
    }
    progress.finish()
    return total
  }

  /// Each rank computes pieces of the work, its own first, into its own shard of the cache; no rank waits
  /// for another before the end.
  private func fillTogether(
    _ parts: [FeatureWork], _ plan: any InferencePlan, _ progress: ProgressLine, total: Int
  ) throws {
    let ranks = context.ranks
    let pieces = parts.flatMap { $0.pieces(ranks: ranks.count) }
    let rows = parts.reduce(0) { $0 + $1.records.count * $1.views.count }
    let before = cache.rowsOnDisk()
    try context.share(pieces: pieces.count, in: run) { piece in
      try compute(pieces[piece], plan) { count in
        if try ranks.isStopAsked() { throw PipelineError.interrupted }
        guard ranks.isLeader else { return progress.advance(by: count) }
        // In photos, from the rows of all ranks.
        progress.update(completed: (cache.rowsOnDisk() - before) * total / max(rows, 1))
      }
    }
    try cache.refresh()
  }

  /// Says what the rows will take on the disk if that is much, and refuses when it has not the room.
  private func reserve(rows: Int) throws {
    let bytes = rows * (rowLength * precision.byteCount + FeatureCache.indexBytesPerRow)
    let size = Format.bytes(bytes)
    guard let free = FileSystem.freeSpace(at: place), free < bytes else {
      if bytes >= 1 << 30 {
        context.console.say("The features will take \(size) of disk, in \(place.displayed).")
      }
      return
    }
    throw FileError(
      place,
      "put \(size) of features there (\(Format.bytes(free)) are free; recipe keys"
        + " cache: float16, views: fresh, or fewer views need less)", .system(ENOSPC))
  }

  private func compute(
    _ work: FeatureWork, _ plan: any InferencePlan, advance: (Int) throws -> Void
  ) throws {
    let (records, views, root) = (work.records, work.views, work.root)
    let preprocessing = network.preprocessing
    var options = PrefetchingLoader.Options(
      batchSize: max(OneDNNEngine.recommendedMicroBatch / views.count, 1),
      threads: context.threads)
    options.depth = 2
    let items = records.map { PrefetchingLoader.Item($0, root: root, verifyingContents: true) }
    let loader = try PrefetchingLoader(
      items, elementCount: views.count * preprocessing.elementCount, options: options
    ) { bytes, item, _, output in
      try preprocessing.prepare(
        bytes, testTimeViews: views, sample: records[item].drawNumber, into: output)
    }
    var pending = PendingRows(cache: cache)
    // On any way out, what was computed is kept.
    do {
      while try loader.next({ try add($0, of: records, views, plan, &pending, advance) }) != nil {
        try context.checkInterruption()
      }
    } catch {
      try pending.flush()
      throw error
    }
    try pending.flush()
  }

  /// Runs the prefix on a batch of photos and puts the rows on their way to the cache.
  private func add(
    _ batch: PrefetchingLoader.Batch, of records: [Manifest.Record], _ views: [TestTimeView],
    _ plan: any InferencePlan, _ pending: inout PendingRows, _ advance: (Int) throws -> Void
  ) throws {
    let keys = batch.items.flatMap { item in
      views.map { FeatureKey(records[item], view: $0.name) }
    }
    try pending.add(keys, rowLength: rowLength) { try plan.run(batch.elements, into: $0) }
    try advance(batch.items.count)
  }

  private func prefixPlan() throws -> any InferencePlan {
    try context.compiler.compileInference(
      network.graph, parameters: network.parameters, to: network.partition.cut,
      microBatch: OneDNNEngine.recommendedMicroBatch, size: network.size)
  }
}

/// Photos whose rows under some views are missing.
private struct FeatureWork {
  let views: [TestTimeView]
  let records: [Manifest.Record]
  /// Where the photos are.
  let root: FilePath

  /// Cut for several ranks, in the order of the photos' contents: a few pieces a rank, so that whoever is
  /// done early finds some that nobody has begun.
  func pieces(ranks: Int) -> [FeatureWork] {
    let sorted = records.sorted { $0.sha256 < $1.sha256 }
    let size = max((sorted.count + 8 * ranks - 1) / (8 * ranks), 32)
    return stride(from: 0, to: sorted.count, by: size).map {
      FeatureWork(
        views: views, records: Array(sorted[$0..<min($0 + size, sorted.count)]), root: root)
    }
  }
}

/// Rows on their way to the cache: a call to it syncs the disk, so they go in bundles.
private struct PendingRows {
  private let cache: FeatureCache
  private var keys: [FeatureKey] = []
  private var values: [Float] = []

  init(cache: FeatureCache) { self.cache = cache }

  mutating func add(
    _ new: [FeatureKey], rowLength: Int,
    writing body: (UnsafeMutableBufferPointer<Float>) throws -> Void
  ) throws {
    let start = values.count
    values.append(contentsOf: repeatElement(0, count: new.count * rowLength))
    try values.withUnsafeMutableBufferPointer {
      try body(UnsafeMutableBufferPointer(rebasing: $0[start...]))
    }
    keys += new
    // Rows of an early cut are megabytes: not more than 16 MB of them in memory.
    if keys.count >= 128 || values.count >= 1 << 22 { try flush() }
  }

  mutating func flush() throws {
    guard !keys.isEmpty else { return }
    try cache.append(keys, values)
    keys.removeAll(keepingCapacity: true)
    values.removeAll(keepingCapacity: true)
  }
}
