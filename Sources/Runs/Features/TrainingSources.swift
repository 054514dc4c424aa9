// SPDX-License-Identifier: Apache-2.0

package import ThawDatasets
import ThawExecution
import ThawFiles
import ThawImages
import ThawInference
import ThawOneDNN
package import ThawRecipes
import ThawTraining

/// What a network with a given cut trains on, and what it is judged by after each epoch.
struct TrainingSources {
  let train: any FeatureSource
  let valid: any FeatureSource
  /// Whether the frozen layers' output comes from the cache.
  let isCached: Bool
}

/// Makes the sources of every phase of a training, and says where their photos come from: whether
/// augmentation reaches the training must never be a guess.
struct TrainingSourceMaker {
  let run: OpenRun
  /// Of the head's training or of fine-tuning.
  let settings: Recipe.Train
  private let pixels: TrainingPixels

  init(run: OpenRun, settings: Recipe.Train) {
    self.run = run
    self.settings = settings
    pixels = TrainingPixels(run)
  }

  var manifest: Manifest { run.manifest }
  private var context: StageContext { run.context }
  private var seed: UInt64 { run.recipe.seed }
  private var precision: FeaturePrecision { FeaturePrecision(run.recipe.cache) }

  /// The sources of `network`, with the rows that are missing computed.
  ///
  /// - Throws: ``PipelineError/interrupted`` after saving what is done; errors of the photos.
  func sources(of network: TransferNetwork) throws -> TrainingSources {
    context.console.say(statement(of: network))
    if let mixing = settings.mixing {
      let place = network.partition.prefix.isEmpty || isFresh ? MixingPlace.photos : .features
      context.console.say("Mixing: \(mixing) of \(place).")
    }
    let valid = try validation(of: network)
    if network.partition.prefix.isEmpty || isFresh {
      pixels.say(rule(.train, of: network), manifest.records(in: .train))
    }
    guard !network.partition.prefix.isEmpty else {
      return TrainingSources(
        train: photos(.train, of: network, prefix: nil), valid: valid, isCached: false)
    }
    if isFresh {
      let prefix = try context.compiler.compileInference(
        network.graph, parameters: network.parameters, to: network.partition.cut,
        microBatch: OneDNNEngine.recommendedMicroBatch, size: network.size)
      return TrainingSources(
        train: photos(.train, of: network, prefix: prefix), valid: valid, isCached: false)
    }
    let store = try store(of: network)
    let views = settings.cachedViews(seed: seed)
    if views.isEmpty { _ = try store.fill(manifest.records(in: .train)) }
    _ = try store.fill(manifest.records(in: .train), views: views)
    return TrainingSources(
      train: try store.features(.train, manifest, training: views), valid: valid, isCached: true)
  }

  /// The validation photos as `network` needs them, with the rows that are missing computed.
  ///
  /// - Throws: as ``sources(of:)``.
  func validation(of network: TransferNetwork) throws -> any FeatureSource {
    guard !network.partition.prefix.isEmpty else {
      return photos(.valid, of: network, prefix: nil)
    }
    let store = try store(of: network)
    _ = try store.fill(manifest.records(in: .valid))
    return try store.features(.valid, manifest)
  }

  private func store(of network: TransferNetwork) throws -> FeatureStore {
    try FeatureStore(network, of: run, precision: precision)
  }

  /// The key of the cached features of `network`.
  func key(of network: TransferNetwork) throws -> String {
    try FeatureStore.key(
      of: network.cacheKey(
        engine: context.compiler.inferenceEngine, precision: precision),
      in: run.directory.features)
  }

  /// Deletes the caches of `keys`.
  func discard(_ keys: Set<String>) throws {
    guard !keys.isEmpty else { return }
    let place = run.directory.features
    let kept = try FeatureCache.list(place).map(\.key).filter { !keys.contains($0) }
    try FeatureCache.prune(place, keeping: Set(kept))
  }

  /// Whether every epoch draws anew.
  private var isFresh: Bool { settings.drawsAnew }

  private func photos(
    _ split: Split, of network: TransferNetwork, prefix: (any InferencePlan)?
  ) -> PhotoFeatures {
    PhotoFeatures(
      manifest.records(in: split), manifest: manifest, network: network, prefix: prefix,
      settings: settings, seed: seed, threads: context.threads,
      pixels: pixels.kept(rule(split, of: network), of: split))
  }

  /// What is kept of the photos of a split. Photos that are judged are looked at in one way alone.
  private func rule(_ split: Split, of network: TransferNetwork) -> PhotoKeeping {
    PhotoKeeping(
      network.preprocessing, split == .train ? settings.augmentation : .none,
      shrinks: isFresh && settings.keptPixels == .shrunk)
  }

  /// Removes what is kept of decoded photos on the disk, when the training is finished.
  func removePixels() { pixels.remove() }

  /// Where the training photos come from, for people.
  private func statement(of network: TransferNetwork) -> String {
    let isFrozen = !network.partition.prefix.isEmpty
    guard settings.augmentation.isActive else {
      return isFrozen
        ? "No augmentation: training sees one view of each photo, from the cache."
        : "No augmentation: training sees one view of each photo, decoded in every epoch."
    }
    let name = settings.augmentation.preset?.rawValue ?? "custom"
    let what = "Augmentation '\(name)' of the training photos:"
    return switch (settings.views, isFrozen) {
    case (.fresh, true):
      "\(what) a new draw in every epoch, computed through the frozen layers (nothing is cached)."
    case (.fresh, false): "\(what) a new draw in every epoch."
    case (.cached(let count), true):
      "\(what) \(count) cached \(count == 1 ? "view" : "views") of each, epochs take turns with them."
    case (.cached(let count), false):
      "\(what) \(count) draws of each, epochs take turns with them."
    }
  }
}

extension FeaturePrecision {
  /// That of the recipe.
  package init(_ precision: Recipe.CachePrecision) {
    self = precision == .float16 ? .float16 : .float32
  }
}
