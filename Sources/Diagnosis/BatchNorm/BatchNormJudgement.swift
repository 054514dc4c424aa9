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
    let judge = Judge(facts: facts, suspects: suspects)
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
private struct Judge {
  let facts: BatchNormFacts
  let suspects: [Int]

  /// Whether running `second` instead of `first` is better, beyond chance and by enough to matter.
  private func isMaterial(_ first: PhotoResults, _ second: PhotoResults) -> Bool {
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
    let isForRunning = facts.preference?.isForRunningStatistics ?? false
    let options: [(kind: BatchNormFinding, results: PhotoResults)] = [
      isRepairBetter ? facts.sampledRepaired.map { (.corruptedStatistics, $0) } : nil,
      betterInput.map { (.preprocessing, facts.inputs[$0].results) },
      isPhaseWorse && !isForRunning ? (.batchStatistics, facts.sampledTraining) : nil,
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

  /// With another usual epsilon the same photos do much better, better than on batch statistics and as
  /// well as with a head that was solved as things are.
  private var isOtherEpsilon: Bool {
    guard let other = facts.otherEpsilon?.results, let solved = facts.solved else { return false }
    return isMuchBetter(facts.inference, other)
      && other.accuracy >= max(facts.inference.accuracy + 0.05, solved.accuracy - 0.1)
      && other.loss < facts.training.loss
  }

  /// Its head was made for batch statistics, as a fresh head on both kinds of features tells.
  private var isHeadOfOtherStatistics: Bool {
    facts.preference?.isForBatchStatistics ?? false || isHeadOfSmallBatches
  }

  /// A poor head does better in batches of a few photos than in inference: that is where it learned.
  private var isHeadOfSmallBatches: Bool {
    guard let small = facts.smallBatches, isHeadPoor else { return false }
    let pair = PairedLosses(first: small.inference, second: small.results)
    let changed = Double(max(pair.gained + pair.lost, 1)).squareRoot()
    return pair.accuracyGain >= BatchNormJudgement.materialAccuracy
      && Double(pair.gained - pair.lost) > 2 * changed
  }

  /// A solved head does better by five points, beyond chance, on photos that it has not seen: and the
  /// network's own has not either, or knows them and is worse all the same.
  private var isHeadPoor: Bool {
    guard let heads = facts.heads else { return false }
    let pair = PairedLosses(first: heads.own, second: heads.solved)
    let changed = Double(max(pair.gained + pair.lost, 1)).squareRoot()
    return pair.accuracyGain >= 0.05 && Double(pair.gained - pair.lost) > 2.5 * changed
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

  private var isPhaseWorse: Bool { isMaterial(facts.inference, facts.training) }

  /// Its own record says that it was trained on batch statistics, and it does worse without them; no
  /// single layer explains that better.
  private var isTrainedOnBatches: Bool {
    guard isPhaseWorse, facts.recordedMode?.usesBatchStatistics == true else { return false }
    return !(facts.sampledRepaired.map { isMuchBetter(facts.sampledTraining, $0) } ?? false)
  }

  private var isRepairBetter: Bool {
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

  /// The contract under which its head does better than as declared, and better than on batch
  /// statistics: those make up for a wrong range as well, but not as well.
  var inputOfHead: Int? {
    guard let declared = facts.inputs.first else { return nil }
    let better = facts.inputs.indices.dropFirst().filter { index in
      let other = facts.inputs[index].results
      let pair = PairedLosses(first: declared.results, second: other)
      return pair.difference > 2 * pair.standardError && pair.accuracyGain >= 0
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

extension Judge {
  func verdict(_ kind: BatchNormFinding) -> String {
    let (running, batch) = (percent(facts.inference.accuracy), percent(facts.training.accuracy))
    let phases = "the same photos score \(batch) on batch statistics and \(running) on running ones"
    switch kind {
    case .healthy:
      return "No batch-norm problem: \(running) in inference, \(batch) on batch statistics."
    case .batchStatistics where !isPhaseWorse:
      return "Batch-norm problem: the head was trained on batch statistics that inference does not"
        + " use. On these photos a new head gets \(percent(facts.heads?.solved.accuracy ?? 0)) on"
        + " running statistics, this one \(percent(facts.heads?.own.accuracy ?? 0)), and it gains by"
        + " batch statistics what no new head does."
    case .batchStatistics:
      return "Batch-norm problem: \(phases). The network was trained on batch statistics that"
        + " inference does not use."
    case .alteredBatchNorms:
      return alteredVerdict
    case .undertrained:
      return "No batch-norm problem: the head is poor. One solved on the same features gets"
        + " \(percent(facts.heads?.solved.accuracy ?? 0)) of photos that it has not seen, this one"
        + " \(percent(facts.heads?.own.accuracy ?? 0))."
    case .cannotTell:
      let count = facts.inference.isRight.count
      return "Cannot tell from \(count) photos: \(running) in inference, \(batch) on batch"
        + " statistics. Give at least \(BatchNormJudgement.fewestPhotos), better 200."
    case .initialStatistics:
      return
        "Batch-norm problem: every running mean is 0 and every running variance 1, the values a"
        + " new layer starts with. They were never trained, or not loaded; \(phases)."
    case .corruptedStatistics
    where !isRepairBetter && !BatchNormFacts.damaged(facts.layers, facts.original).isEmpty:
      return "Batch-norm problem in \(names): \(blamed.count == 1 ? "it is" : "they are") not what"
        + " \(facts.original?.card ?? "") holds, while every other layer before the head is, to the bit."
        + " On these photos it costs little."
    case .corruptedStatistics where !isRepairBetter:
      return "Batch-norm problem in \(names): \(blamed.count == 1 ? "its" : "their") running"
        + " statistics do not fit this network: the data is far from them, and close to those of the"
        + " layers around. On these photos it costs little: loss"
        + " \(significant(facts.inference.loss)), and \(significant(facts.repaired?.loss ?? 0)) with"
        + " the data's own statistics there."
    case .corruptedStatistics:
      return "Batch-norm problem in \(names): \(blamed.count == 1 ? "its" : "their") running"
        + " statistics do not belong to this network. With"
        + " \(blamed.count == 1 ? "this layer" : "these layers") alone on the data's own"
        + " statistics the same photos score"
        + " \(percent(facts.repaired?.accuracy ?? 0)) instead of \(running)."
    case .otherEpsilon:
      let other = facts.otherEpsilon
      return "Batch-norm problem: the network was trained with an epsilon of"
        + " \(other?.epsilon ?? 0), which no file of weights records. With it the same photos score"
        + " \(percent(other?.results.accuracy ?? 0)) instead of \(running)."
    case .preprocessing:
      return preprocessingVerdict
    case .labelOrder:
      let pairs = facts.renamed.sorted { $0.key < $1.key }
      let shown = pairs.prefix(5).map { "'\($0.key)' is predicted as '\($0.value)'" }
      return "No batch-norm problem: the label order is wrong. "
        + shown.joined(separator: ", ") + (pairs.count > 5 ? ", …" : "")
        + ". Under these names the network scores \(running)."
    case .overfitting:
      let agree = abs(facts.training.accuracy - facts.inference.accuracy) < 0.05
      return "No batch-norm problem: over-fitting. \(running) on photos it was trained on,"
        + " \(percent(facts.heldOut?.accuracy ?? 0)) on photos it was not"
        + (agree
          ? "; both phases agree on the former (\(batch) on batch statistics)."
          : ". (Batch statistics, which it was not trained on, give \(batch).)")
    case .weak:
      return "No batch-norm problem: the network is poor at these photos in both phases"
        + " (\(running) in inference, \(batch) on batch statistics)."
    case .noBatchNorm:
      return "No batch-norm problem: the network has no batch normalisation. It scores \(running)."
    }
  }

  private var alteredVerdict: String {
    guard let original = facts.original else { return "" }
    let (batchNorms, moved) = (facts.layers.count, original.statistics.changed > 0)
    let what =
      moved && original.affine.changed > 0
      ? "scales, shifts and running statistics of \(original.changedLayers.count) of"
        + " \(batchNorms) batch norms are not"
      : moved
        ? "the running statistics of \(original.changedLayers.count) of \(batchNorms) batch norms"
          + " are not"
        : "scales and shifts of \(original.changedLayers.count) of \(batchNorms) batch norms are not,"
          + " though their statistics are"
    let consequence =
      moved
      ? " They moved in training: the frozen layers ran on batch statistics, and the head learned"
        + " from features that inference does not compute."
      : " The layers compute something else than the statistics were taken of."
    return
      "Batch-norm problem: the weights before the head are those of \(original.card) to the bit;"
      + " \(what).\(consequence)"
  }

  private var preprocessingVerdict: String {
    guard let declared = facts.inputs.first, let index = betterInput ?? inputOfHead else {
      return ""
    }
    let other = facts.inputs[index]
    let scores =
      "\(percent(other.results.accuracy)) instead of \(percent(declared.results.accuracy))"
    let fit = [declared.divergence, other.divergence].compactMap(\.self).map(significant)
    let divergence =
      fit.count == 2
      ? " Divergence at the first batch norm: \(fit[0]) as declared, \(fit[1]) as '\(other.name)'."
      : ""
    if betterInput == nil {
      return
        "No batch-norm problem: the head was trained on photos prepared as '\(other.name)', not as"
        + " declared. Prepared so the same photos score \(scores).\(divergence)"
    }
    if isMaterial(declared.results, other.results) {
      return "No batch-norm problem: the preprocessing is wrong. Fed as '\(other.name)' the same"
        + " photos score \(scores).\(divergence)"
    }
    return
      "No batch-norm problem: the preprocessing is wrong. The layers were trained on inputs like"
      + " '\(other.name)'; what is declared is far from their running statistics, and the head has"
      + " learned to live with it.\(divergence)"
  }

  private var names: String {
    let paths = blamed.prefix(4).map { "'\(facts.layers[$0].path)'" }
    return paths.joined(separator: ", ")
  }

  func evidence(_ kind: BatchNormFinding) -> [String] {
    var lines: [String] = []
    let pair = PairedLosses(first: facts.inference, second: facts.training)
    lines.append(
      "Of \(pair.count) photos, \(pair.gained) are right on batch statistics only and \(pair.lost)"
        + " on running statistics only.")
    if let signature = facts.signature { lines.append("Signature: \(signature).") }
    if let known = facts.familiarity {
      let answer: String =
        switch known.answer {
        case .seen: "The network was trained on these photos"
        case .unseen: "The network has not learned these photos"
        case .unknown: "Whether the network was trained on these photos cannot be told"
        }
      let remedy = known.answer == .unknown ? " Say so with --seen yes or no." : ""
      lines.append("\(answer): \(known.reason).\(remedy)")
    }
    if let unseen = facts.unseen {
      let pair = PairedLosses(first: unseen.inference, second: unseen.solved)
      lines.append(
        "Of \(pair.count) photos it has not learned, its own head gets"
          + " \(percent(unseen.inference.accuracy)) right, one solved on the same features without"
          + " them \(percent(unseen.solved.accuracy)); \(pair.gained) only the latter, \(pair.lost)"
          + " only its own.")
    }
    if let original = facts.original {
      let changed = original.weights.changed
      lines.append(
        changed == 0
          ? "Compared with \(original.card): all weights before the head are its own;"
            + " \(original.changedLayers.count) of \(facts.layers.count) batch norms differ."
          : "Compared with \(original.card): \(changed) of \(original.weights.tensors) weights before"
            + " the head differ, so the backbone was trained.")
    }
    if let mode = facts.recordedMode, mode != .inference {
      lines.append("The model file says that frozen batch norms were trained in mode '\(mode)'.")
    }
    for index in kind == .corruptedStatistics ? blamed : [] {
      let layer = facts.layers[index]
      lines.append(
        "\(layer.path): mean shift \(significant(layer.own.meanShift)) running deviations, variance"
          + " ratio \(significant(layer.own.varianceRatio)), divergence"
          + " \(significant(layer.own.divergence)); out of line with the layers around it.")
    }
    if kind == .healthy, facts.training.accuracy < facts.inference.accuracy - 0.02 {
      lines.append(
        "Batch statistics do worse than running ones, as they should on a network that was trained"
          + " on the latter.")
    }
    return lines
  }

  private func percent(_ share: Double) -> String { "\((share * 1000).rounded() / 10) %" }

  private func significant(_ value: Double) -> String {
    let digits = value >= 100 ? 1.0 : value >= 1 ? 100.0 : 1000.0
    return "\((value * digits).rounded() / digits)"
  }
}
