// SPDX-License-Identifier: Apache-2.0

import Glibc
import ThawConsole
package import ThawDatasets
import ThawDiagnosis
import ThawFiles
import ThawInference
import ThawNetwork
import ThawRecipes
package import ThawRuns
import ThawSearch
import ThawTensors
import ThawTraining

/// What a review is worth: the head trained with the labels as they were and as they are decided to be, both
/// judged by the same validation photos under the decided labels.
package struct ReviewGain: Sendable, Encodable, Equatable {
  /// Training photos that got another class, or were left out.
  package let changed: Int
  /// Validation photos that got another class, or were left out.
  package let changedValidation: Int
  /// Validation photos that both heads are judged by.
  package let count: Int
  /// Right answers of the head with the labels as they were.
  package let correctBefore: Int
  /// Of the head with the decided labels.
  package let correctAfter: Int
  /// Photos that only the second head has right, and only the first.
  package let (gained, lost): (Int, Int)
  /// Mean loss of the two.
  package let (lossBefore, lossAfter): (Double, Double)
  /// Right answers of the first head under the labels as they were: what was measured before.
  package let correctUnderFormerLabels: Int

  private enum CodingKeys: String, CodingKey {
    case changed, changedValidation, count, correctBefore, correctAfter, gained, lost
    case lossBefore, lossAfter, correctUnderFormerLabels, text
  }

  /// With the sentence for people.
  package func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(changed, forKey: .changed)
    try container.encode(changedValidation, forKey: .changedValidation)
    try container.encode(count, forKey: .count)
    try container.encode(correctBefore, forKey: .correctBefore)
    try container.encode(correctAfter, forKey: .correctAfter)
    try container.encode(gained, forKey: .gained)
    try container.encode(lost, forKey: .lost)
    try container.encode(lossBefore, forKey: .lossBefore)
    try container.encode(lossAfter, forKey: .lossAfter)
    try container.encode(correctUnderFormerLabels, forKey: .correctUnderFormerLabels)
    try container.encode(text, forKey: .text)
  }

  /// Trains both heads by the run's recipe, from cached features; the run's files stay as they are.
  ///
  /// - Throws: ``PipelineError/data(_:)`` when nothing was changed or nothing is held out;
  ///   ``PipelineError/usage(_:)`` where photos may have several labels.
  package init(_ run: OpenRun, _ decisions: ReviewDecisions) throws {
    try run.requireOneLabel()
    let records = run.manifest.records
    let decided = records.map { $0.decided(decisions) }
    func rows(_ split: Split) -> [Int] { records.indices.filter { records[$0].split == split } }
    func isChanged(_ row: Int) -> Bool { decided[row]?.className != records[row].className }
    let (training, validation) = (rows(.train), rows(.valid))
    changed = training.count(where: isChanged)
    changedValidation = validation.count(where: isChanged)
    guard changed + changedValidation > 0 else {
      throw PipelineError.data(
        "the decisions change no photo of the run as it is prepared: either all are 'keep', or"
          + " thaw prepare has applied them already.")
    }
    let judged = validation.filter { decided[$0] != nil }
    guard !judged.isEmpty else {
      throw PipelineError.data("no validation photo is left to measure by.")
    }
    let after = training.compactMap { decided[$0] }
    let missing = run.manifest.classes.filter { name in !after.contains { $0.className == name } }
    guard missing.isEmpty else {
      throw PipelineError.data(
        "no training photo would be left of \(missing.map { "'\($0)'" }.joined(separator: ", ")).")
    }
    let indices = run.manifest.classIndices
    let truth = judged.map { indices[decided[$0]?.className ?? ""] ?? 0 }
    let former = judged.map { indices[records[$0].className] ?? 0 }
    let heads = HeadTraining(run)
    var recipe = run.recipe
    // No photo is to choose the epoch: those of the second head have other labels.
    recipe.fineTune.enabled = false
    let network = try heads.network(recipe)
    let classes = run.manifest.classes.count
    func results(_ training: [Manifest.Record]) throws -> (right: [Bool], former: Int, loss: Double)
    {
      do {
        let parameters = try heads.train(network, recipe, on: training)
        let logits = try heads.logits(
          network, recipe, parameters, of: judged.map { records[$0] })
        let probabilities = Probabilities.softmax(logits)
        let answers = Probabilities.predictions(probabilities)
        let loss = truth.enumerated().reduce(0.0) {
          $0 - log(max(Double(probabilities[$1.offset * classes + $1.element]), 1e-12))
        }
        return (
          zip(answers, truth).map { $0 == $1 }, zip(answers, former).count { $0 == $1 },
          loss / Double(truth.count)
        )
      } catch let failure as SearchFailure { throw PipelineError.data("\(failure)") }
    }
    let progress = run.context.console.progress("Training heads", total: 2)
    let one = try results(training.map { records[$0] })
    progress.advance()
    let other = try results(after)
    progress.finish()
    count = judged.count
    correctBefore = one.right.count { $0 }
    correctAfter = other.right.count { $0 }
    gained = zip(one.right, other.right).count { !$0 && $1 }
    lost = zip(one.right, other.right).count { $0 && !$1 }
    (lossBefore, lossAfter) = (one.loss, other.loss)
    correctUnderFormerLabels = one.former
  }

  /// For people.
  package var text: String {
    func share(_ right: Int) -> String {
      "\(right) of \(count) (\(Format.percent(Double(right) / Double(count))))"
    }
    let sigma = Double(gained - lost) / Double(max(gained + lost, 1)).squareRoot()
    let judgement =
      gained == lost
      ? "No difference in right answers."
      : abs(sigma) > 2
        ? "More than chance." : "Within chance: \(counted(gained + lost, "photo")) changed sides."
    return
      "Validation photos right under the decided labels: \(share(correctBefore)) with the labels as they were,"
      + " \(share(correctAfter)) with the decided ones (\(gained) won, \(lost) lost; loss"
      + " \(Format.fixed(lossBefore, 4)) and \(Format.fixed(lossAfter, 4))). \(judgement)"
      + (changedValidation > 0
        ? " Under the former labels the first head had \(share(correctUnderFormerLabels)):"
          + " \(counted(changedValidation, "validation photo")) relabelled or left out, so that something"
          + " else is measured."
        : "")
  }
}

extension Manifest.Record {
  /// The photo as it is decided to be; nil when it is left out.
  fileprivate func decided(_ decisions: ReviewDecisions) -> Manifest.Record? {
    guard let decision = decisions.decision(sha256: sha256, path: path) else { return self }
    switch (decision.action, decision.label) {
    case (.drop, _): return nil
    case (.relabel, let label?): return named(label)
    default: return self
    }
  }
}
