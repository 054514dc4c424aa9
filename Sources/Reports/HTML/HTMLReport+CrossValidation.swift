// SPDX-License-Identifier: Apache-2.0

import ThawConsole

extension HTMLReport {
  /// What more photos would bring.
  var crossValidationSection: Section? {
    guard let found = content.crossValidation else { return nil }
    let chart = LineChart(
      title: "Accuracy by the number of training photos",
      xAxis: .init("Training photos", kind: .logarithmic, isCount: true),
      yAxis: .init("Accuracy", isPercent: true),
      series: [
        .init(
          "measured", points: found.learningCurve.map { (Double($0.photos), $0.accuracy) })
      ]
        + (found.doubled.map { doubled in
          [
            LineChart.Series(
              "expected",
              points: (found.learningCurve.suffix(1) + [doubled]).map {
                (Double($0.photos), $0.accuracy)
              }, isFaint: true)
          ]
        } ?? []))
    let rows = found.perClassByGain.prefix(12).map {
      item -> [Markup] in
      [
        name(item.name), "\(item.count)", "\(Format.percent(item.recall))",
        "\(gain(item))",
      ]
    }
    return Section(
      id: "photos-needed", title: "Would more photos help?",
      body: """
        <p>\(found.conclusion)</p>
        <p class="fine">Heads on the frozen backbone, trained on parts of the photos and judged on \
        the \(found.count) photos that they had not seen, \(found.folds) folds: \
        \(Format.percent(found.accuracy)) right (\(Format.percent(found.lower)) to \
        \(Format.percent(found.upper))).</p>
        \(charts([("Learning curve", chart.svg)]))
        \(table(
          [
            Column("Class"), Column("Photos", numeric: true), Column("Found", numeric: true),
            Column("Twice the photos would add", numeric: true),
          ], rows, caption: "Where more photos help most", stacks: true))
        """)
  }

  private func gain(_ item: CrossValidationResult.ClassShare) -> String {
    guard let gain = item.gain, let lower = item.gainLower, let upper = item.gainUpper else {
      return "cannot tell"
    }
    return "\(points(gain)) (\(points(lower)) to \(points(upper)))"
  }

  private func points(_ share: Double) -> String { Format.fixed(100 * share, 1) }
}
