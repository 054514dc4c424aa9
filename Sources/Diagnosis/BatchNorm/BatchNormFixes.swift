// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
import ThawBackbones
import ThawCheckpoints
import ThawConsole
package import ThawExecution
import ThawFiles
package import ThawImages
package import ThawInference
package import ThawNetwork
import ThawOneDNN
package import ThawTensors
import ThawTraining

/// Tries what could put a network right, and judges it on photos that neither the fix nor the network
/// has learned from, or says that the number is biased.
///
/// Every fix is a choice of statistics (as they are, computed anew, or the pretrained checkpoint's)
/// and of a head (the network's own, or one solved on the features that result). The network's own
/// head knows the photos it was trained on, so there its accuracy says nothing; a new head is judged
/// by cross-validation, which is fair as long as no layer before it has learned from the labels.
package final class BatchNormFixes {
  /// A network put right.
  package struct Repaired {
    package var graph: Graph
    package var parameters: Parameters
    package var classNames: [String]
    package var preprocessing: Preprocessing
    /// Whether the head was replaced by a single layer.
    package var hasNewHead = false
  }

  /// What came of a fix.
  struct Outcome {
    var network: Repaired
    /// Of the photos that judge.
    var results: PhotoResults
    /// Share of the photos it learned from that it gets right.
    var accuracyOnFixing: Double
    /// See ``BatchNormDiagnosis/Fix/bias``.
    var bias: String?
  }

  package let classifier: Classifier
  package let examination: BatchNormExamination
  package let judgement: BatchNormJudgement
  package let seed: UInt64
  package let context: StageContext
  private(set) var outcomes: [String: Outcome] = [:]
  private(set) var asItIs: Outcome?
  /// Features under statistics that several fixes share, by name.
  var featuresUnder: [String: Judged] = [:]
  /// Statistics computed anew, by the layers they are of; nil for all.
  var recalibrations: [Set<ParameterPath>?: Parameters] = [:]

  package init(
    _ classifier: Classifier, _ examination: BatchNormExamination,
    _ judgement: BatchNormJudgement,
    seed: UInt64, context: StageContext
  ) {
    self.classifier = classifier
    self.examination = examination
    self.judgement = judgement
    self.seed = seed
    self.context = context
  }

  /// The network as it is.
  package var original: Repaired {
    Repaired(
      graph: classifier.graph, parameters: classifier.parameters,
      classNames: classifier.classNames, preprocessing: classifier.preprocessing)
  }

  /// Tries every fix for what was found and notes what came of it.
  package func tryAll(_ diagnosis: inout BatchNormDiagnosis) throws {
    let photos = examination.photos
    guard judged.count >= 4, Set(photos.main.labels).count >= 2, !attempts.isEmpty else { return }
    let baseline = try withOwnHead("as it is", original, statistics: .asTheyAre)
    asItIs = baseline
    diagnosis.asItIs = entry("as it is", "", baseline, seconds: 0)
    for attempt in attempts {
      try Interruption.check()
      context.console.say("Trying: \(attempt.what)")
      let clock = ContinuousClock.now
      guard let outcome = try attempt.make() else { continue }
      outcomes[attempt.name] = outcome
      diagnosis.fixes.append(
        entry(
          attempt.name, attempt.what, outcome, seconds: clock.duration(to: .now) / .seconds(1)))
    }
    recommendBest(&diagnosis)
  }

  private func entry(
    _ name: String, _ what: String, _ outcome: Outcome, seconds: Double
  ) -> BatchNormDiagnosis.Fix {
    let interval = BatchNormFixes.newPhotos(outcome.results.accuracy, outcome.results.isRight.count)
    return BatchNormDiagnosis.Fix(
      name: name, what: what, accuracy: outcome.results.accuracy, loss: outcome.results.loss,
      interval: [interval.lowerBound, interval.upperBound], bias: outcome.bias,
      accuracyOnFixing: outcome.accuracyOnFixing, seconds: seconds, sufficient: false)
  }

  /// Where the accuracy on as many new photos lies in 95 of 100 cases: the error of the measurement
  /// and that of a second one like it.
  package static func newPhotos(_ accuracy: Double, _ count: Int) -> ClosedRange<Double> {
    guard count > 0 else { return 0...1 }
    // Agresti and Coull's two more of each keep shares near 0 and 1 from having no width.
    let n = Double(count) + 4
    let share = (accuracy * Double(count) + 2) / n
    let half = 1.96 * (share * (1 - share) * (1 / n + 1 / Double(count))).squareRoot()
    return min(max(share - half, 0), accuracy)...max(min(share + half, 1), accuracy)
  }

  /// Among honest numbers the highest accuracy; where photos do not tell two apart, the lower loss,
  /// then the cheaper. A biased number never beats an honest one. Nothing is recommended that does
  /// not beat the network as it is, where that can be said.
  private func recommendBest(_ diagnosis: inout BatchNormDiagnosis) {
    let names = diagnosis.fixes.map(\.name)
    let honest = names.filter { outcomes[$0]?.bias == nil }
    let candidates = honest.isEmpty || keepsHead ? names : honest
    guard let first = candidates.first else { return }
    var best = first
    for name in candidates.dropFirst() where isBetter(name, than: best) { best = name }
    if let leader = outcomes[best] {
      for index in diagnosis.fixes.indices where candidates.contains(diagnosis.fixes[index].name) {
        guard let own = outcomes[diagnosis.fixes[index].name] else { continue }
        let pair = PairedLosses(first: own.results, second: leader.results)
        diagnosis.fixes[index].sufficient = pair.gained - pair.lost <= 1
      }
    }
    if let asItIs, let leader = outcomes[best], asItIs.bias == leader.bias || asItIs.bias == nil {
      let pair = PairedLosses(first: asItIs.results, second: leader.results)
      let isWorse = pair.accuracyGain < 0 || (pair.accuracyGain == 0 && pair.difference <= 0)
      if isWorse { return }
    }
    diagnosis.recommendedFix = best
  }

  /// Whether the finding is damage done to a network after its training, so that its head is right.
  private var keepsHead: Bool {
    [.corruptedStatistics, .labelOrder, .preprocessing].contains(judgement.kind)
      && examination.facts.unseen == nil
  }

  private func isBetter(_ name: String, than other: String) -> Bool {
    guard let new = outcomes[name]?.results, let old = outcomes[other]?.results else {
      return false
    }
    let pair = PairedLosses(first: old, second: new)
    let changed = Double(pair.gained + pair.lost).squareRoot()
    let margin = Double(pair.gained - pair.lost)
    // Photos that change sides by no more than chance leave it to the loss.
    if abs(margin) <= max(1, 0.7 * changed) {
      return pair.difference > pair.standardError || (margin > 0 && pair.difference > 0)
    }
    return margin > 0
  }
}
