// SPDX-License-Identifier: Apache-2.0

import ThawBackbones
import ThawCheckpoints
import ThawConsole
import ThawFiles
package import ThawImages
package import ThawInference
package import ThawNetwork
import ThawOneDNN
import ThawTensors
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
    let network: Repaired
    /// Of the photos that judge.
    let results: PhotoResults
    /// Of the photos it learned from.
    let onFixing: PhotoResults
    /// How good it is at each photo: 1 if it is right, less what its loss after calibration says about
    /// new photos.
    let merits: [Double]
    /// See ``BatchNormDiagnosis/Fix/bias``.
    let bias: String?
    /// New heads on the same features, by cross-validation: what to expect of a head that was made for
    /// them, where its own number is biased.
    var expected: Tensor<Float>?
  }

  package let classifier: Classifier
  package let examination: BatchNormExamination
  package let judgement: BatchNormJudgement
  package let seed: UInt64
  package let context: StageContext
  private(set) var outcomes: [String: Outcome] = [:]
  private(set) var asItIs: Outcome?

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

  /// The network, with the class names in the order in which its outputs answer.
  var original: Repaired {
    Repaired(
      graph: classifier.graph, parameters: classifier.parameters, classNames: namesByOutput,
      preprocessing: classifier.preprocessing)
  }

  private var namesByOutput: [String] {
    var names = classifier.classNames
    for (class_, output) in examination.moved { names[output] = classifier.classNames[class_] }
    // Outputs that took no class keep a name of their own.
    var seen: Set<String> = []
    for index in names.indices where !seen.insert(names[index]).inserted {
      names[index] += " (unused \(index))"
    }
    return names
  }

  /// Tries every fix for what was found and notes what came of it.
  package func tryAll(_ diagnosis: inout BatchNormDiagnosis) throws {
    let photos = examination.photos
    guard judged.count >= 4, Set(photos.main.labels).count >= 2, !attempts.isEmpty else { return }
    let baseline = try unchanged()
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
      accuracyOnFixing: outcome.onFixing.accuracy, seconds: seconds, sufficient: false)
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
}
