// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Decides between contracts by their evidence.
///
/// A healthy network must not be accused because its photos are peculiar, so a contract has to be
/// better than the declared one by more than photos alone bring about, in nearly all resamples of the
/// photos, and a witness that contradicts (the classifier's own answers) is heard.
package struct ContractJudgement: Sendable {
  /// The answer.
  package let status: PreprocessingDiagnosis.Status
  /// Index of the best contract; the declared one when that is as good as the best.
  package let best: Int
  /// How many times the declared contract's divergence is that of the best one.
  package let ratio: Double
  /// By how much the answers are better under the best contract than the declared one, nats; nil when not asked.
  package let gain: Double?
  /// Share of resamples in which the best contract wins.
  package let certainty: Double
  /// Why the evidence does not decide; nil when it does.
  package let doubt: Doubt?

  /// Why the evidence does not decide.
  package enum Doubt: String, Sendable {
    /// Fewer than ``fewestPhotos``.
    case fewPhotos
    /// Another contract fits a little better.
    case nearTie
    /// The running statistics speak for another contract and the classifier's answers against it.
    case contradiction
    /// No contract fits: the photos, or the network, are unlike anything known.
    case nothingFits
    /// Nothing was learned that could be compared with.
    case untrained
  }

  /// Fewer photos decide nothing but errors of the range.
  package static let fewestPhotos = 8
  /// A divergence this many times the best one is an error of the range, whatever the photos.
  package static let blatant = 8.0
  /// Needed without, and...
  package static let clear = 1.5
  /// ...with a classifier that agrees.
  package static let supported = 1.08
  /// Share of resamples that must agree.
  package static let certain = 0.95
  /// Nats by which ``HeadResponse/score`` must rise for the classifier to agree, or fall to contradict.
  package static let telling = 0.1
  /// A best divergence above this fits nothing.
  package static let unfit = 0.6

  /// Judges contracts with divergences at batch norms.
  ///
  /// - Parameters:
  ///   - declared: indices of the declared contract (first) and of those that no network could tell
  ///     from it.
  ///   - headIsWitness: whether the classifier was not itself trained under the declared contract, so
  ///     that answers which speak against another one mean something.
  package init(
    batchNorms evidence: [ContractEvidence], declared: [Int], photos: Int, headIsWitness: Bool
  ) {
    let divergences = evidence.map { $0.divergence ?? .infinity }
    let winner = divergences.indices.min { divergences[$0] < divergences[$1] } ?? declared[0]
    let own = declared[0]
    let best = declared.contains(winner) ? own : winner
    self.best = best
    ratio = divergences[own] / max(divergences[best], 1e-9)
    certainty = ContractJudgement.share(evidence[best].resampled, below: evidence[own].resampled)
    gain = ContractJudgement.gain(evidence[best], over: evidence[own])
    guard best != own else {
      (status, doubt) =
        divergences[own] > ContractJudgement.unfit
        ? (.undecided, .nothingFits) : (.consistent, nil)
      return
    }
    let agreement = ContractJudgement.agreement(evidence[best], evidence[own])
    let contradicts = headIsWitness && agreement == .against
    if divergences[best] > ContractJudgement.unfit, ratio < 50 {
      (status, doubt) = (.undecided, .nothingFits)
      return
    }
    (status, doubt) = ContractJudgement.decide(
      ratio: ratio, certainty: certainty, photos: photos, supports: agreement == .with,
      contradicts: contradicts)
  }

  /// No judgement: the batch norms remember nothing, and answers of such a network say nothing.
  package init(untrained declared: Int) {
    (status, best, doubt) = (.undecided, declared, .untrained)
    (ratio, gain, certainty) = (1, nil, 0)
  }

  /// Judges contracts by the classifier's answers alone.
  package init(heads evidence: [ContractEvidence], declared: [Int], photos: Int, classes: Int) {
    let scores = evidence.map { $0.head?.score ?? -.infinity }
    let winner = scores.indices.max { scores[$0] < scores[$1] } ?? declared[0]
    let own = declared[0]
    let best = declared.contains(winner) ? own : winner
    self.best = best
    let lead = scores[best] - scores[own]
    gain = lead
    ratio = exp(lead)
    certainty = ContractJudgement.share(
      evidence[own].resampledScores, below: evidence[best].resampledScores)
    // Random weights: answers hardly leave the uniform ones under any contract in the usual range.
    if scores[best] < -0.9 * log(Double(classes)) {
      (status, doubt) = (.undecided, .untrained)
    } else if best == own {
      (status, doubt) = (.consistent, nil)
    } else if photos < ContractJudgement.fewestPhotos && lead < 2 {
      (status, doubt) = (.undecided, .fewPhotos)
    } else if lead >= ContractJudgement.lead, certainty >= ContractJudgement.certain {
      (status, doubt) = (.wrong, nil)
    } else if lead < ContractJudgement.telling {
      (status, doubt) = (.consistent, nil)
    } else {
      (status, doubt) = (.undecided, .nearTie)
    }
  }

  /// Nats by which the score must rise when there is no other evidence.
  package static let lead = 0.35

  private static func decide(
    ratio: Double, certainty: Double, photos: Int, supports: Bool, contradicts: Bool
  ) -> (PreprocessingDiagnosis.Status, Doubt?) {
    if ratio >= blatant { return contradicts ? (.undecided, .contradiction) : (.wrong, nil) }
    if photos < fewestPhotos { return (.undecided, .fewPhotos) }
    let isCertain = certainty >= certain
    if isCertain, ratio >= clear, !contradicts { return (.wrong, nil) }
    if isCertain, ratio >= supported, supports { return (.wrong, nil) }
    if contradicts { return ratio >= clear ? (.undecided, .contradiction) : (.consistent, nil) }
    return ratio >= 1.2 ? (.undecided, .nearTie) : (.consistent, nil)
  }

  private enum Agreement { case with, against, silent }

  /// What the classifier's answers say about `best` against `own`.
  private static func agreement(
    _ best: ContractEvidence, _ own: ContractEvidence
  ) -> Agreement {
    guard let gain = gain(best, over: own) else { return .silent }
    let wins = share(own.resampledScores, below: best.resampledScores)
    if gain >= telling, wins >= certain { return .with }
    return gain <= -telling && wins <= 1 - certain ? .against : .silent
  }

  private static func gain(_ best: ContractEvidence, over own: ContractEvidence) -> Double? {
    guard let after = best.head, let before = own.head else { return nil }
    return after.score - before.score
  }

  /// Share of resamples in which `first` is below `second`.
  private static func share(_ first: [Double], below second: [Double]) -> Double {
    guard !first.isEmpty, first.count == second.count else { return 0 }
    return Double(zip(first, second).count { $0 < $1 }) / Double(first.count)
  }
}
