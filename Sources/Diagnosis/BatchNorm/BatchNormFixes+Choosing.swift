// SPDX-License-Identifier: Apache-2.0

import Glibc
import ThawTensors

extension BatchNormFixes {
  /// Accuracy that one nat of loss is worth when fixes are compared. On a hundred photos accuracies
  /// are off by several points; the loss sees how nearly each photo was right, and errs less.
  static let accuracyPerLoss = 0.5
  /// Head start of what belongs together: the checkpoint's batch norms and weights, or a head and the
  /// statistics under which it knows its training photos best.
  static let accuracyOfBelonging = 0.03
  /// What a fix must be better by where nothing is wrong.
  static let accuracyOfChange = 0.02

  /// Among honest numbers the fix with the highest merit, see ``Outcome/merit``. A biased number never
  /// beats an honest one, except where the training photos say that the network's own head belongs to
  /// the statistics put back. Nothing is recommended that does not beat the network as it is, where
  /// that can be said.
  func recommendBest(_ diagnosis: inout BatchNormDiagnosis) {
    let names = diagnosis.fixes.map(\.name)
    if !hasUnseenPhotos,
      let kept = names.first(where: { belongs($0) && isExpectedToWin($0, names) })
    {
      diagnosis.recommendedFix = kept
    } else {
      let best = comparable(names).max { merit($0) < merit($1) }
      guard let best, isWorthwhile(best) else { return }
      diagnosis.recommendedFix = best
    }
    guard let leader = diagnosis.recommendedFix.flatMap({ outcomes[$0] }) else { return }
    for index in diagnosis.fixes.indices {
      guard let own = outcomes[diagnosis.fixes[index].name], own.bias == leader.bias else {
        continue
      }
      let pair = PairedLosses(first: own.results, second: leader.results)
      diagnosis.fixes[index].sufficient = pair.gained - pair.lost <= 1
    }
  }

  /// The fixes whose numbers may be compared: honest ones, else those of new heads, which have not
  /// learned the photos by heart even where the features have, or, when a network was damaged after its
  /// training, those of its own head.
  private func comparable(_ names: [String]) -> [String] {
    let honest = names.filter { outcomes[$0]?.bias == nil }
    guard honest.isEmpty else { return honest }
    let isDamage = [.corruptedStatistics, .initialStatistics].contains(judgement.kind)
    let alike = names.filter { outcomes[$0]?.network.hasNewHead != isDamage }
    return alike.isEmpty ? names : alike
  }

  private func merit(_ name: String) -> Double {
    guard let outcome = outcomes[name] else { return -.infinity }
    let fits = name == (changesBatchNorms ? "restore-head" : "head") || belongs(name)
    return outcome.merit + (fits ? BatchNormFixes.accuracyOfBelonging : 0)
  }

  /// Whether batch norms differ from those that belong to the weights.
  private var changesBatchNorms: Bool {
    !canRestore || examination.facts.original?.changedLayers.isEmpty == false
  }

  /// Whether a fix keeps a head that knows its training photos best under what the fix puts back: the
  /// network was damaged after its training, and is what it was.
  private func belongs(_ name: String) -> Bool {
    guard examination.facts.familiarity?.answer == .seen || !hasUnseenPhotos,
      ["restore", "recalibrate-layers", "epsilon", "contract", "names"].contains(name),
      let fix = outcomes[name]?.onFixing, let asItIs
    else { return false }
    let others = [asItIs.onFixing, examination.facts.training]
    return others.allSatisfy { fix.loss <= $0.loss && fix.accuracy >= $0.accuracy }
  }

  /// Whether a head made for the features that a fix gives can be expected to do about as well as the
  /// best fix whose number is honest.
  private func isExpectedToWin(_ name: String, _ names: [String]) -> Bool {
    guard let expected = outcomes[name]?.expectedMerit else { return true }
    let honest = names.filter { outcomes[$0]?.bias == nil }.map(merit).max() ?? -.infinity
    return expected >= honest - 2 * BatchNormFixes.accuracyOfBelonging
  }

  /// Whether a fix beats the network as it is, as far as that can be said.
  private func isWorthwhile(_ name: String) -> Bool {
    guard let fix = outcomes[name], let asItIs else { return false }
    let needed = judgement.kind.isBatchNormProblem ? 0 : BatchNormFixes.accuracyOfChange
    if asItIs.bias == nil || fix.bias != nil { return merit(name) > asItIs.merit + needed }
    // The network knows these photos; worse than a head that does not, it is poor.
    let pair = PairedLosses(first: asItIs.results, second: fix.results)
    let changed = Double(max(pair.gained + pair.lost, 1)).squareRoot()
    return judgement.kind.isBatchNormProblem || Double(pair.gained - pair.lost) > 2 * changed
  }
}

extension BatchNormFixes.Outcome {
  /// Collects what came of a fix; `scores` are logits of the photos that judge.
  init(
    network: BatchNormFixes.Repaired, scores: Tensor<Float>, labels: [Int],
    onFixing: PhotoResults, bias: String?
  ) {
    self.network = network
    self.onFixing = onFixing
    self.bias = bias
    results = PhotoResults(scores, labels)
    merit = BatchNormFixes.Outcome.merit(of: scores, labels)
  }

  /// Accuracy of logits less what their loss after calibration says about new photos.
  static func merit(of scores: Tensor<Float>, _ labels: [Int]) -> Double {
    PhotoResults(scores, labels).accuracy
      - BatchNormFixes.accuracyPerLoss * scores.calibratedLoss(labels)
  }
}

extension Tensor<Float> {
  /// Mean loss of logits after division by the temperature that suits them best; no photo counts for
  /// more than 4.
  ///
  /// How sure a head is of itself says nothing about how often it is right.
  fileprivate func calibratedLoss(_ labels: [Int]) -> Double {
    let temperatures = (-6...18).map { exp(Double($0) / 4) }
    let losses = temperatures.map { temperature in
      let scaled = Tensor(elements.map { $0 / Float(temperature) }, shape: shape)
      return scaled.crossEntropies(labels).reduce(0) { $0 + ($1 < 4 ? $1 : 4) }
    }
    return (losses.min() ?? 0) / Double(Swift.max(labels.count, 1))
  }
}
