// SPDX-License-Identifier: Apache-2.0

import ThawConsole
import ThawFiles
import ThawNetwork

/// The verdict and what it rests on, in words.
extension BatchNormJudge {
  func verdict(_ kind: BatchNormFinding) -> String {
    let (running, batch) = (percent(facts.inference.accuracy), percent(facts.training.accuracy))
    let phases = "the same photos score \(batch) on batch statistics and \(running) on running ones"
    switch kind {
    case .healthy:
      return "No batch-norm problem: \(running) in inference, \(batch) on batch statistics."
    case .batchStatistics where !isPhaseWorse:
      return "\(Self.otherWay) On these photos a new head gets"
        + " \(percent(facts.heads?.solved.accuracy ?? 0)) on running statistics, this one"
        + " \(percent(facts.heads?.own.accuracy ?? 0)), and it gains by batch statistics what no new"
        + " head does."
    case .batchStatistics:
      return "\(Self.otherWay) Now \(phases)."
    case .alteredBatchNorms:
      return alteredVerdict
    case .undertrained:
      return "No batch-norm problem: the head is poor. One solved on the same features gets"
        + " \(percent(facts.heads?.solved.accuracy ?? 0)) of photos that it has not seen, this one"
        + " \(percent(facts.heads?.own.accuracy ?? 0))."
    case .cannotTell:
      let count = facts.inference.isRight.count
      return
        "Cannot tell from \(counted(count, "photo")): \(running) in inference, \(batch) on batch"
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
        + " \(percent(other?.results.accuracy ?? 0)) instead of"
        + " \(percent(other?.asItIs.accuracy ?? 0))."
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

  private static let otherWay =
    "Batch-norm problem: the network was trained in one way and is used in another. While its head"
    + " learned, batch norms scaled by the statistics of each batch; in use they scale by running ones,"
    + " for which the head was not made."

  private var alteredVerdict: String {
    guard let original = facts.original else { return "" }
    if original.isRounded {
      return
        "Batch-norm problem: the running statistics were rounded when the network was saved. Those"
        + " of \(original.changedLayers.count) of \(facts.layers.count) batch norms are those of"
        + " \(original.card) in a few bits, while the weights before the head are its own."
    }
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
    let cause =
      moved
      ? "frozen layers changed while the head was trained, because their batch norms ran on the"
        + " statistics of each batch and kept averages of them"
      : "frozen layers compute something else than their running statistics were taken of"
    return
      "Batch-norm problem: \(cause). The weights before the head are those of \(original.card) to the"
      + " bit; \(what)."
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
      "Of \(counted(pair.count, "photo")), \(pair.gained) are right on batch statistics only and \(pair.lost)"
        + " on running statistics only.")
    if let signature = facts.signature { lines.append("Signature: \(signature).") }
    if let known = facts.familiarity {
      lines.append(known.sentence)
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

  private func percent(_ share: Double) -> String { Format.percent(share) }

  private func significant(_ value: Double) -> String {
    let digits = value >= 100 ? 1.0 : value >= 1 ? 100.0 : 1000.0
    return "\((value * digits).rounded() / digits)"
  }
}

extension Familiarity {
  /// The answer and why.
  var sentence: String {
    let assumed: String =
      switch answer {
      case .seen: "The network is taken to know these photos"
      case .unseen: "The network is taken not to know these photos"
      case .unknown: "Whether the network was trained on these photos cannot be told"
      }
    let remedy = answer == .unknown ? " Say so with --seen yes or no." : ""
    return "\(assumed): \(reason).\(remedy)"
  }
}
