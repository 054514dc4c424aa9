// SPDX-License-Identifier: Apache-2.0

import ThawConsole
import ThawFiles
import ThawTraining

extension Evaluation {
  /// What thresholds make of the photos, and what mistakes cost, for people; nothing without either.
  var decisionLines: [String] { thresholdLines + (costs?.lines ?? []) }

  private var thresholdLines: [String] {
    guard let thresholds, !thresholds.isEmpty else { return [] }
    var table = TextTable("Threshold of", ">From", "Chosen for", ">Precision", ">Recall")
    for one in thresholds {
      table.append([
        one.name, Format.fixed(Double(one.threshold), 3),
        one.measure.map { "a \($0.rawValue) of \(Format.percent(one.wanted ?? 0))" } ?? "given",
        Self.text(one.precision, one.precisionInterval), Self.text(one.recall, one.recallInterval),
      ])
    }
    var lines = [table.text(width: OutputSink.tableColumns)]
    for one in thresholds where one.isUncertain {
      lines.append(
        "'\(VisibleText.escape(one.name))': \(one.count ?? 0) \(one.split ?? "") photos chose it, so few that other"
          + " photos may well get less than the \(Format.percent(one.wanted ?? 0)) that are wanted."
      )
    }
    if let decisions { lines += decisions.lines(by: "By these thresholds") }
    return lines
  }

  fileprivate static func text(_ share: Double?, _ interval: [Double]?) -> String {
    guard let share else { return "-" }
    guard let interval, interval.count == 2 else { return Format.percent(share) }
    return
      "\(Format.percent(share)) (\(Format.percent(interval[0])) to \(Format.percent(interval[1])))"
  }
}

extension DecisionResult {
  /// How many photos got an answer, and what the answers of each class are worth.
  func lines(by what: String) -> [String] {
    var table = TextTable("Class", ">Photos", ">Called so", ">Precision", ">Recall")
    for one in perClass where one.count + one.answered > 0 {
      table.append([
        one.name, "\(one.count)", "\(one.answered)",
        Evaluation.text(one.precision, one.precisionInterval),
        Evaluation.text(one.recall, one.recallInterval),
      ])
    }
    let answered = count - undecided
    return [
      "\(what): \(counted(answered, "photo")) of \(count) answered, \(correct) of them right"
        + " (\(Evaluation.text(accuracyOfAnswered, accuracyInterval))), \(undecided) undecided.",
      table.text(width: OutputSink.tableColumns),
    ]
  }
}

extension CostResult {
  fileprivate var lines: [String] {
    func text(_ cost: MeanCost) -> String {
      "\(Format.significant(cost.mean, 4)) (95 % interval \(Format.significant(cost.interval[0], 4)) to"
        + " \(Format.significant(cost.interval[1], 4)))"
    }
    let off = abs(expected - cheapest.mean)
    let isOff = expected < cheapest.interval[0] || expected > cheapest.interval[1]
    return [
      "A photo costs \(text(mostProbable)) when the most probable class is answered, \(text(cheapest)) with"
        + " the cheapest answers: \(text(saving)) saved.",
      "By the model's own probabilities the cheapest answers cost \(Format.significant(expected, 4))"
        + (isOff
          ? ", which is off by \(Format.significant(off, 3)): its probabilities are not to be believed that far."
          : "."),
    ] + answers.lines(by: "By the cheapest answers")
  }
}
