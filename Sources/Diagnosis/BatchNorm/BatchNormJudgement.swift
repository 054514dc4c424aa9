// SPDX-License-Identifier: Apache-2.0

import ThawNetwork

/// Draws the verdict from what was measured.
///
/// Several explanations compete: the batch norms as a whole, single damaged layers, another
/// preprocessing, over-fitting. Each predicts what the same photos would do if it were true and put
/// right, and that is measured; the one that explains most wins, the most specific of equals. What is
/// better only within the error of the measurement is not better.
package struct BatchNormJudgement: Sendable, Equatable {
  /// The finding.
  package let kind: BatchNormFinding
  /// The finding in a sentence or two.
  package let verdict: String
  /// What it rests on, sentences.
  package let evidence: [String]
  /// The signature by name, when it is there.
  package let signature: String?
  /// Layers to blame, as indices, the worst first.
  package let suspects: [Int]
  /// The contract that fits better, as an index into the inputs.
  package let betterInput: Int?

  /// A gain of accuracy, or of loss (absolute and as a share), below which a difference is not worth
  /// a verdict.
  static let (materialAccuracy, materialLoss, materialShare) = (0.02, 0.1, 0.2)
  /// Photos below which no absence is concluded: a difference of ten points between the phases has a
  /// standard error of seven on forty photos a fifth of which change sides.
  static let fewestPhotos = 40

  /// Judges `facts`; `suspects` are the layers that were switched for ``BatchNormFacts/repaired``.
  package init(_ facts: BatchNormFacts, suspects: [Int]) {
    let judge = BatchNormJudge(facts: facts, suspects: suspects)
    let kind = judge.kind
    self.kind = kind
    self.suspects = kind == .corruptedStatistics ? judge.blamed : []
    betterInput = kind == .preprocessing ? judge.betterInput ?? judge.inputOfHead : nil
    signature = facts.signature
    verdict = judge.verdict(kind)
    evidence = judge.evidence(kind)
  }
}

extension BatchNormFacts {
  /// Accuracy near chance while the classes are ranked almost perfectly.
  var signature: String? {
    guard let area = auc.inference, area >= 0.9 else { return nil }
    let ceiling = chance + 0.35 * (1 - chance)
    guard inference.accuracy <= ceiling, area - inference.accuracy >= 0.3 else { return nil }
    return
      "accuracy near chance while the AUC is near 1: the network ranks the photos well and every"
      + " logit is off by much the same amount"
  }
}

/// The rules.
struct BatchNormJudge {
  let facts: BatchNormFacts
  let suspects: [Int]

  /// Whether running `second` instead of `first` is better, beyond chance and by enough to matter.
  func isMaterial(_ first: PhotoResults, _ second: PhotoResults) -> Bool {
    let pair = PairedLosses(first: first, second: second)
    guard pair.isBetter else { return false }
    let share = pair.difference / max(first.loss, 1e-9)
    return pair.accuracyGain >= BatchNormJudgement.materialAccuracy
      || (pair.difference >= BatchNormJudgement.materialLoss
        && share >= BatchNormJudgement.materialShare && pair.accuracyGain >= 0)
  }

  var kind: BatchNormFinding {
    let kind = unguardedKind
    // What was not found, or found missing, may hide behind chance.
    let isAbsence = [.healthy, .overfitting, .undertrained, .weak].contains(kind)
    let photos = max(facts.inference.isRight.count, facts.unseen?.inference.isRight.count ?? 0)
    return isAbsence && photos < BatchNormJudgement.fewestPhotos ? .cannotTell : kind
  }

