// SPDX-License-Identifier: Apache-2.0

import ThawConsole
import ThawDatasets
import ThawDiagnosis
import ThawInference
package import ThawRanks
import ThawRecipes
package import ThawRuns
import ThawTensors
import ThawTraining

/// Which pretrained network's features serve a run's photos best, before anything is trained for long.
///
/// Each network computes the features of the same few hundred photos once. Logistic regression on them is
/// cross-validated, every photo judged by one that has not seen it; LogME is a second opinion that trains
/// nothing. A network that is worse than the best by more than chance explains, photo by photo, is dropped.
package struct BackboneComparison {
  /// One network.
  package struct Row: Sendable, Equatable, Encodable {
    /// Its card.
    package let name: String
    /// Share of the photos that logistic regressions which had not seen them got right.
    package let accuracy: Double
    /// Between which values the difference from the best one lies, with 95 % confidence; 0 for the best.
    package let gap: ClosedBounds
    /// See ``FeatureEvidence``.
    package let logME: Double
    /// Photos a second in the pass over them; nil when their features were cached already.
    package let featuresPerSecond: Double?
    /// Milliseconds for one photo.
    package let latency: Double
    /// Millions of bytes of its weights.
    package let size: Double
    /// Whether it may yet be the best.
    package var isKept: Bool

    /// Collects what was measured.
    package init(
      name: String, accuracy: Double, gap: ClosedBounds, logME: Double, featuresPerSecond: Double?,
      latency: Double, size: Double, isKept: Bool
    ) {
      (self.name, self.accuracy, self.gap, self.logME) = (name, accuracy, gap, logME)
      (self.featuresPerSecond, self.latency) = (featuresPerSecond, latency)
      (self.size, self.isKept) = (size, isKept)
    }

    private enum CodingKeys: String, CodingKey {
      case name, accuracy, gap, featuresPerSecond, isKept
      case logME = "logme"
      case latency = "latency_ms"
      case size = "size_mb"
    }
  }

  /// Two ends.
  package struct ClosedBounds: Sendable, Equatable, Encodable {
    package let lower: Double
    package let upper: Double

    package init(lower: Double, upper: Double) { (self.lower, self.upper) = (lower, upper) }
  }

  private let run: OpenRun
  /// Photos at most.
  private let limit: Int

  /// Compares in `run`.
  package init(_ run: OpenRun, limit: Int = 600) {
    self.run = run
    self.limit = limit
  }

  /// One network whose features are in the cache.
  private struct Candidate {
    let name: String
    let network: TransferNetwork
    let features: FeatureStore
    let speed: Double?
  }

  /// What its features are worth.
  private struct Judged: Codable {
    let name: String
    let correct: [Bool]
    let logME: Double
  }

  /// The networks, the best first.
  ///
  /// - Throws: ``PipelineError/usage(_:)`` where photos may have several labels; errors of cards and photos.
  package func compare(_ names: [String]) throws -> [Row] {
    guard !run.manifest.severalLabels else {
      throw PipelineError.usage(
        "networks are compared by photos with one label each; here they may have several.")
    }
    let photos = subset()
    let (candidates, judged) = try run.together(
      .compareBackbones, subject: [String(limit)] + names
    ) { try judgeTogether(names, photos) }
    return try rows(candidates, judged)
  }

  /// Takes part on a rank that follows.
  ///
  /// - Throws: as ``compare(_:)``.
  package static func follow(_ job: RankJob, in run: OpenRun) throws {
    guard let limit = job.subject.first.flatMap({ Int($0) }) else { return }
    let comparison = BackboneComparison(run, limit: limit)
    _ = try run.together(.compareBackbones) {
      try comparison.judgeTogether(Array(job.subject.dropFirst()), comparison.subset())
    }
  }

  /// The ranks of a job compute the features of each network together; then each judges whole networks.
  private func judgeTogether(
    _ names: [String], _ photos: [Manifest.Record]
  ) throws -> ([Candidate], [Judged]) {
    let heads = HeadTraining(run)
    let candidates = try names.map { try candidate($0, photos, heads) }
    var own: [Judged] = []
    try run.context.share(
      pieces: names.count, in: run.directory.path, mayTakeLong: true
    ) { own.append(try judged(candidates[$0], photos)) }
    return (candidates, try run.context.ranks.gather(own).flatMap(\.self))
  }

  /// The network to take: of those that cannot be told from the best, the fastest.
  package static func choice(_ rows: [Row]) -> String? {
    rows.filter(\.isKept).min { ($0.latency, $0.name) < ($1.latency, $1.name) }?.name
  }

  /// As many photos as are enough, each class in proportion.
  private func subset() -> [Manifest.Record] {
    let records = run.manifest.records.filter { $0.split != .test }
    guard records.count > limit else { return records }
    let parts = (records.count + limit - 1) / limit
    let assignment = FoldAssignment(
      of: records, in: run.manifest, count: parts, seed: run.recipe.seed)
    return records.indices.filter { assignment.folds[$0] <= 0 }.map { records[$0] }
  }

  private func candidate(
    _ name: String, _ photos: [Manifest.Record], _ heads: HeadTraining
  ) throws -> Candidate {
    var recipe = run.recipe
    recipe.backbone = name
    let network = try heads.network(recipe)
    let store = try FeatureStore(network, of: run, precision: FeaturePrecision(recipe.cache))
    let clock = ContinuousClock.now
    let computed = try store.fill(photos)
    let seconds = clock.duration(to: .now) / .seconds(1)
    return Candidate(
      name: name, network: network, features: store,
      speed: computed < 32 ? nil : Double(computed) / seconds)
  }

  private func judged(_ candidate: Candidate, _ photos: [Manifest.Record]) throws -> Judged {
    let name = candidate.name
    guard case .single(let labels) = SampleLabels(of: photos, in: run.manifest) else {
      throw PipelineError.interrupted
    }
    let features = CachedFeatures(
      clean: try candidate.features.matrix(photos), labels: .single(labels)
    ).tensor
    var groups = Array(labels.indices)
    for members in run.manifest.sameness(of: photos) {
      for photo in members { groups[photo] = members[0] }
    }
    let classes = run.manifest.classes.count
    let progress = run.context.console.progress(
      "Judging \(name)", total: nil, unit: "solutions")
    let probabilities = try CrossValidation.probabilities(
      features, labels: labels, groups: groups, classes: classes, seed: run.recipe.seed,
      onSolve: { progress.advance() })
    progress.finish()
    let correct = labels.indices.map { photo -> Bool in
      let row = (0..<classes).map { probabilities[photo * classes + $0] }
      guard let highest = row.max(), highest.isFinite else { return false }
      return row.firstIndex(of: highest) == labels[photo]
    }
    return Judged(
      name: name, correct: correct, logME: try evidence(features, labels, classes, of: name))
  }

  /// LogME of at most 300 photos, evenly taken.
  ///
  /// - Throws: ``PipelineError/data(_:)`` for features that are not finite.
  private func evidence(
    _ features: Tensor<Float>, _ labels: [Int], _ classes: Int, of name: String
  ) throws -> Double {
    let step = max((labels.count + 299) / 300, 1)
    let rows = Array(stride(from: 0, to: labels.count, by: step))
    let width = features.shape[1]
    guard
      let score = FeatureEvidence.logME(
        rows.map { row in (0..<width).map { Double(features[row * width + $0]) } },
        labels: rows.map { labels[$0] }, classes: classes)
    else { throw PipelineError.data("the features of \(name) are not finite.") }
    return score
  }

  /// Measures what each network costs, when nothing else is computed here.
  private func rows(_ candidates: [Candidate], _ judged: [Judged]) throws -> [Row] {
    func accuracy(_ item: Judged) -> Double {
      Double(item.correct.count { $0 }) / Double(max(item.correct.count, 1))
    }
    let sorted = judged.sorted {
      (-accuracy($0), -$0.logME, $0.name) < (-accuracy($1), -$1.logME, $1.name)
    }
    guard let best = sorted.first else { return [] }
    return try sorted.compactMap { item in
      guard let candidate = candidates.first(where: { $0.name == item.name }) else { return nil }
      let costs = try NetworkCosts(candidate.network, run.context)
      let gap = BackboneComparison.gap(item.correct, best.correct)
      return Row(
        name: item.name, accuracy: accuracy(item), gap: gap, logME: item.logME,
        featuresPerSecond: candidate.speed, latency: costs.latency, size: costs.size,
        isKept: gap.upper >= 0)
    }
  }

  /// The difference of two shares of the same photos, photo by photo.
  package static func gap(_ first: [Bool], _ second: [Bool]) -> ClosedBounds {
    let differences = zip(first, second).map { ($0 ? 1.0 : 0) - ($1 ? 1.0 : 0) }
    let count = Double(max(differences.count, 1))
    let mean = differences.reduce(0, +) / count
    let variance = differences.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / max(count - 1, 1)
    let half = 1.96 * (variance / count).squareRoot()
    return ClosedBounds(lower: mean - half, upper: mean + half)
  }
}

extension BackboneComparison {
  /// The table for people.
  package static func text(_ rows: [Row]) -> String {
    var table = TextTable(
      "Backbone", ">Accuracy", ">LogME", ">Features/s", ">ms", ">MB", "")
    for row in rows {
      table.append([
        row.name, Format.percent(row.accuracy), Format.fixed(row.logME, 3),
        row.featuresPerSecond.map { Format.significant($0, 3) } ?? "cached",
        Format.significant(row.latency, 3), Format.significant(row.size, 3),
        row.isKept ? "" : "dropped",
      ])
    }
    return table.text(width: OutputSink.tableColumns)
  }
}
