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

  /// Photos of a batch when nobody says how many the network was trained with.
  package static let usualBatch = 32
  private static let largestBatch = 64
  private static let smallBatches = [2, 4, 8]
  /// PyTorch's and TensorFlow's.
  private static let usualEpsilons = [1e-5, 1e-3]
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
    let passes = Passes(network, seed: seed, context: context)
    let running = try passes.run("Inference phase", given.main, .none, batch: batch)
    let switched = try passes.run("Training phase", given.main, .all, batch: batch)
    let assignment = BatchNormExamination.assignment(
      given.main.labels, running, switched, seed: seed)
    moved = assignment
    photos = given.relabelled(moved)
    let main = photos.main
    inference = BatchNormDiagnosis.Phase(running, main.labels)
    let training = BatchNormDiagnosis.Phase(switched, main.labels)
    var sizes: [BatchNormDiagnosis.BatchSize] = []
    var largest = switched
    for size in Set([8, 32, 64, batch]).sorted() where size <= network.batch && size <= count {
      let output =
        size == batch ? switched : try passes.run("Batches of \(size)", main, .all, batch: size)
      let phase = BatchNormDiagnosis.Phase(output, main.labels)
      sizes.append(.init(batch: size, phase: phase, gap: phase.accuracy - inference.accuracy))
      if size >= batch { largest = output }
    }
    batchSizes = sizes
    let layers = try network.factLayers(own: switched, asRun: running)
    let original = OriginalWeights.closest(
      to: classifier.graph, classifier.parameters, in: context.pretrained)
    let damaged = BatchNormFacts.damaged(layers, original)
    // Between weights of the checkpoint nothing but what differs from it can be damaged, however far
    // from the running statistics these photos are.
    suspects =
      original?.isBackboneUntouched == true ? damaged : BatchNormFacts.suspects(layers)
    let attributed = main.sample(BatchNormExamination.attributionPhotos, seed: seed)
    attribution =
      network.layers.isEmpty || !switchesLayers
      ? nil
      : try passes.attribution(attributed, batch: min(batch, 32))
    let sampled = main.sample(BatchNormExamination.inputPhotos, seed: seed)
    inputs = try InputCandidates(classifier, sampled, seed: seed, context: context)
    let doubtful: Set<ParameterPath> = Set(suspects.map { layers[$0].path })
    let size = batch
    func results(
      _ photos: LabelledTensors, _ selection: BatchNormInspection.Selection
    ) throws -> PhotoResults {
      let output = try passes.run(nil, photos, selection, batch: min(size, photos.count))
      return PhotoResults(output, labels: photos.labels)
    }
    let inputFacts = inputs.results.map {
      BatchNormFacts.Input(name: $0.name, results: $0.results, divergence: $0.divergence)
    }
    let apart = photos.heldOut
    let judged =
      photos.heldOut.count >= 2
      ? try passes.run("Held-out photos", photos.heldOut, .none, batch: batch) : nil
    heldOut = judged.map { BatchNormDiagnosis.Phase($0, apart.labels) }
    let asRun = PhotoResults(running, labels: main.labels)
    let onBatches = PhotoResults(switched, labels: main.labels)
    context.console.say("Solving heads to compare with")
    trials = HeadTrials(
      classifier, network, photos: photos, original: original, moments: largest.moments,
      seed: seed, context: context)
    let asTheyAre = try trials.trial(.asTheyAre)
    let anew = network.layers.isEmpty ? nil : try trials.trial(.anew(nil))
    let pairs = asTheyAre.pairOnFixing(main.labels)
    let pairsAnew = anew?.pairOnFixing(main.labels)
    let side = Extent2D(classifier.preprocessing.inputSize)
    // A head that is poor on the very photos may have learned with another epsilon.
    var otherEpsilon: (epsilon: Double, results: PhotoResults)?
    if let pair = pairs,
      pair.own.loss > pair.solved.loss || pair.own.accuracy < pair.solved.accuracy
    {
      let own = network.layers.map(\.normalization.epsilon)
      for epsilon in BatchNormExamination.usualEpsilons
      where own.contains(where: { abs($0 / epsilon - 1) > 0.1 }) {
        let other = PhotoResults(
          try trials.trial(.epsilon(epsilon)).ownOnFixing, main.labels)
        if other.loss < otherEpsilon?.results.loss ?? .infinity { otherEpsilon = (epsilon, other) }
      }
    }
    var intended: [HeadPair] = []
    if original?.hasChangedBatchNormsAlone == true {
      intended += [try trials.trial(.checkpoint).pairOnFixing(main.labels)].compactMap(\.self)
    }
    if let otherEpsilon, let pairs {
      intended.append(HeadPair(own: otherEpsilon.results, solved: pairs.solved))
    }
    let familiarity =
      try isSeen.map(Familiarity.init(said:)) ?? photos.familiarity
      ?? pairs.map { pair in
        let better: BatchNormInspection.Selection =
          onBatches.accuracy > asRun.accuracy ? .all : .none
        let asItIs = Familiarity(
          inference: asRun, training: onBatches, solved: pair.solved,
          mirrored: original?.isBackboneUntouched == true
            ? nil : try results(main.mirrored(size: side), better))
        // A network that was damaged shows what it knows only as it was meant to be.
        let asMeant = intended.map {
          Familiarity(inference: $0.own, training: $0.own, solved: $0.solved, mirrored: nil)
        }
        return asMeant.first { $0.answer == .seen } ?? asItIs
      }
    var unseen: BatchNormFacts.Unseen?
    if photos.isDivided, let judged, let solved = asTheyAre.pair(apart.labels)?.solved {
      unseen = BatchNormFacts.Unseen(
        inference: PhotoResults(judged, labels: apart.labels),
        training: try results(apart, .all), solved: solved)
    } else if !photos.isDivided, familiarity?.answer == .unseen, let solved = pairs?.solved {
      unseen = .init(inference: asRun, training: onBatches, solved: solved)
    }
    var compared: [(running: HeadPair, anew: HeadPair)] = []
    if let pairs, let pairsAnew { compared.append((pairs, pairsAnew)) }
    if photos.isDivided, let running = asTheyAre.pair(apart.labels),
      let anew = anew?.pair(apart.labels)
    {
      compared.append((running, anew))
    }
    let preference =
      compared.isEmpty ? nil : HeadPreference(compared, chance: main.largestClassShare)
    // A head that is poor in these batches as in inference may have learned in smaller ones.
    var smallBatches: BatchNormFacts.SmallBatches?
    if let pair = pairs, let preference, preference.skill > 3, !preference.isForBatchStatistics,
      pair.own.loss > pair.solved.loss || pair.own.accuracy < pair.solved.accuracy
    {
      let few = main.sample(BatchNormExamination.inputPhotos, seed: seed)
      let asRun = try results(few, .none)
      for size in BatchNormExamination.smallBatches where size < batch {
        let output = PhotoResults(
          try passes.run(nil, few, .all, batch: size), labels: few.labels)
        if output.accuracy > smallBatches?.results.accuracy ?? -1 {
          smallBatches = .init(batch: size, inference: asRun, results: output)
        }
      }
    }
    facts = BatchNormFacts(
      layers: layers, inference: PhotoResults(running, labels: main.labels),
      training: PhotoResults(switched, labels: main.labels),
      auc: (inference.auc, training.auc), chance: main.largestClassShare,
      repaired: doubtful.isEmpty ? nil : try results(main, .only(doubtful)),
      inputs: inputFacts, certainInput: inputs.certain,
      sampledTraining: try results(sampled, .all),
      sampledRepaired: doubtful.isEmpty ? nil : try results(sampled, .only(doubtful)),
      heldOut: judged.map { PhotoResults($0, labels: apart.labels) },
      isTrainingData: photos.isTrainingData,
      recordedMode: classifier.record?.freezing.frozenBatchNorm,
      renamed: Dictionary(
        uniqueKeysWithValues: moved.map {
          (classifier.classNames[$0.key], classifier.classNames[$0.value])
        }), original: original, solved: pairs?.solved, unseen: unseen, familiarity: familiarity,
      preference: compared.isEmpty
        ? nil : HeadPreference(compared, chance: main.largestClassShare), otherEpsilon: otherEpsilon
    )
  }

  /// Which classes answer to another name in both phases or clearly in one of them.
  private static func assignment(
    _ labels: [Int], _ running: PhaseOutput, _ switched: PhaseOutput, seed: UInt64
  ) -> [Int: Int] {
    let predictions = [running, switched].map { $0.logits.largestColumns() }
    return LabelAssignment.clear(labels: labels, predictions: predictions, seed: seed)?.moved ?? [:]
  }
}

/// Passes with progress.
private struct Passes {
  let network: PhasedNetwork
  let seed: UInt64
  let context: StageContext

  init(_ network: PhasedNetwork, seed: UInt64, context: StageContext) {
    self.network = network
    self.seed = seed
    self.context = context
  }

  func run(
    _ label: String?, _ photos: LabelledTensors, _ selection: BatchNormInspection.Selection,
    batch: Int
  ) throws -> PhaseOutput {
    let progress = label.map { context.console.progress($0, total: photos.count) }
    defer { progress?.finish() }
    return try network.run(
      photos, batchStatistics: selection, batch: min(batch, photos.count), seed: seed
    ) { count in
      progress?.advance(by: count)
      try Interruption.check()
    }
  }

  func attribution(_ photos: LabelledTensors, batch: Int) throws -> PhaseAttribution {
    let batches = (photos.count + batch - 1) / batch
    let progress = context.console.progress(
      "Switching layers one by one", total: network.layers.count * batches, unit: "layers")
    defer { progress.finish() }
    return try PhaseAttribution(network, photos, batch: batch, seed: seed) {
      progress.advance(by: 1)
      try Interruption.check()
    }
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