  private var unguardedKind: BatchNormFinding {
    if !facts.renamed.isEmpty && !isPhaseWorse && !facts.layers.allSatisfy(\.isInitial) {
      return .labelOrder
    }
    if facts.layers.isEmpty {
      if betterInput != nil { return .preprocessing }
      return isOverfitted ? .overfitting : isWeak ? .weak : .noBatchNorm
    }
    if facts.layers.allSatisfy(\.isInitial) { return .initialStatistics }
    if isFedWrongly { return .preprocessing }
    if let altered = alteredBatchNorms { return altered }
    if isTrainedOnBatches { return .batchStatistics }
    if isOtherEpsilon { return .otherEpsilon }
    if isHeadOfOtherStatistics && betterInput == nil && !isRepairBetter {
      return inputOfHead == nil ? .batchStatistics : .preprocessing
    }
    let isForRunning = facts.preference?.prefersRunning ?? false
    let options: [(kind: BatchNormFinding, results: PhotoResults)] = [
      isRepairBetter ? facts.sampledRepaired.map { (.corruptedStatistics, $0) } : nil,
      betterInput.map { (.preprocessing, facts.inputs[$0].results) },
      isPhaseWorse && !isForRunning && isSkilled
        ? (.batchStatistics, facts.sampledTraining) : nil,
    ].compactMap(\.self)
    // The most specific explanation that none after it clearly beats.
    for (index, option) in options.enumerated()
    where !options[(index + 1)...].contains(where: { isMuchBetter(option.results, $0.results) }) {
      return option.kind
    }
    if !beyondDoubt.isEmpty { return .corruptedStatistics }
    if !facts.renamed.isEmpty { return .labelOrder }
    if isOverfitted { return .overfitting }
    if isHeadPoor { return .undertrained }
    return isWeak ? .weak : .healthy
  }

  /// The finding when layers that never trained have other batch norms than their checkpoint. A few
  /// layers are damage; all of them moved in training, which went by batch statistics then.
  private var alteredBatchNorms: BatchNormFinding? {
    guard let original = facts.original, original.hasChangedBatchNormsAlone else { return nil }
    return BatchNormFacts.damaged(facts.layers, original).isEmpty
      ? .alteredBatchNorms : .corruptedStatistics
  }

  /// With another usual epsilon its own head does much better, better than on batch statistics and as
  /// well as one that was solved as things are.
  private var isOtherEpsilon: Bool {
    // The model file of a run says which epsilon it was trained with.
    guard facts.recordedMode == nil, let other = facts.otherEpsilon, let solved = facts.solved,
      isSkilled(other.results)
    else { return false }
    let pair = PairedLosses(first: other.asItIs, second: other.results)
    let isSure = pair.sigma > 2.5 || pair.difference > 3 * pair.standardError
    let isMuch =
      pair.accuracyGain >= 0.05 || pair.difference >= max(other.asItIs.loss / 3, 0.1)
    return isSure && isMuch && pair.accuracyGain >= 0
      && other.results.accuracy >= solved.accuracy - 0.1
      && other.results.loss < facts.training.loss
  }

  /// Whether photos are told apart better than by guessing, by four standard errors.
  private func isSkilled(_ results: PhotoResults) -> Bool {
    let (chance, count) = (facts.chance, Double(max(results.isRight.count, 1)))
    return results.accuracy - chance > 4 * (max(chance * (1 - chance), 1e-9) / count).squareRoot()
  }

  /// Whether its head knows something. One that does not is less sure of its mistakes on batch statistics,
  /// as their error blurs all answers, and so has the lower loss there.
  private var isSkilled: Bool { facts.preference?.isSkilled ?? true }

  /// Its head was made for batch statistics, as a fresh head on both kinds of features tells.
  private var isHeadOfOtherStatistics: Bool {
    // What a run records is what its head was trained on, whatever photos happen to suit better.
    guard facts.recordedMode != .inference else { return false }
    return facts.preference?.prefersOther ?? false || isHeadOfSmallBatches
  }

  /// A poor head does better in batches of a few photos than in inference: that is where it learned.
  private var isHeadOfSmallBatches: Bool {
    facts.smallBatches?.areBetter ?? false && isHeadPoor
  }

  /// A solved head does better by five points, beyond chance, on photos that it has not seen: and the
  /// network's own has not either, or knows them and is worse all the same.
  private var isHeadPoor: Bool {
    guard let heads = facts.heads else { return false }
    let pair = PairedLosses(first: heads.own, second: heads.solved)
    return pair.accuracyGain >= 0.05 && pair.sigma > 2.5
  }

