// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import ThawBackbones
import ThawCheckpoints
import ThawConsole
import ThawExecution
import ThawFiles
package import ThawImages
package import ThawInference
import ThawNetwork
import ThawOneDNN
package import ThawTensors
import ThawTraining

/// A network fed with the same photos under every known contract.
package struct ContractTrial {
  package let classifier: Classifier
  package let photos: any ContractPhotos
  package let candidates: [Preprocessing.Candidate]
  package let evidence: [ContractEvidence]
  package let judgement: ContractJudgement
  /// Whose answers were heard: the model's own head, or the backbone's original one.
  package let witness: Witness
  /// Whether the model's own head was trained under the declared, wrong contract.
  package let ownHeadPrefersDeclared: Bool
  package let context: StageContext
  /// Whether the running statistics decided; if not, the classifier's answers did.
  package let usesBatchNorms: Bool
  /// Whether its batch norms are those of new layers: the network was never trained, or they were not
  /// loaded.
  package let isUntouched: Bool

  /// The classifier whose answers are heard.
  package struct Witness {
    package let classifier: Classifier
    /// Whether it was trained apart from the model that is diagnosed.
    package let isIndependent: Bool
    /// For messages.
    package let name: String
  }

  /// Contracts that are looked at closely, and photos that decide which.
  private static let (finalists, glances) = (8, 24)
  /// Batch norms that are looked at, photos whose logits are, and resamples.
  private static let (layers, heads, resamples) = (4, 64, 60)

  package init(
    _ classifier: Classifier, _ photos: any ContractPhotos, seed: UInt64, context: StageContext
  ) throws {
    let candidates = Preprocessing.contracts(like: classifier.preprocessing)
    let probe = try NormalizationProbe(
      classifier.graph, parameters: classifier.parameters, layers: ContractTrial.layers,
      compiler: context.compiler, size: Extent2D(classifier.preprocessing.inputSize))
    let isUntouched = ContractTrial.isUntouched(classifier, probe)
    let witness = try ContractTrial.witness(for: classifier, context)
    var evidence = try ContractTrial.measure(
      candidates, probe, photos, seed: seed, context: context)
    let declared = candidates.indices.filter {
      candidates[$0].preprocessing.isInterchangeable(with: classifier.preprocessing)
    }
    let usesBatchNorms = !probe.layers.isEmpty && !isUntouched
    try ContractTrial.ask(
      witness, about: candidates, &evidence, photos, declared: declared,
      isOnlyEvidence: !usesBatchNorms, seed: seed)
    let judgement =
      isUntouched
      ? ContractJudgement(untrained: declared[0])
      : usesBatchNorms
        ? ContractJudgement(
          batchNorms: evidence, declared: declared, photos: photos.count,
          headIsWitness: witness.isIndependent)
        : ContractJudgement(
          heads: evidence, declared: declared, photos: photos.count,
          classes: witness.classifier.classNames.count)
    ownHeadPrefersDeclared =
      try judgement.status == .wrong && witness.classifier !== classifier
      && ContractTrial.prefersDeclared(classifier, candidates[judgement.best], photos)
    self.classifier = classifier
    self.photos = photos
    self.context = context
    self.candidates = candidates
    self.evidence = evidence
    self.judgement = judgement
    self.witness = witness
    self.usesBatchNorms = usesBatchNorms
    self.isUntouched = isUntouched
  }

  /// Whether the first batch norms have the statistics, or all batch norms the scales and shifts, that new
  /// layers start with.
  private static func isUntouched(
    _ classifier: Classifier, _ probe: NormalizationProbe
  ) -> Bool {
    guard !probe.layers.isEmpty else { return false }
    if probe.layers.allSatisfy(\.statistics.areUntouched) { return true }
    let (graph, parameters) = (classifier.graph, classifier.parameters)
    let scales = graph.nodes.compactMap { node -> Bool? in
      guard case .batchNormalization = node.operation,
        let scale = parameters[node.path.appending("weight")],
        let shift = parameters[node.path.appending("bias")]
      else { return nil }
      return scale.elements.allSatisfy { $0 == 1 } && shift.elements.allSatisfy { $0 == 0 }
    }
    return !scales.isEmpty && scales.allSatisfy { $0 }
  }

  /// The original network of the model's backbone if its weights are here, else the model itself.
  private static func witness(
    for classifier: Classifier, _ context: StageContext
  ) throws -> Witness {
    guard let record = classifier.record,
      let training = try? TrainingRecord(json: record.training)
    else {
      return Witness(
        classifier: classifier, isIndependent: true, name: "the network's own classifier")
    }
    guard let card = try? context.pretrained.card(named: training.backbone),
      card.preprocessing.inputSize == classifier.preprocessing.inputSize,
      let original = try? Classifier(
        card: card, store: context.pretrained, compiler: context.compiler,
        threads: context.threads)
    else {
      return Witness(
        classifier: classifier, isIndependent: false, name: "the model's own head")
    }
    return Witness(
      classifier: original, isIndependent: true,
      name: "the original classifier of \(card.name)")
  }

  /// The divergence of every contract at the batch norms: of some photos at the first one, and of all
  /// at several for those that do best there, the declared one and its other channel order.
  private static func measure(
    _ candidates: [Preprocessing.Candidate], _ probe: NormalizationProbe,
    _ photos: any ContractPhotos, seed: UInt64, context: StageContext
  ) throws -> [ContractEvidence] {
    guard !probe.layers.isEmpty else {
      return candidates.map { ContractEvidence(name: $0.name, divergence: nil) }
    }
    let resamples = ContractEvidence.resamples(resamples, photos: photos.count, seed: seed)
    let progress = context.console.progress(
      "Trying contracts", total: candidates.count + finalists, unit: "contracts")
    defer { progress.finish() }
    func evidence(_ index: Int, count: Int, depth: Int, _ resamples: [[Int]]) throws
      -> ContractEvidence
    {
      try Interruption.check()
      let candidate = candidates[index]
      let moments = try probe.moments(
        photos: count, elementsPerPhoto: candidate.preprocessing.elementCount, depth: depth
      ) { photos.write($0, as: candidate.preprocessing, into: $1) }
      progress.advance(by: 1)
      return ContractEvidence(
        name: candidate.name, moments: moments, at: Array(probe.layers.prefix(depth)),
        resamples: resamples)
    }
    var result = try candidates.indices.map {
      try evidence($0, count: min(photos.count, glances), depth: 1, [])
    }
    var order = Array(candidates.indices)
    order.sort { (result[$0].divergence ?? 0) < (result[$1].divergence ?? 0) }
    let swapped = candidates[0].preprocessing.withSwappedChannels
    let chosen = Set(
      order.prefix(finalists) + [0]
        + candidates.indices.filter { candidates[$0].preprocessing == swapped })
    for index in chosen.sorted() {
      result[index] = try evidence(
        index, count: photos.count, depth: probe.layers.count, resamples)
    }
    let finalists = chosen.map { result[$0] }
    for index in candidates.indices where !chosen.contains(index) {
      result[index] = result[index].behind(finalists)
    }
    return result
  }

  /// Hears the witness about every contract, or with batch norms about those that matter: the declared
  /// one, the best few and the declared one in the other channel order.
  private static func ask(
    _ witness: Witness, about candidates: [Preprocessing.Candidate],
    _ evidence: inout [ContractEvidence], _ photos: any ContractPhotos, declared: [Int],
    isOnlyEvidence: Bool, seed: UInt64
  ) throws {
    var asked = Array(candidates.indices)
    if !isOnlyEvidence {
      asked.sort { (evidence[$0].divergence ?? 0) < (evidence[$1].divergence ?? 0) }
      let swapped = candidates[declared[0]].preprocessing.withSwappedChannels
      let other = candidates.firstIndex { $0.preprocessing == swapped }
      asked = Array(Set([declared[0]] + asked.prefix(3) + [other].compactMap { $0 })).sorted()
    }
    let count = min(heads, photos.count)
    let resamples = ContractEvidence.resamples(resamples, photos: count, seed: seed)
    for index in asked {
      let logits = try photos.logits(
        witness.classifier, as: candidates[index].preprocessing, first: heads)
      evidence[index].head = HeadResponse(logits)
      evidence[index].resampledScores = resamples.map {
        HeadResponse(logits, photos: $0).score
      }
      evidence[index].accuracy = accuracy(logits, witness.classifier, photos)
    }
  }

  /// Share of right predictions among the photos whose folder is one of the classes; nil without any.
  package static func accuracy(
    _ logits: Tensor<Float>, _ classifier: Classifier, _ photos: any ContractPhotos
  ) -> Double? {
    let names = classifier.classNames
    let predictions = Probabilities.predictions(logits)
    let judged = predictions.indices.filter {
      photos.className($0).map(names.contains) ?? false
    }
    guard !judged.isEmpty else { return nil }
    let right = judged.count { names[predictions[$0]] == photos.className($0) }
    return Double(right) / Double(judged.count)
  }

  /// Whether the model's own head tells more under the declared contract than under `best`: it was
  /// trained with the wrong one and has to be trained again.
  private static func prefersDeclared(
    _ classifier: Classifier, _ best: Preprocessing.Candidate, _ photos: any ContractPhotos
  ) throws -> Bool {
    let before = try photos.logits(classifier, as: classifier.preprocessing, first: heads)
    let after = try photos.logits(classifier, as: best.preprocessing, first: heads)
    if let declared = accuracy(before, classifier, photos),
      let corrected = accuracy(after, classifier, photos)
    {
      return declared > corrected
    }
    return HeadResponse(before).score > HeadResponse(after).score + ContractJudgement.telling
  }
}
