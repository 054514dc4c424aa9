// SPDX-License-Identifier: Apache-2.0

import ThawConsole
import ThawExecution
package import ThawInference
import ThawNetwork
import ThawOneDNN
import ThawTensors
import ThawTraining

/// Runs a network through both learning phases and notes everything a verdict needs.
package struct BatchNormExamination {
  package let network: PhasedNetwork
  package let batch: Int
  package let inference: BatchNormDiagnosis.Phase
  package let batchSizes: [BatchNormDiagnosis.BatchSize]
  package let attribution: PhaseAttribution?
  package let heldOut: BatchNormDiagnosis.Phase?
  package let facts: BatchNormFacts
  package let suspects: [Int]
  /// Classes under the outputs they answer to, where those differ.
  package let moved: [Int: Int]
  /// The photos, under the outputs they answer to.
  package let photos: DiagnosisPhotos
  package let inputs: InputCandidates
  /// Its own head and new ones, under one choice of batch norms after the other.
  package let trials: HeadTrials
  /// Whether the network knows the photos that judge fixes; nil when no head could be solved.
  package let judgingFamiliarity: Familiarity?

  /// What in the network speaks against what was said about the photos, sentences.
  package var contradictions: [String] {
    let known = photos.isDivided ? [facts.familiarity, judgingFamiliarity] : [facts.familiarity]
    return known.compactMap { $0?.contradiction }
  }

  /// Photos that were run through the network so far, each time counted, for what it takes; those that
  /// are fed by other contracts are left out.
  package var photoPasses: Double { network.photoPasses + Double(trials.photoPasses) }

  /// Photos of a batch when nobody says how many the network was trained with.
  package static let usualBatch = 32
  private static let largestBatch = 64
  private static let attributionPhotos = 32
  private static let inputPhotos = 160

  package init(
    _ classifier: Classifier, photos given: DiagnosisPhotos, trainedBatch: Int?,
    switchesLayers: Bool, isSeen: Bool? = nil, seed: UInt64, context: StageContext
  ) throws {
    let count = given.main.count
    batch = min(max(trainedBatch ?? BatchNormExamination.usualBatch, 2), count, 64)
    network = try PhasedNetwork(
      classifier.graph, parameters: classifier.parameters, compiler: context.compiler,
      batch: max(min(BatchNormExamination.largestBatch, count), batch),
      size: Extent2D(classifier.preprocessing.inputSize))
    let passes = PhasePasses(network, batch: batch, seed: seed, context: context)
    let running = try passes.run("Inference phase", given.main, .none)
    let switched = try passes.run("Training phase", given.main, .all)
    moved = BatchNormExamination.assignment(given.main.labels, running, switched, seed: seed)
    photos = given.relabelled(moved)
    inference = BatchNormDiagnosis.Phase(running, photos.main.labels)
    let sizes = try passes.batchSizes(photos.main, at: switched, inference: inference)
    batchSizes = sizes.sizes
    let layers = try network.factLayers(own: switched, asRun: running)
    let original = OriginalWeights.closest(
      to: classifier.graph, classifier.parameters, in: context.pretrained)
    // Between weights of the checkpoint nothing but what differs from it can be damaged, however far
    // from the running statistics these photos are.
    suspects =
      original?.isBackboneUntouched == true
      ? BatchNormFacts.damaged(layers, original) : BatchNormFacts.suspects(layers)
    attribution =
      network.layers.isEmpty || !switchesLayers
      ? nil
      : try passes.attribution(
        photos.main.sample(BatchNormExamination.attributionPhotos, seed: seed))
    let sampled = photos.main.sample(BatchNormExamination.inputPhotos, seed: seed)
    inputs = try InputCandidates(classifier, sampled, seed: seed, context: context)
    context.console.say("Solving heads to compare with")
    trials = HeadTrials(
      classifier, network, photos: photos, original: original, moments: sizes.largest.moments,
      seed: seed, context: context)
    let judged =
      photos.heldOut.count >= 2 ? try passes.run("Held-out photos", photos.heldOut, .none) : nil
    let apart = photos.heldOut.labels
    heldOut = judged.map { BatchNormDiagnosis.Phase($0, apart) }
    let heads = try HeadEvidence(
      ComparedHeads(
        trials: trials, photos: photos, passes: passes, original: original,
        size: Extent2D(classifier.preprocessing.inputSize)),
      training: PhotoResults(switched, labels: photos.main.labels), isSeen: isSeen,
      chance: photos.main.largestClassShare)
    judgingFamiliarity = heads.judging
    let repairs = try BatchNormExamination.repaired(
      Set(suspects.map { layers[$0].path }), photos.main, sampled, passes)
    let labels = photos.main.labels
    facts = BatchNormFacts(
      layers: layers, inference: PhotoResults(running, labels: labels),
      training: PhotoResults(switched, labels: labels),
      auc: (inference.auc, BatchNormDiagnosis.Phase(switched, labels).auc),
      chance: photos.main.largestClassShare, repaired: repairs?.all,
      inputs: inputs.results.map {
        .init(name: $0.name, results: $0.results, divergence: $0.divergence)
      }, certainInput: inputs.certain, sampledTraining: try passes.results(sampled, .all),
      sampledRepaired: repairs?.sampled, heldOut: judged.map { PhotoResults($0, labels: apart) },
      isTrainingData: photos.isTrainingData,
      recordedMode: classifier.record?.freezing.frozenBatchNorm,
      renamed: BatchNormExamination.names(moved, classifier.classNames), original: original,
      solved: heads.pair?.solved, unseen: heads.unseen, familiarity: heads.familiarity,
      preference: heads.preference, checkpointPreference: heads.checkpointPreference,
      otherEpsilon: heads.otherEpsilon, smallBatches: heads.smallBatches)
  }

  /// The photos with damaged layers alone on batch statistics; nil without such layers.
  private static func repaired(
    _ layers: Set<ParameterPath>, _ photos: LabelledTensors, _ sampled: LabelledTensors,
    _ passes: PhasePasses
  ) throws -> (all: PhotoResults, sampled: PhotoResults)? {
    guard !layers.isEmpty else { return nil }
    return (
      try passes.results(photos, .only(layers)), try passes.results(sampled, .only(layers))
    )
  }

  /// Classes that answer to another name, by name.
  private static func names(_ moved: [Int: Int], _ names: [String]) -> [String: String] {
    Dictionary(uniqueKeysWithValues: moved.map { (names[$0.key], names[$0.value]) })
  }

  /// Which classes answer to another name in both phases or clearly in one of them, and surely so.
  private static func assignment(
    _ labels: [Int], _ running: PhaseOutput, _ switched: PhaseOutput, seed: UInt64
  ) -> [Int: Int] {
    let phases = [running, switched]
    let predictions = phases.map { $0.logits.largestColumns() }
    guard
      let best = LabelAssignment.clear(labels: labels, predictions: predictions, seed: seed)
    else { return [:] }
    let named = labels.map { best.moved[$0] ?? $0 }
    let loss = phases.map { PhotoResults($0, labels: named).loss }.min() ?? .infinity
    return LabelAssignment.isKnowledge(loss: loss, labels: labels) ? best.moved : [:]
  }
}

