// SPDX-License-Identifier: Apache-2.0

import ThawConsole
import ThawDatasets
import ThawInference
import ThawNetwork
import ThawOneDNN
import ThawRecipes
package import ThawRuns
import ThawTensors
import ThawTraining

/// How long a photo takes on this machine as it is now, by the side of the network's input.
///
/// A photo is read and decoded whatever the size, and computed with in proportion to its pixels: seconds are
/// a + b * side^2, from measurements at one side or two.
package struct PhotoPace: Sendable, Equatable {
  /// One measurement.
  package struct Point: Sendable, Equatable {
    /// Side of the input, pixels.
    package let side: Int
    /// Seconds until a photo's features are computed.
    package let features: Double
    /// Seconds until a photo has been drawn, gone through forwards and backwards; nil where nothing trains but
    /// the head.
    package let training: Double?

    package init(side: Int, features: Double, training: Double?) {
      self.side = side
      self.features = features
      self.training = training
    }
  }

  private let points: [Point]

  /// - Parameter points: at least one, of sides that differ.
  package init(_ points: [Point]) {
    precondition(!points.isEmpty, "A pace needs a measurement.")
    self.points = points.sorted { $0.side < $1.side }
  }

  /// Seconds for the features of a photo.
  package func features(at side: Int) -> Double { seconds(at: side, \.features) }

  /// Seconds for one training photo; nil where nothing trains but the head.
  package func training(at side: Int) -> Double? {
    points.contains { $0.training == nil } ? nil : seconds(at: side) { $0.training ?? 0 }
  }

  private func seconds(at side: Int, _ value: (Point) -> Double) -> Double {
    let last = points[points.count - 1]
    let area = Double(side * side)
    let lastArea = Double(last.side * last.side)
    guard let first = points.dropLast().first else { return value(last) * area / lastArea }
    let firstArea = Double(first.side * first.side)
    // Neither part can be below 0, however noisy the machine.
    let slope = max((value(last) - value(first)) / (lastArea - firstArea), 0)
    return max(value(last) + slope * (area - lastArea), value(last) * min(area / lastArea, 1) / 2)
  }
}

extension PhotoPace {
  /// Photos that are gone through to measure.
  private static let photos = 32

  /// Measures, a few seconds long; nothing of the run changes.
  ///
  /// - Parameters:
  ///   - sides: of the input, one or two.
  ///   - trains: whether steps of fine-tuning are measured too.
  /// - Throws: ``PipelineError/interrupted``; errors of the photos and the network.
  package static func measured(_ run: OpenRun, sides: [Int], trains: Bool) throws -> PhotoPace {
    let all = run.manifest.records(in: .train)
    let step = max(all.count / photos, 1)
    let records = stride(from: 0, to: all.count, by: step).prefix(photos).map { all[$0] }
    return PhotoPace(
      try sides.map { side in
        var recipe = run.recipe
        recipe.image.size = side
        let network = try TransferNetwork(
          recipe, classes: run.manifest.classes, context: run.context)
        return Point(
          side: side, features: try features(run, network, records),
          training: trains ? try training(run, recipe, network, records) : nil)
      })
  }

  private static func features(
    _ run: OpenRun, _ network: TransferNetwork, _ records: [Manifest.Record]
  ) throws -> Double {
    let prefix = try run.context.compiler.compileInference(
      network.graph, parameters: network.parameters, to: network.partition.cut,
      microBatch: OneDNNEngine.recommendedMicroBatch, size: network.size)
    let source = PhotoFeatures(
      records, manifest: run.manifest, network: network, prefix: prefix,
      settings: run.recipe.train, seed: run.recipe.seed, threads: run.context.threads)
    let output = AlignedStorage<Float>(count: records.count * source.stride)
    // The first touch memory for the first time; the others are read for the first time, as all will be.
    let first = max(records.count / 4, 1)
    func go(_ range: Range<Int>) throws -> Double {
      try run.context.checkInterruption()
      let clock = ContinuousClock.now
      try source.copyFeatures(of: Array(range)[...], view: .clean, into: output.elements)
      return clock.duration(to: .now) / .seconds(1) / Double(range.count)
    }
    let cold = try go(0..<first)
    return first < records.count ? try go(first..<records.count) : cold
  }

  private static func training(
    _ run: OpenRun, _ recipe: Recipe, _ network: TransferNetwork, _ records: [Manifest.Record]
  ) throws -> Double {
    let settings = recipe.fineTune.train
    let schedule = try recipe.fineTune.schedule(
      of: network.graph, size: network.preprocessing.inputSize, headAccuracy: 0...1)
    let phase = schedule.phases[schedule.phases.count - 1]
    let tuned = network.during(phase, parameters: network.parameters)
    let batch = min(settings.batch, records.count)
    let plan = try run.context.compiler.compileSuffix(
      tuned.graph, partition: tuned.partition, parameters: tuned.parameters,
      freezing: phase.plan, batch: batch + 1, size: tuned.size)
    let prefix =
      tuned.partition.prefix.isEmpty
      ? nil
      : try run.context.compiler.compileInference(
        tuned.graph, parameters: tuned.parameters, to: tuned.partition.cut,
        microBatch: OneDNNEngine.recommendedMicroBatch, size: tuned.size)
    let source = PhotoFeatures(
      records, manifest: run.manifest, network: tuned, prefix: prefix, settings: settings,
      seed: recipe.seed, threads: run.context.threads)
    let sweep = LearningRateSweep(
      start: 1e-9, end: 1e-8, iterations: LearningRateSweep.minimumIterations, batchSize: batch,
      seed: recipe.seed)
    var times = [ProgressLine.monotonicSeconds()]
    _ = try LearningRateFinder(sweep, optimizer: settings.optimizer).search(
      plan, on: source,
      loss: settings.loss(
        SampleLabels(of: records, in: run.manifest), classes: run.manifest.classes.count),
      isCancelled: { run.context.isInterrupted() },
      onStep: { _ in times.append(ProgressLine.monotonicSeconds()) })
    try run.context.checkInterruption()
    // The first steps touch memory for the first time.
    let settled = zip(times.dropFirst(), times).map { $0 - $1 }.dropFirst(2)
    let steps = Double(records.count) / (Double(records.count) / Double(batch)).rounded(.up)
    return settled.isEmpty
      ? 0 : settled.reduce(0, +) / Double(settled.count) / steps
  }
}
