// SPDX-License-Identifier: Apache-2.0

import ThawConsole
import ThawExecution
package import ThawImages
import ThawInference
package import ThawNetwork
import ThawOneDNN
package import ThawTensors
import ThawTraining

/// Which batch norms a network gets.
package enum BatchNormChoice: Hashable, Sendable {
  /// Its own.
  case asTheyAre
  /// Running statistics computed anew from the photos that fixes learn from; of some layers, or of
  /// all.
  case anew(Set<ParameterPath>?)
  /// Between its own and those computed anew, nearer to the latter the more photos there are.
  case mixed
  /// The pretrained checkpoint's, scales and shifts included.
  case checkpoint
  /// Its own, with running variances that make up for another epsilon: the layer computes what it would
  /// with that one.
  case epsilon(Double)
}

/// The head a network has and one solved anew, on the features that a choice of batch norms gives.
package final class HeadTrial {
  /// The network's parameters under that choice.
  package let parameters: Parameters
  /// Features of the photos that fixes learn from, [n, d].
  package let fixing: Tensor<Float>
  /// Features of the photos that judge; nil when they are those of ``fixing``.
  package let judging: Tensor<Float>?
  /// What the network's own head says of the photos that fixes learn from, logits [n, classes].
  package let ownOnFixing: Tensor<Float>
  /// What it says of the photos that judge.
  package let own: Tensor<Float>
  private let photos: DiagnosisPhotos
  private let seed: UInt64
  private var cachedHead: SolvedHead??
  private var cachedScores: Tensor<Float>??
  private var cachedNew: Tensor<Float>??
  private var cachedComplete: SolvedHead??

  fileprivate init(
    _ parameters: Parameters, fixing: Tensor<Float>, judging: Tensor<Float>?, head: HeadFeatures,
    photos: DiagnosisPhotos, seed: UInt64
  ) throws {
    self.parameters = parameters
    (self.fixing, self.judging) = (fixing, judging)
    ownOnFixing = try head.logits(of: fixing, parameters)
    own = try judging.map { try head.logits(of: $0, parameters) } ?? ownOnFixing
    (self.photos, self.seed) = (photos, seed)
  }

  /// A new head, solved on ``fixing``; nil when that cannot be.
  ///
  /// - Throws: ``PipelineError/interrupted``.
  package func solved() throws -> SolvedHead? {
    if let cachedHead { return cachedHead }
    let head = try solve(fixing, photos.main.labels)
    cachedHead = .some(head)
    return head
  }

  /// What new heads say of the photos that fixes learn from, each of photos it has not seen: log
  /// probabilities [n, classes].
  package func crossValidated() throws -> Tensor<Float>? {
    if let cachedScores { return cachedScores }
    let scores = try solved().map { head in
      try SolvedHead.crossValidated(
        fixing, labels: photos.main.labels, groups: photos.mainGroups, classes: photos.classes,
        inverseStrength: head.model.inverseStrength, seed: seed)
    }
    cachedScores = .some(scores)
    return scores
  }

  /// What new heads say of the photos that judge. Each head has learned from all photos at hand but a
  /// part of those that judge, and speaks of that part: what ``complete()`` can be expected to do.
  package func new() throws -> Tensor<Float>? {
    guard let judging else { return try crossValidated() }
    if let cachedNew { return cachedNew }
    let scores = try solved().map { head in
      let (first, count) = (photos.main.count, photos.heldOut.count)
      let all = try SolvedHead.crossValidated(
        fixing.above(judging), labels: photos.main.labels + photos.heldOut.labels,
        groups: photos.mainGroups + photos.heldOutGroups, classes: photos.classes,
        inverseStrength: head.model.inverseStrength, only: first..<(first + count), seed: seed)
      return all.rows(Array(first..<(first + count)))
    }
    cachedNew = .some(scores)
    return scores
  }

  /// The new head to install: solved on all photos at hand, those that judge included, with the strength
  /// that was found without them and that ``new()`` judges.
  package func complete() throws -> SolvedHead? {
    guard let judging else { return try solved() }
    if let cachedComplete { return cachedComplete }
    let head = try solved().flatMap { found in
      try solve(
        fixing.above(judging), photos.main.labels + photos.heldOut.labels,
        inverseStrength: found.model.inverseStrength)
    }
    cachedComplete = .some(head)
    return head
  }

  /// Both heads on the photos that fixes learn from; nil without a new one.
  package func pairOnFixing() throws -> HeadPair? {
    let labels = photos.main.labels
    return try crossValidated().map {
      HeadPair(own: .init(ownOnFixing, labels), solved: .init($0, labels))
    }
  }

  /// Both heads on the photos that judge. The new one has learned from those alone that fixes learn
  /// from, as the network's own has from its training photos.
  package func pairOnJudging() throws -> HeadPair? {
    guard let judging else { return try pairOnFixing() }
    let labels = photos.heldOut.labels
    return try solved().map { head in
      HeadPair(
        own: .init(own, labels),
        solved: .init(head.logProbabilities(judging, classes: photos.classes), labels))
    }
  }

  private func solve(
    _ features: Tensor<Float>, _ labels: [Int], inverseStrength: Double? = nil
  ) throws -> SolvedHead? {
    guard features.withUnsafeElements({ $0.allSatisfy(\.isFinite) }), Set(labels).count >= 2 else {
      return nil
    }
    return try SolvedHead(
      features, labels: labels, inverseStrength: inverseStrength, seed: seed)
  }
}