extension PhasedNetwork {
  /// Every batch norm against the data, with and without the errors of the layers before it.
  fileprivate func factLayers(own: PhaseOutput, asRun: PhaseOutput) throws
    -> [BatchNormFacts.Layer]
  {
    let held = self.parameters
    return try layers.compactMap { layer -> BatchNormFacts.Layer? in
      guard let first = own.moments[layer.path], let second = asRun.moments[layer.path] else {
        return nil
      }
      func holds(_ name: String, _ value: Float) throws -> Bool {
        try held.tensor(layer.path.appending(name)).elements.allSatisfy { $0 == value }
      }
      return BatchNormFacts.Layer(
        path: layer.path, group: layer.group,
        own: try LayerShift(first, of: layer, in: held),
        asRun: try LayerShift(second, of: layer, in: held),
        isInitial: try holds("running_mean", 0) && holds("running_var", 1))
    }
  }
}

extension BatchNormDiagnosis.Phase {
  /// Judges the logits of a pass.
  package init(_ output: PhaseOutput, _ labels: [Int]) {
    let results = PhotoResults(output, labels: labels)
    let finite = output.logits.withUnsafeElements { $0.allSatisfy(\.isFinite) }
    self.init(
      accuracy: results.accuracy, loss: results.loss,
      auc: finite
        ? RankingMetrics.areaUnderCurve(
          probabilities: Probabilities.softmax(output.logits), labels: labels) : nil)
  }
}

extension LabelledTensors {
  /// Share of the most frequent class.
  fileprivate var largestClassShare: Double {
    let counts = Dictionary(grouping: labels, by: \.self).mapValues(\.count)
    return Double(counts.values.max() ?? 0) / Double(max(count, 1))
  }
}
