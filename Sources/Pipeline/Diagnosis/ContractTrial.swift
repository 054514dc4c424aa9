// SPDX-License-Identifier: Apache-2.0

import Backbones
import Checkpoints
import Diagnosis
import Execution
import Files
import Images
import Network
import SystemPackage
import Tensors
import Training

/// A network fed with the same photos under every known contract.
struct ContractTrial {
  let classifier: Classifier
  let squares: PhotoSquares
  let candidates: [Preprocessing.Candidate]
  let evidence: [ContractEvidence]
  let judgement: ContractJudgement
  /// Whose answers were heard: the model's own head, or the backbone's original one.
  let witness: Witness
  /// Whether the model's own head was trained under the declared, wrong contract.
  let ownHeadPrefersDeclared: Bool
  let context: StageContext
  /// Whether the running statistics decided; if not, the classifier's answers did.
  let usesBatchNorms: Bool
  /// Whether there are batch norms that have learned nothing.
  let isUntouched: Bool

  /// The classifier whose answers are heard.
  struct Witness {
    let classifier: Classifier
    /// Whether it was trained apart from the model that is diagnosed.
    let isIndependent: Bool
    /// For messages.
    let name: String
  }

  /// Batch norms that are looked at, photos whose logits are, and resamples.
  private static let (layers, heads, resamples) = (4, 64, 60)

  init(
    _ classifier: Classifier, _ squares: PhotoSquares, seed: UInt64, context: StageContext
  ) throws {
    let candidates = Preprocessing.contracts(like: classifier.preprocessing)
    let probe = try NormalizationProbe(
      classifier.model.graph, parameters: classifier.model.parameters, layers: ContractTrial.layers,
      compiler: context.compiler, size: Extent2D(classifier.preprocessing.inputSize))
    let isUntouched =
      !probe.layers.isEmpty && probe.layers.allSatisfy(\.statistics.areUntouched)
    let witness = try ContractTrial.witness(for: classifier, context)
    var evidence = try ContractTrial.measure(
      candidates, probe, squares, seed: seed, context: context)
    let declared = candidates.indices.filter {
      candidates[$0].preprocessing.isInterchangeable(with: classifier.preprocessing)
    }
    let usesBatchNorms = !probe.layers.isEmpty && !isUntouched
    try ContractTrial.ask(
      witness, about: candidates, &evidence, squares, declared: declared,
      isOnlyEvidence: !usesBatchNorms, seed: seed)
    let judgement =
      usesBatchNorms
      ? ContractJudgement(
        batchNorms: evidence, declared: declared, photos: squares.squares.count,
        headIsWitness: witness.isIndependent)
      : ContractJudgement(
        heads: evidence, declared: declared, photos: squares.squares.count,
        classes: witness.classifier.classNames.count)
    ownHeadPrefersDeclared =
      try judgement.status == .wrong && witness.classifier !== classifier
      && ContractTrial.prefersDeclared(classifier, candidates[judgement.best], squares)
    self.classifier = classifier
    self.squares = squares
    self.context = context
    self.candidates = candidates
    self.evidence = evidence
    self.judgement = judgement
    self.witness = witness
    self.usesBatchNorms = usesBatchNorms
    self.isUntouched = isUntouched
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

  /// The divergence of every contract at the batch norms.
  private static func measure(
    _ candidates: [Preprocessing.Candidate], _ probe: NormalizationProbe, _ squares: PhotoSquares,
    seed: UInt64, context: StageContext
  ) throws -> [ContractEvidence] {
    let count = squares.squares.count
    let resamples = ContractEvidence.resamples(resamples, photos: count, seed: seed)
    let progress = context.console.progress(
      "Trying contracts", total: candidates.count, unit: "contracts")
    defer { progress.finish() }
    return try candidates.map { candidate in
      try Interruption.check()
      let moments = try probe.moments(
        photos: count, elementsPerPhoto: candidate.preprocessing.elementCount
      ) { squares.write($0, as: candidate.preprocessing, into: $1) }
      progress.advance(by: 1)
      return ContractEvidence(
        name: candidate.name, moments: moments, at: probe.layers, resamples: resamples)
    }
  }

  /// Hears the witness about every contract, or with batch norms about those that matter: the declared
  /// one, the best few and the declared one in the other channel order.
  private static func ask(
    _ witness: Witness, about candidates: [Preprocessing.Candidate],
    _ evidence: inout [ContractEvidence], _ squares: PhotoSquares, declared: [Int],
    isOnlyEvidence: Bool, seed: UInt64
  ) throws {
    var asked = Array(candidates.indices)
    if !isOnlyEvidence {
      asked.sort { (evidence[$0].divergence ?? 0) < (evidence[$1].divergence ?? 0) }
      let swapped = candidates[declared[0]].preprocessing.withSwappedChannels
      let other = candidates.firstIndex { $0.preprocessing == swapped }
      asked = Array(Set([declared[0]] + asked.prefix(3) + [other].compactMap { $0 })).sorted()
    }
    let count = min(heads, squares.squares.count)
    let resamples = ContractEvidence.resamples(resamples, photos: count, seed: seed)
    for index in asked {
      let logits = try squares.logits(
        witness.classifier, as: candidates[index].preprocessing, first: heads)
      evidence[index].head = HeadResponse(logits)
      evidence[index].resampledScores = resamples.map {
        HeadResponse(logits, photos: $0).score
      }
      evidence[index].accuracy = accuracy(logits, witness.classifier, squares)
    }
  }

  /// Share of right predictions among the photos whose folder is one of the classes; nil without any.
  static func accuracy(
    _ logits: Tensor<Float>, _ classifier: Classifier, _ squares: PhotoSquares
  ) -> Double? {
    let names = classifier.classNames
    let predictions = Probabilities.predictions(logits)
    let judged = predictions.indices.filter {
      squares.photos[$0].className.map(names.contains) ?? false
    }
    guard !judged.isEmpty else { return nil }
    let right = judged.count { names[predictions[$0]] == squares.photos[$0].className }
    return Double(right) / Double(judged.count)
  }

  /// Whether the model's own head tells more under the declared contract than under `best`: it was
  /// trained with the wrong one and has to be trained again.
  private static func prefersDeclared(
    _ classifier: Classifier, _ best: Preprocessing.Candidate, _ squares: PhotoSquares
  ) throws -> Bool {
    let before = try squares.logits(classifier, as: classifier.preprocessing, first: heads)
    let after = try squares.logits(classifier, as: best.preprocessing, first: heads)
    if let declared = accuracy(before, classifier, squares),
      let corrected = accuracy(after, classifier, squares)
    {
      return declared > corrected
    }
    return HeadResponse(before).score > HeadResponse(after).score + ContractJudgement.telling
  }
}
