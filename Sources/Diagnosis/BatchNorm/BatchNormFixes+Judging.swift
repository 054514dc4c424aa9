// SPDX-License-Identifier: Apache-2.0

import ThawExecution
import ThawImages
import ThawNetwork
import ThawTensors
import ThawTraining

extension BatchNormFixes {
  /// Features of the photos that fixes learn from and of those that judge them; the same photos where
  /// there is one folder.
  struct Judged {
    let parameters: Parameters
    /// [n, d]
    let fixing: Tensor<Float>
    /// [n, d]; nil when they are those of ``fixing``, judged by cross-validation.
    let judging: Tensor<Float>?
  }

  /// The photos that judge: those kept apart, else all of them.
  var judged: LabelledTensors {
    examination.photos.isDivided ? examination.photos.heldOut : examination.photos.main
  }

  /// The photos that fixes learn from.
  var fixing: LabelledTensors { examination.photos.main }

  /// Whether the network has not learned from the photos that judge.
  var hasUnseenPhotos: Bool {
    examination.photos.isDivided || examination.facts.familiarity?.answer == .unseen
  }

  private var classes: Int { classifier.classNames.count }

  /// Features of `network` under `statistics`, computed once.
  private func features(_ network: Repaired, _ statistics: Statistics) throws -> Judged {
    let key = "\(statistics.name) \(network.preprocessing.description)"
    if let known = featuresUnder[key] { return known }
    let parameters = try parameters(under: statistics)
    let convert: (LabelledTensors) -> LabelledTensors = { [classifier] in
      $0.converted(from: classifier.preprocessing, to: network.preprocessing)
    }
    let head = examination.head
    let isAsExamined =
      statistics == .asTheyAre && network.preprocessing == classifier.preprocessing
    let result = Judged(
      parameters: parameters,
      fixing: isAsExamined
        ? examination.features : try head.features(convert(fixing), parameters),
      judging: examination.photos.isDivided
        ? try head.features(convert(judged), parameters) : nil)
    featuresUnder[key] = result
    return result
  }

  /// The network's own head under other statistics.
  ///
  /// - Parameter network: with its names and preprocessing.
  func withOwnHead(
    _ name: String, _ network: Repaired, statistics: Statistics
  ) throws -> Outcome {
    let features = try features(network, statistics)
    let logits = try examination.head.logits(
      of: features.judging ?? features.fixing, features.parameters)
    let own =
      try features.judging == nil
      ? logits : examination.head.logits(of: features.fixing, features.parameters)
    var result = network
    result.parameters = features.parameters
    return Outcome(
      network: result,
      results: PhotoResults(PhaseOutput(logits: logits), labels: judged.labels),
      accuracyOnFixing: PhotoResults(PhaseOutput(logits: own), labels: fixing.labels).accuracy,
      bias: hasUnseenPhotos ? nil : biasOfOwnHead)
  }

  private var biasOfOwnHead: String {
    examination.facts.familiarity?.answer == .seen
      ? "its head was trained on these photos" : "its head may have been trained on these photos"
  }

  /// A new head on the features under other statistics.
  func withNewHead(_ network: Repaired, statistics: Statistics) throws -> Outcome? {
    let features = try features(network, statistics)
    guard features.fixing.withUnsafeElements({ $0.allSatisfy(\.isFinite) }) else { return nil }
    let solved = try SolvedHead(
      features.fixing, labels: fixing.labels,
      inverseStrength: statistics == .asTheyAre ? examination.inverseStrength : nil, seed: seed)
    let scores = try newHeadScores(solved, features)
    let own = solved.logProbabilities(features.fixing, classes: classes)
    let knowsLabels =
      !canRestore
      || (statistics != .checkpoint && examination.facts.original?.hasTrainedAffine == true)
    return Outcome(
      network: try install(
        solved.model.weight, solved.model.bias, solved.columns, in: network, features),
      results: PhotoResults(PhaseOutput(logits: scores), labels: judged.labels),
      accuracyOnFixing: PhotoResults(PhaseOutput(logits: own), labels: fixing.labels).accuracy,
      bias: hasUnseenPhotos || !knowsLabels
        ? nil : "its features may have been trained on these photos")
  }

