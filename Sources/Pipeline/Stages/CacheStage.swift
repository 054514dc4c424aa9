// SPDX-License-Identifier: Apache-2.0

import Datasets
import Files

/// Compute the frozen prefix once for every photo.
public struct CacheStage {
  private let run: RunDirectory
  private let context: StageContext

  /// Works in `run`.
  public init(_ run: RunDirectory, context: StageContext) {
    self.run = run
    self.context = context
  }

  /// What was computed.
  public struct Summary: Encodable, Sendable {
    /// Photos in the manifest.
    public let count: Int
    /// Photos whose features were computed now.
    public let computed: Int
    /// Numbers in a photo's features.
    public let features: Int
    /// Time, seconds.
    public let seconds: Double
    /// Photos a second, 0 when nothing was computed.
    public let imagesPerSecond: Double
  }

  /// Fills the cache.
  ///
  /// - Throws: ``PipelineError/interrupted`` after saving what is done; errors of the photos.
  public func fill() throws -> Summary {
    let recipe = try run.loadRecipe()
    let manifest = try run.loadManifest()
    let lock = try run.lock()
    defer { withExtendedLifetime(lock) {} }
    let network = try TransferNetwork(recipe, classes: manifest.classes, context: context)
    let store = try FeatureStore(
      network, manifest: manifest, run: run, context: context,
      precision: FeaturePrecision(recipe.cache))
    let clock = ContinuousClock.now
    let views = recipe.train.cachedViews(seed: recipe.seed)
    // A training photo that is only seen augmented needs no clean row.
    var computed = try store.fill(
      manifest.records.filter { views.isEmpty || $0.split != .train })
    computed += try store.fill(manifest.records(in: .train), views: views)
    try lock.verify()
    let seconds = clock.duration(to: .now) / .seconds(1)
    return Summary(
      count: manifest.records.count, computed: computed, features: store.rowLength,
      seconds: seconds, imagesPerSecond: computed == 0 ? 0 : Double(computed) / seconds)
  }
}
