// SPDX-License-Identifier: Apache-2.0

import ThawConsole
import ThawExecution
package import ThawImages
import ThawInference
package import ThawNetwork
import ThawOneDNN
package import ThawTensors
import ThawTraining

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
  /// A new head, solved on ``fixing``; nil when that cannot be.
  package private(set) lazy var solved: SolvedHead? = try? solve()
  /// What new heads say of the photos that fixes learn from, each of photos it has not seen: log
  /// probabilities [n, classes].
  package private(set) lazy var crossValidated: Tensor<Float>? = try? crossValidate()
  /// What the new head says of the photos that judge, which it has not seen.
  package var new: Tensor<Float>? {
    guard let judging else { return crossValidated }
    return solved?.logProbabilities(judging, classes: classes)
  }

  /// Both heads on the photos that fixes learn from; nil without a new one.
  package func pairOnFixing(_ labels: [Int]) -> HeadPair? {
    crossValidated.map { HeadPair(own: .init(ownOnFixing, labels), solved: .init($0, labels)) }
  }

  /// Both heads on the photos that judge, whose classes are `labels`.
  package func pair(_ labels: [Int]) -> HeadPair? {
    new.map { HeadPair(own: .init(own, labels), solved: .init($0, labels)) }
  }

  private let labels: [Int]
  private let classes: Int
  private let seed: UInt64

  fileprivate init(
    _ parameters: Parameters, fixing: Tensor<Float>, judging: Tensor<Float>?, head: HeadFeatures,
    labels: [Int], classes: Int, seed: UInt64
  ) throws {
    self.parameters = parameters
    (self.fixing, self.judging) = (fixing, judging)
    ownOnFixing = try head.logits(of: fixing, parameters)
    own = try judging.map { try head.logits(of: $0, parameters) } ?? ownOnFixing
    (self.labels, self.classes, self.seed) = (labels, classes, seed)
  }

  private func solve() throws -> SolvedHead? {
    guard fixing.withUnsafeElements({ $0.allSatisfy(\.isFinite) }), Set(labels).count >= 2 else {
      return nil
    }
    return try SolvedHead(fixing, labels: labels, seed: seed)
  }

  private func crossValidate() throws -> Tensor<Float>? {
    guard let solved else { return nil }
    return try SolvedHead.crossValidated(
      fixing, labels: labels, classes: classes, inverseStrength: solved.model.inverseStrength,
      seed: seed)
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
    head = HeadFeatures(classifier, compiler: context.compiler)
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
    let features: (LabelledTensors) throws -> Tensor<Float> = { [head] in
      try head.features($0.converted(from: declared, to: prepared), parameters)
    }
    let trial = try HeadTrial(
      parameters, fixing: features(fixing), judging: photos.isDivided ? features(judging) : nil,
      head: head, labels: fixing.labels, classes: photos.classes, seed: seed)
    known[key] = trial
    return trial
  }

  /// The network's parameters with other batch norms.
  private func parameters(under choice: BatchNormChoice) throws -> Parameters {
    switch choice {
    case .asTheyAre: return classifier.parameters
    case .epsilon(let epsilon): return withEpsilon(epsilon)
    case .anew(nil): return Recalibration(network, moments: moments).parameters
    case .anew(let paths): return try recalibrated(only: paths)
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

  private func recalibrated(only: Set<ParameterPath>?) throws -> Parameters {
    try network.importParameters(classifier.parameters)
    let progress = context.console.progress(
      "Recalibrating", total: only?.count ?? network.layers.count, unit: "layers")
    defer { progress.finish() }
    return try Recalibration(
      network, on: fixing, only: only, batch: min(network.batch, fixing.count), seed: seed
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
