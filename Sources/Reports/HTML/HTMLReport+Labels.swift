// SPDX-License-Identifier: Apache-2.0

import Glibc
import ThawConsole
import ThawTraining

/// How good a network is where photos may have several labels.
extension HTMLReport {
  /// What the share of right answers is called: of a photo that may have several labels all must be right.
  var accuracyName: String {
    content.manifest?.severalLabels == true ? "All labels right" : "Accuracy"
  }

  var labelMeasures: [Measure] {
    [
      Measure(
        name: "Mean average precision",
        meaning:
          "How well each class's photos come before all others when they are ordered by their"
          + " probability of it, averaged over the classes; 1 is perfect, and does not depend on"
          + " thresholds."
      ) { decimals($0.meanAveragePrecision) },
      Measure(
        name: "All labels right",
        meaning:
          "Share of the photos that got all of their labels and no other: a strict measure, as one"
          + " label too many or too few makes a photo wrong."
      ) { percent($0.accuracy) },
      Measure(
        name: "95 % interval",
        meaning: "Where that share would lie if very many photos like these were judged."
      ) {
        let range = $0.accuracyInterval
        return "\(percent(range.lowerBound)) to \(percent(range.upperBound))"
      },
      Measure(
        name: "Macro F1",
        meaning:
          "The F1 of the classes (below), averaged so that a small class counts like a large one; 1"
          + " is perfect."
      ) { decimals($0.macroF1) },
      Measure(
        name: "Micro F1", meaning: "The F1 of all labels taken together; 1 is perfect."
      ) { decimals($0.microF1) },
      Measure(
        name: "Loss",
        meaning: "Punishes sure mistakes most: 0 is perfect, and a half for everything would give"
          + " \(decimals(log(2)))."
      ) { decimals($0.loss) },
      Measure(
        name: "AUC",
        meaning:
          "How often a photo that has a class gets a higher probability for it than one that has it"
          + " not; 1 is perfect, 0.5 is chance."
      ) { decimals($0.auc) },
    ]
  }

  /// The numbers of each class, and which answers about it were right.
  func labelsTable(_ evaluation: Evaluation) -> Markup {
    let columns =
      [Column("Class")]
      + [
        "Photos", "Average precision", "Recall", "Precision", "F1", "Threshold", "Found", "Missed",
        "Wrongly found", "Rightly not found", "Unknown",
      ].map { Column($0, numeric: true) }
    let rows = evaluation.perClass.map { result -> [Markup] in
      let counts = result.counts ?? BinaryCounts()
      return [
        name(result.name), "\(Format.grouped(result.count))",
        "\(decimals(result.averagePrecision))", "\(percent(counts.recall))",
        "\(percent(counts.precision))", "\(percent(counts.f1))",
        "\(decimals(result.threshold.map(Double.init)))", "\(counts.truePositives)",
        "\(counts.falseNegatives)", "\(counts.falsePositives)", "\(counts.trueNegatives)",
        "\(evaluation.count - counts.known)",
      ]
    }
    return "<h3>Each class</h3>"
      + paragraph(
        "A photo gets a class whose probability reaches the class's threshold. Thresholds are those with"
          + " the highest F1 on the validation photos; a class with hardly any keeps 0.5.")
      + table(columns, rows, caption: "Metrics and right and wrong answers of each class")
  }

  /// Which labels go together.
  func labelsSection(_ evaluation: Evaluation, _ counts: [[Int]]) -> Section? {
    let names = evaluation.perClass.map(\.name)
    var pairs: [(one: Int, other: Int, both: Int)] = []
    for one in names.indices {
      for other in names.indices where other > one && counts[one][other] > 0 {
        pairs.append((one, other, counts[one][other]))
      }
    }
    // Equal ones in the order of the classes.
    pairs.sort { ($1.both, $0.one, $0.other) < ($0.both, $1.one, $1.other) }
    let rows = pairs.prefix(24).map { one, other, both -> [Markup] in
      return [
        name(names[one]), name(names[other]), "\(both)",
        "\(percent(Double(both) / Double(max(counts[one][one], 1))))",
        "\(percent(Double(both) / Double(max(counts[other][other], 1))))",
      ]
    }
    let columns = [
      Column("Class"), Column("With"), Column("Photos", numeric: true),
      Column("Of the one", numeric: true), Column("Of the other", numeric: true),
    ]
    let body: Markup =
      rows.isEmpty
      ? "<p>No judged photo has two labels.</p>"
      : paragraph(
        "Labels of the judged photos that occur together, the most frequent pairs first. Where one hardly"
          + " ever occurs without another, the network may have learned the other in its place.")
        + table(columns, rows, caption: "Labels that occur together")
    return Section(id: "together", title: "Which labels go together", body: body)
  }
}