  /// What `solved` says of the photos that judge, or heads like it solved without them.
  private func newHeadScores(_ solved: SolvedHead, _ features: Judged) throws -> Tensor<Float> {
    if let judging = features.judging {
      return solved.logProbabilities(judging, classes: classes)
    }
    return try SolvedHead.crossValidated(
      features.fixing, labels: fixing.labels, classes: classes,
      inverseStrength: solved.model.inverseStrength, seed: seed)
  }

  /// The network with a dense layer in place of its head.
  private func install(
    _ weight: Tensor<Float>, _ bias: Tensor<Float>, _ columns: [Int], in network: Repaired,
    _ features: Judged
  ) throws -> Repaired {
    var result = network
    result.graph = try examination.head.graph(classes: columns.count)
    result.parameters = features.parameters
    let path = result.graph.output.path
    result.parameters[path.appending("weight")] = weight
    result.parameters[path.appending("bias")] = bias
    result.classNames = columns.map { network.classNames[trueColumn($0)] }
    result.hasNewHead = true
    return result
  }

  /// The column of the folder's own name, where photos answer to another.
  func trueColumn(_ label: Int) -> Int {
    examination.moved.first { $0.value == label }?.key ?? label
  }

  /// The best of the heads a quarter, a half and three quarters of the way from the network's own to
  /// a new one; nil unless it beats both ends, or when the own head is no single layer for the
  /// classes at hand.
  func blend(_ network: Repaired, statistics: Statistics) throws -> Outcome? {
    guard let old = ownDenseHead, let ends = try blendEnds(network, statistics) else { return nil }
    let (features, solved, oldScores, newScores) = ends
    let all = Array(0..<classes)
    guard solved.columns == all else { return nil }
    let endpoints = [oldScores, newScores].map {
      PhotoResults(PhaseOutput(logits: $0), labels: judged.labels)
    }
    var best: (share: Float, results: PhotoResults)?
    for share: Float in [0.25, 0.5, 0.75] {
      let scores = BatchNormFixes.mix(oldScores, newScores, share)
      let results = PhotoResults(PhaseOutput(logits: scores), labels: judged.labels)
      if best.map({ results.accuracy > $0.results.accuracy }) ?? true { best = (share, results) }
    }
    guard let best, let highest = endpoints.map(\.accuracy).max(),
      best.results.accuracy >= highest + 0.01
    else { return nil }
    let weight = BatchNormFixes.mix(old.weight, solved.model.weight, best.share)
    let bias = BatchNormFixes.mix(old.bias, solved.model.bias, best.share)
    return Outcome(
      network: try install(weight, bias, all, in: network, features), results: best.results,
      accuracyOnFixing: best.results.accuracy, bias: nil)
  }

  private func blendEnds(
    _ network: Repaired, _ statistics: Statistics
  ) throws -> (Judged, SolvedHead, Tensor<Float>, Tensor<Float>)? {
    let features = try features(network, statistics)
    guard features.fixing.withUnsafeElements({ $0.allSatisfy(\.isFinite) }) else { return nil }
    let solved = try SolvedHead(
      features.fixing, labels: fixing.labels, inverseStrength: examination.inverseStrength,
      seed: seed)
    let old = try examination.head.logits(
      of: features.judging ?? features.fixing, features.parameters)
    return (features, solved, old, try newHeadScores(solved, features))
  }

  /// Weights of the network's own head when it is a single dense layer.
  private var ownDenseHead: (weight: Tensor<Float>, bias: Tensor<Float>)? {
    let graph = classifier.graph
    let layers = graph.nodes.filter { $0.group == graph.groups.count - 1 && !$0.parameters.isEmpty }
    guard layers.count == 1, case .dense(let dense) = layers[0].operation,
      let weight = classifier.parameters[layers[0].path.appending("weight")]
    else { return nil }
    let bias = classifier.parameters[layers[0].path.appending("bias")]
    return (weight, bias ?? Tensor(zeros: [dense.outputs]))
  }

  /// Element by element, `share` of the second and the rest of the first.
  private static func mix(
    _ first: Tensor<Float>, _ second: Tensor<Float>, _ share: Float
  ) -> Tensor<Float> {
    Tensor(
      zip(first.elements, second.elements).map { $0 + share * ($1 - $0) }, shape: first.shape)
  }
}