  /// Better by a third of the loss, or by five points.
  private func isMuchBetter(_ first: PhotoResults, _ second: PhotoResults) -> Bool {
    let pair = PairedLosses(first: first, second: second)
    return pair.isBetter
      && (pair.accuracyGain >= 0.05 || pair.difference >= max(first.loss / 3, 0.1))
  }

  private var beyondDoubt: [Int] {
    BatchNormFacts.areBeyondDoubt(suspects, in: facts.layers)
  }

  /// The layers that a verdict names: those known to be damaged or beyond doubt, else all that repair
  /// the network.
  var blamed: [Int] {
    let damaged = BatchNormFacts.damaged(facts.layers, facts.original)
    return damaged.isEmpty ? beyondDoubt.isEmpty ? suspects : beyondDoubt : damaged
  }

  var isPhaseWorse: Bool { isMaterial(facts.inference, facts.training) }

  /// Its own record says that it was trained on batch statistics, and it does worse without them; no
  /// single layer explains that better.
  private var isTrainedOnBatches: Bool {
    guard isPhaseWorse, facts.recordedMode?.usesBatchStatistics == true else { return false }
    return !(facts.sampledRepaired.map { isMuchBetter(facts.sampledTraining, $0) } ?? false)
  }

  var isRepairBetter: Bool {
    facts.repaired.map { isMaterial(facts.inference, $0) } ?? false
  }

  /// The contract under which the network does best, when that is materially better than the declared
  /// one and no further from the running statistics.
  var betterInput: Int? {
    guard let declared = facts.inputs.first else { return nil }
    let better = facts.inputs.indices.dropFirst().filter { index in
      let other = facts.inputs[index]
      let (own, new) = (declared.divergence ?? 0, other.divergence ?? 0)
      if new <= 1.25 * own + 0.05 && isMaterial(declared.results, other.results) { return true }
      // Two weaker signs that agree: close to the running statistics, and better. (A damaged first
      // layer is close to nothing.)
      let pair = PairedLosses(first: declared.results, second: other.results)
      return new < min(own / 1.5, 0.2) && pair.difference > 2 * pair.standardError
        && pair.difference > max(0.02, 0.3 * declared.results.loss) && pair.accuracyGain >= 0
    }
    return facts.certainInput
      ?? better.min { facts.inputs[$0].results.loss < facts.inputs[$1].results.loss }
  }

  /// The contract under which its head does better than as declared, as well as a new head does as
  /// declared, and better than on batch statistics: those make up for a wrong range as well, but not as
  /// well.
  var inputOfHead: Int? {
    guard let declared = facts.inputs.first else { return nil }
    let better = facts.inputs.indices.dropFirst().filter { index in
      let other = facts.inputs[index].results
      let pair = PairedLosses(first: declared.results, second: other)
      return pair.difference > 2 * pair.standardError && pair.accuracyGain >= 0
        && other.accuracy >= (facts.heads?.solved.accuracy ?? 0) - 0.03
        && other.loss < facts.sampledTraining.loss
    }
    return better.min { facts.inputs[$0].results.loss < facts.inputs[$1].results.loss }
  }

  /// The running statistics say so: the head has learned to live with wrong inputs, or the difference
  /// happens to cost little, or much.
  private var isFedWrongly: Bool { facts.certainInput != nil }

  private var isOverfitted: Bool {
    guard facts.isTrainingData, let heldOut = facts.heldOut, heldOut.isRight.count >= 10 else {
      return false
    }
    let (seen, unseen) = (facts.inference.accuracy, heldOut.accuracy)
    let error =
      (unseen * (1 - unseen) / Double(heldOut.isRight.count)
      + seen * (1 - seen) / Double(facts.inference.isRight.count)).squareRoot()
    return seen - unseen >= max(0.1, 2 * error)
  }

  private var isWeak: Bool {
    facts.inference.accuracy < facts.chance + 0.25 * (1 - facts.chance)
  }
}
