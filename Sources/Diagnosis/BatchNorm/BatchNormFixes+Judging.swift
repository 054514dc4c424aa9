// SPDX-License-Identifier: Apache-2.0

import ThawExecution
import ThawImages
import ThawNetwork
import ThawTensors
import ThawTraining

extension BatchNormFixes {
  /// The photos that judge: those kept apart, else all of them.
  var judged: LabelledTensors { examination.trials.judging }

  /// The photos that fixes learn from.
  var fixing: LabelledTensors { examination.trials.fixing }

  /// Whether the network has not learned from the photos that judge.
  var hasUnseenPhotos: Bool { examination.judgingFamiliarity?.answer == .unseen }

  private var classes: Int { classifier.classNames.count }

  private func trial(_ network: Repaired, _ choice: BatchNormChoice) throws -> HeadTrial {
    try examination.trials.trial(choice, as: network.preprocessing)
  }

  /// The network's own head under other statistics.
  ///
  /// - Parameter network: with its names and preprocessing.
  func withOwnHead(_ network: Repaired, _ choice: BatchNormChoice) throws -> Outcome {
    let trial = try trial(network, choice)
    var result = network
    result.parameters = trial.parameters
    var outcome = Outcome(
      network: result, scores: trial.own, labels: judged.labels,
      onFixing: PhotoResults(trial.ownOnFixing, fixing.labels),
      bias: hasUnseenPhotos ? nil : biasOfOwnHead)
    if !hasUnseenPhotos { outcome.expected = try trial.new() }
    return outcome
  }

  /// The network as it is, class names included: where its outputs answer to other ones, it is judged by
  /// those it has.
  func unchanged() throws -> Outcome {
    var outcome = try withOwnHead(original, .asTheyAre)
    guard !examination.moved.isEmpty else { return outcome }
    let trial = try trial(original, .asTheyAre)
    let expected = outcome.expected
    outcome = Outcome(
      network: outcome.network, scores: trial.own, labels: judged.labels.map(trueColumn),
      onFixing: PhotoResults(trial.ownOnFixing, fixing.labels.map(trueColumn)),
      bias: outcome.bias)
    outcome.expected = expected
    return outcome
  }

  private var biasOfOwnHead: String {
    examination.judgingFamiliarity?.answer == .seen
      ? "its head was trained on these photos" : "its head may have been trained on these photos"
  }

  /// A new head on the features under other statistics; nil when it cannot be solved.
  func withNewHead(_ network: Repaired, _ choice: BatchNormChoice) throws -> Outcome? {
    let trial = try trial(network, choice)
    guard let solved = try trial.complete(), let scores = try trial.new() else { return nil }
    let own = solved.logProbabilities(trial.fixing, classes: classes)
    let knowsLabels =
      !canRestore
      || (choice != .checkpoint && examination.facts.original?.hasTrainedAffine == true)
    return Outcome(
      network: try install(
        solved.model.weight, solved.model.bias, solved.columns, in: network, trial.parameters),
      scores: scores, labels: judged.labels, onFixing: PhotoResults(own, fixing.labels),
      bias: hasUnseenPhotos || !knowsLabels
        ? nil : "its features may have been trained on these photos")
  }

  /// The network with a dense layer in place of its head.
  private func install(
    _ weight: Tensor<Float>, _ bias: Tensor<Float>, _ columns: [Int], in network: Repaired,
    _ parameters: Parameters
  ) throws -> Repaired {
    var result = network
    result.graph = try examination.trials.head.graph(classes: columns.count)
    result.parameters = parameters
    let path = result.graph.output.path
    result.parameters[path.appending("weight")] = weight
    result.parameters[path.appending("bias")] = bias
    result.classNames = columns.map { network.classNames[$0] }
    result.hasNewHead = true
    return result
  }

  /// The column whose name a photo's folder has, given the one it answers to.
  private func trueColumn(_ label: Int) -> Int {
    examination.moved.first { $0.value == label }?.key ?? label
  }

  /// The best of the heads a quarter, a half and three quarters of the way from the network's own to
  /// a new one; nil unless it beats both ends, or when the own head is no single layer for the
  /// classes at hand.
  ///
  /// Each half of the photos is judged under the share that the other half prefers, so that the number
  /// is not one that was picked.
  func blend(_ network: Repaired, _ choice: BatchNormChoice) throws -> Outcome? {
    let trial = try trial(network, choice)
    guard let old = ownDenseHead, let solved = try trial.complete(),
      let newScores = try trial.new(), solved.columns == Array(0..<classes)
    else { return nil }
    let mix = BatchNormFixes.mix
    let shares: [Float] = [0.25, 0.5, 0.75]
    let scores = shares.map { mix(trial.own, newScores, $0) }
    let labels = judged.labels
    let ends = [trial.own, newScores].map { PhotoResults($0, labels).accuracy }
    guard let share = Self.preferred(scores, labels, Array(labels.indices)),
      PhotoResults(scores[share], labels).accuracy >= (ends.max() ?? 1) + 0.01
    else { return nil }
    let onFixing = solved.logProbabilities(trial.fixing, classes: classes)
    return Outcome(
      network: try install(
        mix(old.weight, solved.model.weight, shares[share]),
        mix(old.bias, solved.model.bias, shares[share]), solved.columns, in: network,
        trial.parameters),
      scores: Self.crossed(scores, labels), labels: labels,
      onFixing: PhotoResults(mix(trial.ownOnFixing, onFixing, shares[share]), fixing.labels),
      bias: nil)
  }

  /// Which of several scores of all photos has the highest merit on some.
  private static func preferred(_ scores: [Tensor<Float>], _ labels: [Int], _ rows: [Int]) -> Int? {
    let merits = scores.map { Outcome.merit(of: $0.rows(rows), rows.map { labels[$0] }) }
    return merits.indices.max { merits[$0] < merits[$1] }
  }

  /// For every other photo the scores that the rest prefer, and the other way round.
  private static func crossed(_ scores: [Tensor<Float>], _ labels: [Int]) -> Tensor<Float> {
    let halves = (0..<2).map { half in labels.indices.filter { $0 % 2 == half } }
    let choice = halves.map { preferred(scores, labels, $0) ?? 0 }
    let width = scores[0].shape[1]
    return Tensor(
      labels.indices.flatMap { row in
        scores[choice[1 - row % 2]].elements[row * width..<(row + 1) * width]
      }, shape: scores[0].shape)
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
