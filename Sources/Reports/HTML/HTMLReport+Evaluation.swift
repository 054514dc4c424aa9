// SPDX-License-Identifier: Apache-2.0

import Glibc
import ThawConsole
import ThawTraining

/// How good the network is, as a whole and for each class.
extension HTMLReport {
  /// Above this many classes charts show the worst ones and tables are folded.
  static var manyClasses: Int { 30 }

  var evaluationSection: Section? {
    guard let evaluation = content.evaluation else { return nil }
    return Section(
      id: "evaluation", title: "How good it is",
      body: comparison + metrics + perClass(evaluation.classMetrics))
  }

  /// A number of the whole result, and what it says.
  struct Measure {
    let name: String
    let meaning: String
    let value: (Evaluation) -> String
  }

  private var measures: [Measure] {
    content.evaluation?.severalLabels == true ? labelMeasures : classMeasures
  }

  private var classMeasures: [Measure] {
    [
      Measure(
        name: "Accuracy", meaning: "Share of the photos whose first answer is the labelled class."
      ) { percent($0.accuracy) },
      Measure(
        name: "95 % interval",
        meaning: "Where the accuracy would lie if very many photos like these were judged."
      ) {
        let range = $0.accuracyInterval
        return "\(percent(range.lowerBound)) to \(percent(range.upperBound))"
      },
      Measure(
        name: "Loss",
        meaning: "Punishes sure mistakes most: 0 is perfect, and guessing blindly would give"
          + " \(decimals(blindLoss))."
      ) { decimals($0.loss) },
      Measure(
        name: "Macro F1",
        meaning: "The F1 of the classes (below), averaged so that a small class counts like a"
          + " large one; 1 is perfect."
      ) { decimals($0.macroF1) },
      Measure(
        name: "AUC",
        meaning: "How often a photo of a class gets a higher probability for it than a photo of"
          + " another class does; 1 is perfect, 0.5 is chance."
      ) { decimals($0.auc) },
    ]
  }

  /// The loss of giving every class the same probability.
  private var blindLoss: Double { log(Double(content.evaluation?.perClass.count ?? 1)) }

  private var metrics: Markup {
    let looks = content.looks
    guard let first = looks.first else { return "" }
    let isAlone = looks.count == 1
    let columns =
      [Column("Measure")]
      + looks.map { Column(isAlone ? "Value" : $0.name, numeric: true) }
    let photos = counted(first.evaluation.count, "\(splitName(first.evaluation.split)) photo")
    let judged = isAlone ? "\(photos), \(first.name)." : "\(photos), looked at in several ways."
    let rows = measures.map { measure in
      [term(measure.name, measure.meaning)]
        + looks.map { "\(measure.value($0.evaluation))" as Markup }
    }
    return "<h3>As a whole</h3>" + paragraph("Measured on \(judged)")
      + table(columns, rows, caption: "Measures of the whole result", stacks: looks.count > 1)
  }

  /// A split's name before "photos"; quoted where it is none of the usual ones.
  private func splitName(_ split: String) -> String {
    switch split {
    case "valid": "validation"
    case "train": "training"
    case "test": "test"
    default: "'\(split)'"
    }
  }

  /// What fine-tuning was worth.
  private var comparison: Markup {
    guard let found = content.comparison else { return "" }
    let columns = [
      Column("What trained"), Column("Right", numeric: true), Column(accuracyName, numeric: true),
    ]
    let rows = compared(found).map {
      ["\($0.name)", "\($0.right)", "\(percent($0.accuracy))"] as [Markup]
    }
    return "<h3>What fine-tuning was worth</h3>"
      + "<p>First only a new last layer, the head, was trained; then the whole or a part of the"
      + " network, which is fine-tuning. The same photos, one view of each:</p>\n"
      + table(columns, rows, caption: "The head alone against the fine-tuned network")
      + paragraph(worth(of: found))
  }

