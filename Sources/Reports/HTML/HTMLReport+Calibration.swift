// SPDX-License-Identifier: Apache-2.0

import ThawConsole
import ThawTraining

/// How far probabilities can be believed.
extension HTMLReport {
  var calibrationSection: Section? {
    guard let result = content.evaluation?.calibration else { return nil }
    return Section(
      id: "calibration", title: "How far its probabilities can be believed",
      body: paragraph(meaning(of: result)) + reliability(result) + sets(result))
  }

  private func meaning(of result: CalibrationResult) -> String {
    let value = result.temperature.value
    let finding =
      value > 1.02
      ? "The network was too sure of itself"
      : value < 0.98
        ? "The network was not sure enough" : "The network was about as sure as it should be"
    let photos = counted(result.temperature.photos, "validation photo")
    var text =
      "\(finding): its logits are divided by \(Format.fixed(value, 3)), the temperature that \(photos) chose"
      + " (\(result.look)). No answer changes by it, only how probable it is called."
    if result.isOfSamePhotos {
      text +=
        " The photos below are those that chose it, and the weights as well, so that the numbers are a little"
        + " too good; photos kept for testing (--test) judge it fairly."
    }
    return result.caution.map { "\(text) \($0)" } ?? text
  }

  /// The reliability diagram and its summary.
  private func reliability(_ result: CalibrationResult) -> Markup {
    func points(_ reliability: Reliability) -> [(x: Double, y: Double)] {
      reliability.bins.filter { $0.count > 0 }.map { (x: $0.confidence, y: $0.accuracy) }
    }
    let chart = LineChart(
      title: "How often answers are right over how probable they are called",
      xAxis: .init("Probability of the answer", including: [0, 1], isPercent: true),
      yAxis: .init("Share that is right", including: [0, 1], isPercent: true),
      series: [
        LineChart.Series("As it should be", points: [(x: 0, y: 0), (x: 1, y: 1)], isFaint: true),
        LineChart.Series("Before", points: points(result.before)),
        LineChart.Series("Calibrated", points: points(result.after)),
      ])
    let columns = [
      Column("Measure"), Column("Before", numeric: true), Column("Calibrated", numeric: true),
    ]
    let rows: [[Markup]] = [
      [
        term(
          "Expected calibration error",
          "How far probabilities are from the share of right answers, on average; 0 is perfect."),
        "\(percent(result.before.expectedError))", "\(percent(result.after.expectedError))",
      ],
      [
        term("Loss", "Punishes sure mistakes most."),
        "\(decimals(result.before.loss))", "\(decimals(result.after.loss))",
      ],
    ]
    return charts([("Reliability", chart.svg)]) + table(columns, rows, caption: "Calibration")
  }

  /// What sets of labels keep of their promise.
  private func sets(_ result: CalibrationResult) -> Markup {
    guard let first = result.sets.first else { return "" }
    let columns = [
      Column("Asked"), Column("Kept", numeric: true), Column("Labels in a set", numeric: true),
      Column("Sets of one", numeric: true), Column("Least kept of"),
    ]
    let classNames = content.evaluation?.perClass.map(\.name) ?? []
    func row(_ one: SetCoverage, _ kind: String) -> [Markup] {
      [
        "\(percent(one.asked))\(kind)", "\(percent(one.coverage))", "\(Format.fixed(one.size, 2))",
        "\(percent(one.single))", "\(one.leastText(classNames) ?? "–")",
      ]
    }
    let rows =
      result.sets.map { row($0, "") } + (result.classSets ?? []).map { row($0, " of each class") }
    let judged =
      first.ownHalves
      ? "measured on each half of these photos with sets made by the other"
      : "measured on photos that had no part in making them"
    return paragraph(
      "thaw predict --coverage 0.9 answers with a set of labels that contains the right one for nine photos in"
        + " ten: \(judged). A set is never empty, so that it keeps more than is asked where the first answer"
        + " alone is right that often. The promise is one on average"
        + (result.classSets == nil ? "." : ", and with --coverage-per-class one for each class.")
    ) + table(columns, rows, caption: "Sets of labels", stacks: true)
  }
}
