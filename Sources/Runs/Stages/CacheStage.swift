// SPDX-License-Identifier: Apache-2.0

import ThawDatasets
import ThawFiles
import ThawInference

/// Compute the frozen prefix once for every photo.
package struct CacheStage {
  private let run: OpenRun

  /// Works in `run`.
  package init(_ run: OpenRun) { self.run = run }

  /// What was computed.
  package struct Summary: Encodable, Sendable {
    /// Photos in the manifest.
    package let count: Int
    /// Photos whose features were computed now.
    package let computed: Int
    /// Numbers in a photo's features.
    package let features: Int
    /// Time, seconds.
    package let seconds: Double
    /// Photos a second, 0 when nothing was computed.
    package let imagesPerSecond: Double
  }

  /// Fills the cache.
  ///
  /// - Throws: ``PipelineError/interrupted`` after saving what is done; errors of the photos.
  package func fill() throws -> Summary { try run.together(.cache, fillHere) }

  private func fillHere() throws -> Summary {
    let (recipe, manifest) = (run.recipe, run.manifest)
    let network = try TransferNetwork(recipe, classes: manifest.classes, context: run.context)
    let store = try FeatureStore(network, of: run, precision: FeaturePrecision(recipe.cache))
    let clock = ContinuousClock.now
    let views = recipe.train.cachedViews(seed: recipe.seed)
    // A training photo that is only seen augmented needs no clean row.
    var computed = try store.fill(
      manifest.records.filter { views.isEmpty || $0.split != .train })
    computed += try store.fill(manifest.records(in: .train), views: views)
    try run.verify()
    let seconds = clock.duration(to: .now) / .seconds(1)
    return Summary(
      count: manifest.records.count, computed: computed, features: store.rowLength,
      seconds: seconds, imagesPerSecond: computed == 0 ? 0 : Double(computed) / seconds)
  }
}
