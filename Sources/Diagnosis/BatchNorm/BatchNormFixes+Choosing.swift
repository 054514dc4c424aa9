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
  /// Lead over what is expected to be best that counts where the network may have learned the photos.
  /// Its features know them best in the phase it was trained in: that shows how it learned, not what is
  /// right of new photos.
  static let accuracyOfMemory = 0.3
  /// What a fix must be better by than a new head on photos prepared as its own head learned, where
  /// nothing is wrong.
  static let accuracyOfChange = 0.02
  /// Standard errors by which anything must lead what is expected to be best. Of six numbers from a
  /// hundred photos one is ahead by more than one error as a rule.
  static let errorsOfSurprise = 2.0

  /// Among honest numbers the fix that is expected to be best, unless another beats it by more than
  /// chance, see ``best(of:)``. A biased number never beats an honest one, except where
  /// the training photos say that the network's own head belongs to the statistics put back. Nothing is
  /// recommended that does not beat the network as it is, where that can be said.
  func recommendBest(_ diagnosis: inout BatchNormDiagnosis) {
    let names = diagnosis.fixes.map(\.name)
    if !hasUnseenPhotos,
      let kept = names.first(where: { belongs($0) && isExpectedToWin($0, names) })
    {
      diagnosis.recommendedFix = kept
    } else {
      guard let best = best(of: comparable(names)), isWorthwhile(best) else { return }
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

  /// The favourite, unless another leads by more than ``accuracyOfBelonging`` (``accuracyOfMemory`` where
  /// the photos may be known) and by ``errorsOfSurprise``; without a favourite the one with the highest
  /// merit.
  ///
  /// On a hundred photos the best of six numbers is several points too good, and picked for that.
  private func best(of names: [String]) -> String? {
    let highest: ([String]) -> String? = { [self] in $0.max { merit($0) < merit($1) } }
    let restored = canRestore && changesBatchNorms ? "restore-head" : "head"
    guard judgement.kind != .preprocessing || names.contains(where: belongs),
      let favourite = names.first(where: belongs) ?? names.first(where: { $0 == restored }),
      let expected = outcomes[favourite]
    else { return highest(names) }
    let margin =
      expected.bias == nil
      ? BatchNormFixes.accuracyOfBelonging : BatchNormFixes.accuracyOfMemory
    return highest(
      names.filter { name in
        guard let other = outcomes[name] else { return false }
        let lead = other.lead(over: expected)
        return lead.mean > max(margin, BatchNormFixes.errorsOfSurprise * lead.error)
      }) ?? favourite
  }

  /// The fixes whose numbers may be compared: honest ones, else those of new heads, which have not
  /// learned the photos by heart even where the features have, or, when a network was damaged after its
  /// training, those of its own head.
  private func comparable(_ names: [String]) -> [String] {
    let honest = names.filter { outcomes[$0]?.bias == nil }
    guard honest.isEmpty else { return honest }
    let isDamage =
      [.corruptedStatistics, .initialStatistics].contains(judgement.kind)
      || examination.facts.original?.isRounded == true
    let alike = names.filter { outcomes[$0]?.network.hasNewHead != isDamage }
    return alike.isEmpty ? names : alike
  }

  private func merit(_ name: String) -> Double {
    guard let outcome = outcomes[name] else { return -.infinity }
    let fits = name == (changesBatchNorms ? "restore-head" : "head") || belongs(name)
    return outcome.merit + (fits ? BatchNormFixes.accuracyOfBelonging : 0)
  }

  /// Whether batch norms differ from those that belong to the weights.
  var changesBatchNorms: Bool {
    !canRestore || examination.facts.original?.changedLayers.isEmpty == false
  }

  /// Whether a fix keeps a head that belongs to what the fix puts back: the network was damaged after
  /// its training, and is what it was. Its training photos tell, which it knows best as it was; or new
  /// ones, on which its head gains by the change what no new head does; or the numbers themselves. Where
  /// statistics were damaged and training photos and new ones are at hand, a new head has more to learn
  /// from than the old one had.
  private func belongs(_ name: String) -> Bool {
    let facts = examination.facts
    if name == "restore", facts.original?.isRounded == true { return true }
    if name == "restore", hasUnseenPhotos, facts.checkpointPreference?.prefersOther == true,
      let own = outcomes[name], let solved = outcomes["restore-head"]
    {
      return own.lead(over: solved).mean > -BatchNormFixes.accuracyOfBelonging
    }
    // Statistics that moved while the head learned are not those that it learned on.
    if name == "restore", judgement.kind == .alteredBatchNorms { return false }
    if ["restore", "recalibrate-layers"].contains(name), canRestore, hasUnseenPhotos,
      examination.photos.isDivided
    {
      return false
    }
    guard facts.familiarity?.answer == .seen || !hasUnseenPhotos,
      ["restore", "recalibrate-layers", "epsilon", "contract", "names"].contains(name),
      let fix = outcomes[name]?.onFixing, let asItIs
    else { return false }
    return [asItIs.onFixing, facts.training].allSatisfy {
      fix.loss <= $0.loss && fix.accuracy >= $0.accuracy
    }
  }

  /// Whether a head made for the features that a fix gives can be expected to do about as well as the
  /// best fix whose number is honest; where nothing says that, whether the network's own head does about as
  /// well on the photos it may have learned.
  private func isExpectedToWin(_ name: String, _ names: [String]) -> Bool {
    guard let outcome = outcomes[name] else { return false }
    let expected = outcome.expected.map { Outcome.merits(of: $0, judged.labels) } ?? outcome.merits
    return BatchNormFixes.isAboutAsGood(
      expected, as: names.compactMap { outcomes[$0] }.filter { $0.bias == nil }.map(\.merits))
  }

  /// Whether no other is ahead by more than twice ``accuracyOfBelonging`` and by ``errorsOfSurprise``; merits
  /// of the same photos, photo by photo.
  package static func isAboutAsGood(_ merits: [Double], as others: [[Double]]) -> Bool {
    others.allSatisfy { other in
      let lead = BatchNormFixes.lead(of: other, over: merits)
      return lead.mean <= max(2 * accuracyOfBelonging, errorsOfSurprise * lead.error)
    }
  }

  /// How much higher merits are than others of the same photos, and the standard error of that.
  fileprivate static func lead(
    of merits: [Double], over others: [Double]
  ) -> (mean: Double, error: Double) {
    let differences = zip(merits, others).map { $0 - $1 }
    let count = Double(max(differences.count, 1))
    let mean = differences.reduce(0, +) / count
    let squares = differences.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
    return (mean, (squares / max(count - 1, 1) / count).squareRoot())
  }

  /// Whether a fix beats the network as it is, as far as that can be said.
  private func isWorthwhile(_ name: String) -> Bool {
    guard let fix = outcomes[name], let asItIs else { return false }
    // A new head answers for photos that it has not seen, also where the features know them.
    if asItIs.bias != nil, fix.network.hasNewHead, judgement.kind.isBatchNormProblem { return true }
    if asItIs.bias == nil || fix.bias != nil {
      let lead = fix.lead(over: asItIs)
      guard judgement.kind.isBatchNormProblem else {
        if hasMoreToLearnFrom(name) { return lead.mean >= -lead.error }
        return lead.mean > 0 && fix.results.accuracy >= asItIs.results.accuracy
      }
      return merit(name) > asItIs.merit
        || (name == "restore-head" && changesBatchNorms
          && -lead.mean <= BatchNormFixes.errorsOfSurprise * lead.error)
    }
    if judgement.kind.isBatchNormProblem { return true }
    // Prepared as its head learned, the network does about what a new head does on the same features.
    if name != "contract-and-head", let prepared = outcomes["contract-and-head"] {
      let lead = fix.lead(over: prepared)
      return lead.mean > max(BatchNormFixes.accuracyOfChange, lead.error)
    }
    // What a head gets of photos that it has not seen it will get of others; what the network gets of
    // photos that it learned is the most it will get.
    let pair = PairedLosses(first: asItIs.results, second: fix.results)
    return pair.gained >= pair.lost && asItIs.results.accuracy < 1
  }

  /// Whether a fix is a head solved on the training photos and new ones, where training changed nothing but
  /// the head: the same features, and more photos than the old head learned from.
  func hasMoreToLearnFrom(_ name: String) -> Bool {
    outcomes[name]?.network.hasNewHead == true && isHeadAlone && hasUnseenPhotos
      && examination.photos.isDivided
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
    merits = BatchNormFixes.Outcome.merits(of: scores, labels)
  }

  /// The mean over the photos.
  var merit: Double { merits.reduce(0, +) / Double(max(merits.count, 1)) }

  /// How much higher the merit is than another's, photo by photo, and the standard error of that.
  func lead(over other: Self) -> (mean: Double, error: Double) {
    BatchNormFixes.lead(of: merits, over: other.merits)
  }

  /// The mean of ``merits(of:_:)``.
  static func merit(of scores: Tensor<Float>, _ labels: [Int]) -> Double {
    merits(of: scores, labels).reduce(0, +) / Double(max(labels.count, 1))
  }

  /// Of each photo whether it is right, less what its loss after calibration says about new photos.
  static func merits(of scores: Tensor<Float>, _ labels: [Int]) -> [Double] {
    zip(PhotoResults(scores, labels).isRight, scores.calibratedLosses(labels)).map {
      ($0 ? 1 : 0) - BatchNormFixes.accuracyPerLoss * $1
    }
  }
}

extension Tensor<Float> {
  /// Losses of logits after division by the temperature that suits them best; no photo counts for more
  /// than 4.
  ///
  /// How sure a head is of itself says nothing about how often it is right.
  fileprivate func calibratedLosses(_ labels: [Int]) -> [Double] {
    let temperatures = (-6...18).map { exp(Double($0) / 4) }
    let losses = temperatures.map { temperature in
      let scaled = Tensor(elements.map { $0 / Float(temperature) }, shape: shape)
      return scaled.crossEntropies(labels).map { $0 < 4 ? $0 : 4 }
    }
    return losses.min { $0.reduce(0, +) < $1.reduce(0, +) } ?? []
  }
}