extension Tensor<Float> {
  /// The rows of this matrix and, below them, those of another.
  fileprivate func above(_ other: Tensor<Float>) -> Tensor<Float> {
    Tensor(elements + other.elements, shape: [shape[0] + other.shape[0], shape[1]])
  }
}

/// Runs photos through a network under one choice of batch norms after the other, each once.
package final class HeadTrials {
  /// The network up to its head.
  package let head: HeadFeatures
  /// The photos, under the outputs they answer to.
  package let photos: DiagnosisPhotos
  private let classifier: Classifier
  private let network: PhasedNetwork
  private let original: OriginalWeights?
  private let moments: [ParameterPath: ChannelMoments]
  private let seed: UInt64
  private let context: StageContext
  private var known: [Key: HeadTrial] = [:]
  /// Photos that were run through the network so far, each time counted.
  package private(set) var photoPasses = 0

  private struct Key: Hashable {
    let choice: BatchNormChoice
    let preprocessing: String
  }

  /// - Parameter moments: of the input of every batch norm over the photos that fixes learn from, in
  ///   a pass on batch statistics.
  init(
    _ classifier: Classifier, _ network: PhasedNetwork, photos: DiagnosisPhotos,
    original: OriginalWeights?, moments: [ParameterPath: ChannelMoments], seed: UInt64,
    context: StageContext
  ) {
    head = HeadFeatures(classifier, compiler: context.compiler, ranks: context.ranks)
    self.photos = photos
    self.classifier = classifier
    self.network = network
    self.original = original
    self.moments = moments
    self.seed = seed
    self.context = context
  }

  /// The photos that fixes learn from.
  package var fixing: LabelledTensors { photos.main }
  /// The photos that judge: those kept apart, else all of them.
  package var judging: LabelledTensors { photos.isDivided ? photos.heldOut : photos.main }

  /// Both heads under `choice`, with photos prepared as `preprocessing` says (nil for as declared).
  package func trial(
    _ choice: BatchNormChoice, as preprocessing: Preprocessing? = nil
  ) throws -> HeadTrial {
    let declared = classifier.preprocessing
    let prepared = preprocessing ?? declared
    let key = Key(choice: choice, preprocessing: prepared.description)
    if let trial = known[key] { return trial }
    let parameters = try parameters(under: choice)
    let features: (LabelledTensors) throws -> Tensor<Float> = { [self] in
      try self.features($0.converted(from: declared, to: prepared), parameters)
    }
    let trial = try HeadTrial(
      parameters, fixing: features(fixing), judging: photos.isDivided ? features(judging) : nil,
      head: head, photos: photos, seed: seed)
    known[key] = trial
    return trial
  }

  /// What the network's own head says of other photos under `choice`.
  package func own(_ others: LabelledTensors, under choice: BatchNormChoice) throws -> PhotoResults
  {
    let parameters = try trial(choice).parameters
    return PhotoResults(
      try head.logits(of: features(others, parameters), parameters), others.labels)
  }

  private func features(
    _ photos: LabelledTensors, _ parameters: Parameters
  ) throws -> Tensor<Float> {
    photoPasses += photos.count
    return try head.features(photos, parameters)
  }

  /// The network's parameters with other batch norms.
  private func parameters(under choice: BatchNormChoice) throws -> Parameters {
    switch choice {
    case .asTheyAre: return classifier.parameters
    case .epsilon(let epsilon): return withEpsilon(epsilon)
    case .anew(nil): return Recalibration(network, moments: moments).parameters
    case .anew(let paths): return try recalibrated(only: paths)
    case .mixed: return try recalibrated(only: nil, mixed: true)
    case .checkpoint:
      guard let original else { return classifier.parameters }
      var result = classifier.parameters
      for node in classifier.graph.nodes {
        guard case .batchNormalization = node.operation else { continue }
        for parameter in node.parameters {
          if let tensor = original.parameters[parameter.path] { result[parameter.path] = tensor }
        }
      }
      return result
    }
  }

  private func withEpsilon(_ epsilon: Double) -> Parameters {
    var result = classifier.parameters
    for layer in network.layers {
      let path = layer.path.appending("running_var")
      guard let variance = result[path] else { continue }
      let change = Float(epsilon - layer.normalization.epsilon)
      result[path] = Tensor(variance.elements.map { $0 + change }, shape: variance.shape)
    }
    return result
  }

  private func recalibrated(
    only: Set<ParameterPath>?, mixed: Bool = false
  ) throws -> Parameters {
    try network.importParameters(classifier.parameters)
    let progress = context.console.progress(
      "Recalibrating", total: only?.count ?? network.layers.count, unit: "layers")
    defer { progress.finish() }
    return try Recalibration(
      network, on: fixing, only: only, share: mixed ? Recalibration.share(of: fixing.count) : 1,
      batch: min(network.batch, fixing.count), seed: seed
    ) { count in
      progress.update(completed: count)
      try Interruption.check()
    }.parameters
  }
}

extension PhotoResults {
  /// Judges logits of photos.
  package init(_ logits: Tensor<Float>, _ labels: [Int]) {
    self.init(PhaseOutput(logits: logits), labels: labels)
  }
}