  private func compared(_ found: ReportContent.Comparison)
    -> [(name: String, right: String, accuracy: Double?)]
  {
    func right(_ count: Int) -> String {
      "\(Format.grouped(count)) of \(Format.grouped(found.head.count))"
    }
    let (head, tuned) = (found.head, found.tuned)
    guard content.network?.keepsHead == true else {
      return [
        ("The head alone", right(head.correct), head.accuracy),
        ("Fine-tuned as well", right(tuned.correct), tuned.accuracy),
      ]
    }
    let kept = ("The head alone (kept)", right(head.correct), Double?.some(head.accuracy))
    // What was set aside is known by its validation photos alone.
    let best = content.history.min { ($0.validLoss ?? .infinity) < ($1.validLoss ?? .infinity) }
    guard head.split == "valid", let accuracy = best?.validAccuracy else { return [kept] }
    let count = Int((accuracy * Double(head.count)).rounded())
    return [kept, ("Best epoch of fine-tuning (set aside)", right(count), accuracy)]
  }

  /// - Source: the sign test of the photos that changed sides (McNemar 1947).
  private func worth(of found: ReportContent.Comparison) -> String {
    if content.network?.keepsHead == true {
      return "Fine-tuning did not lower the validation loss, so its weights were set aside and the"
        + " head's model was kept."
    }
    guard found.gained + found.lost > 0 else {
      return
        "Fine-tuning turned no wrong answer into a right one, and no right one into a wrong one."
    }
    let sides =
      "Fine-tuning put \(counted(found.gained, "photo")) right and got"
      + " \(counted(found.lost, "photo")) wrong that the head had right"
    return sides
      + (Self.signTest(found.gained, found.lost) > 0.05
        ? "; so small a difference may well be chance." : ", which is more than chance does.")
  }

  /// The probability that a fair coin falls at least as unevenly as `first` to `second`.
  static func signTest(_ first: Int, _ second: Int) -> Double {
    let (flips, most) = (first + second, max(first, second))
    func logFactorial(_ count: Int) -> Double { lgamma(Double(count + 1)) }
    let terms = (most...max(flips, most)).map { heads -> Double in
      let ways = logFactorial(flips) - logFactorial(heads) - logFactorial(flips - heads)
      return exp(ways - Double(flips) * log(2))
    }
    return min(2 * terms.reduce(0, +), 1)
  }

  private func perClass(_ classes: [ConfusionMatrix.ClassMetrics]) -> Markup {
    if let evaluation = content.evaluation, evaluation.severalLabels {
      return labelsTable(evaluation) + classTerms
    }
    let table = perClassTable(classes)
    guard classes.count > Self.manyClasses else {
      return """
        <div class="charts"><div><h3>Each class</h3>\(table)\(classTerms)</div>\
        <div><h3>Recall, precision, F1</h3>\(perClassChart(classes))</div></div>

        """
    }
    let worst = classes.enumerated().sorted {
      ($0.element.f1 ?? 2, $0.offset) < ($1.element.f1 ?? 2, $1.offset)
    }.prefix(Self.manyClasses).map(\.element)
    return folded("All \(classes.count) classes as a table", table)
      + halves("The \(worst.count) classes with the lowest F1", worst, perClassChart) + classTerms
  }

  private var classTerms: Markup {
    definitions([
      ("Recall", "of the photos labelled with the class, the share that was found."),
      ("Precision", "of the photos taken for the class, the share that belongs to it."),
      ("F1", "both in one number: high only where recall and precision are."),
    ])
  }

  private func perClassTable(_ classes: [ConfusionMatrix.ClassMetrics]) -> Markup {
    let columns =
      [Column("Class")]
      + ["Photos", "Recall", "Precision", "F1"].map { Column($0, numeric: true) }
    let rows = classes.map { metrics -> [Markup] in
      [
        name(metrics.name), "\(Format.grouped(metrics.count))", "\(percent(metrics.recall))",
        "\(percent(metrics.precision))", "\(percent(metrics.f1))",
      ]
    }
    return table(columns, rows, caption: "Metrics of each class")
  }

  private func perClassChart(_ classes: [ConfusionMatrix.ClassMetrics]) -> Markup {
    BarChart(
      title: "Recall, precision and F1 of each class", categories: classes.map(\.name),
      series: [
        ("Recall", classes.map { $0.recall ?? .nan }),
        ("Precision", classes.map { $0.precision ?? .nan }),
        ("F1", classes.map { $0.f1 ?? .nan }),
      ], arrangement: .grouped, maximum: 1, isPercent: true
    ).svg
  }
}
