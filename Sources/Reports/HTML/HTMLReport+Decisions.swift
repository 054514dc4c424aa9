// SPDX-License-Identifier: Apache-2.0

import ThawConsole
import ThawTraining

/// From which probability on an answer is worth what, and what mistakes cost.
extension HTMLReport {
  var decisionsSection: Section? {
    guard let evaluation = content.evaluation else { return nil }
    let body =
      curves(evaluation.curves) + thresholds(evaluation) + optional(evaluation.costs, costs)
    return body.text.isEmpty
      ? nil : Section(id: "thresholds", title: "Precision, recall and thresholds", body: body)
  }

  private static let mostCurves = 8

  private func curves(_ all: [PrecisionRecallCurve]) -> Markup {
    guard !all.isEmpty else { return "" }
    let hardest = all.enumerated().sorted {
      ($0.element.averagePrecision, $0.offset) < ($1.element.averagePrecision, $1.offset)
    }.map(\.element)
    let shown = Array(hardest.prefix(Self.mostCurves))
    let chart = LineChart(
      title: "Precision over recall",
      xAxis: .init("Recall", including: [0, 1], isPercent: true),
      yAxis: .init("Precision", including: [0, 1], isPercent: true),
      series: shown.map { curve in
        LineChart.Series(
          "\(curve.name) (average precision \(Format.fixed(curve.averagePrecision, 3)))",
          points: curve.points.map { (x: $0.recall, y: $0.precision) })
      })
    let rest = all.count - shown.count
    return paragraph(
      "Asking for a higher probability before a class is answered makes its answers more often right (precision)"
        + " and finds fewer of its photos (recall). thaw evaluate --precision CLASS=0.95 chooses the threshold"
        + " for a wanted precision, --recall for a wanted recall."
        + (rest > 0
          ? " The \(shown.count) hardest classes are drawn; all are in metrics.json." : ""))
      + charts([("Precision over recall", chart.svg)])
  }

  private func share(_ value: Double?, _ interval: [Double]?) -> String {
    guard let interval, interval.count == 2 else { return percent(value) }
    return "\(percent(value)) (\(percent(interval[0])) to \(percent(interval[1])))"
  }

  private func thresholds(_ evaluation: Evaluation) -> Markup {
    guard let chosen = evaluation.thresholds, !chosen.isEmpty else { return "" }
    let columns = [
      Column("Class"), Column("From", numeric: true), Column("Chosen for"),
      Column("Precision there", numeric: true), Column("Recall there", numeric: true),
    ]
    let rows = chosen.map { one -> [Markup] in
      [
        name(one.name), "\(Format.fixed(Double(one.threshold), 3))",
        "\(one.measure.map { "a \($0.rawValue) of \(percent(one.wanted))" } ?? "given")",
        "\(share(one.precision, one.precisionInterval))",
        "\(share(one.recall, one.recallInterval))",
      ]
    }
    return "<h3>Thresholds of this model</h3>"
      + table(columns, rows, caption: "Thresholds", stacks: true)
      + optional(evaluation.decisions) { answers($0, "By these thresholds") }
  }

  private func answers(_ result: DecisionResult, _ what: String) -> Markup {
    let columns = [
      Column("Class"), Column("Photos", numeric: true), Column("Called so", numeric: true),
      Column("Precision", numeric: true), Column("Recall", numeric: true),
    ]
    let rows = result.perClass.filter { $0.count + $0.answered > 0 }.map { one -> [Markup] in
      [
        name(one.name), "\(one.count)", "\(one.answered)",
        "\(share(one.precision, one.precisionInterval))",
        "\(share(one.recall, one.recallInterval))",
      ]
    }
    return paragraph(
      "\(what) \(result.count - result.undecided) of \(counted(result.count, "photo")) get an answer,"
        + " \(result.correct) of them the right one"
        + " (\(share(result.accuracyOfAnswered, result.accuracyInterval))); \(result.undecided)"
        + " \(result.undecided == 1 ? "is" : "are") undecided.")
      + table(columns, rows, caption: what, stacks: true)
  }

  private func costs(_ result: CostResult) -> Markup {
    func text(_ cost: CostResult.MeanCost) -> String {
      "\(Format.significant(cost.mean, 4)) (\(Format.significant(cost.interval[0], 4)) to"
        + " \(Format.significant(cost.interval[1], 4)))"
    }
    let columns = [Column("Answers"), Column("Cost of a photo, 95 % interval", numeric: true)]
    let rows: [[Markup]] = [
      ["the most probable class", "\(text(result.mostProbable))"],
      ["the cheapest by the probabilities", "\(text(result.cheapest))"],
      ["saved", "\(text(result.saving))"],
    ]
    return "<h3>Costs</h3>" + table(columns, rows, caption: "Costs")
      + answers(result.answers, "By the cheapest answers")
  }
}
