// SPDX-License-Identifier: Apache-2.0

import ThawConsole
import ThawTraining

extension HTMLReport {
  /// Above this many classes charts show the worst ones and tables are folded.
  static var manyClasses: Int { 30 }

  var evaluationSection: Section? {
    guard let evaluation = content.evaluation else { return nil }
    let columns =
      [Column("Prediction")]
      + ["Photos", "Accuracy", "95 % interval", "Loss", "Macro F1", "AUC"].map {
        Column($0, numeric: true)
      }
    let rows = evaluation.variants.map { variant -> [Markup] in
      let range = variant.accuracyInterval
      return [
        name(variant.name), "\(Format.grouped(variant.count))", "\(percent(variant.accuracy))",
        optional(range) { "\(percent($0.lowerBound)) to \(percent($0.upperBound))" },
        "\(decimals(variant.loss))", "\(decimals(variant.macroF1))", "\(decimals(variant.auc))",
      ]
    }
    let body: Markup = """
      <p>Measured on the photos of <em>\(name(evaluation.split))</em>.</p>
      \(table(columns, rows, caption: "Metrics"))\(perClass(evaluation.classes))
      """
    return Section(id: "evaluation", title: "Evaluation", body: body)
  }

  private func perClass(_ classes: [ConfusionMatrix.ClassMetrics]) -> Markup {
    guard !classes.isEmpty else { return "" }
    let table = perClassTable(classes)
    guard classes.count > Self.manyClasses else {
      return """
        <div class="charts"><div><h3>Each class</h3>\(table)</div>\
        <div><h3>Recall, precision, F1</h3>\(perClassChart(classes))</div></div>

        """
    }
    let worst = classes.enumerated().sorted {
      let (a, b) = ($0.element.f1, $1.element.f1)
      return (a ?? 2, $0.offset) < (b ?? 2, $1.offset)
    }.prefix(Self.manyClasses).map(\.element)
    return folded("All \(classes.count) classes as a table", table)
      + halves("The \(worst.count) classes with the lowest F1", worst, perClassChart)
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

  var confusionSection: Section? {
    guard let matrix = content.confusion else { return nil }
    let pairs = matrix.confusions(limit: 12)
    let rows = pairs.map { pair -> [Markup] in
      [
        name(matrix.classNames[pair.truth]), name(matrix.classNames[pair.predicted]),
        "\(pair.count)", "\(percent(pair.share))",
      ]
    }
    let columns = [
      Column("True class"), Column("Taken for"), Column("Photos", numeric: true),
      Column("Share", numeric: true),
    ]
    let list: Markup =
      pairs.isEmpty
      ? "<p>No photo was taken for another class.</p>"
      : "<h3>Most frequent confusions</h3>"
        + table(columns, rows, caption: "Most frequent confusions")
    let isMany = matrix.classNames.count > Self.manyClasses
    let text =
      "Rows are true classes, columns predictions; shades are shares of the row. Classes that are taken for each other stand next to "
      + "each other\(isMany ? "; point at a cell for its numbers" : "")."
    let chart = ConfusionMatrixChart(matrix).svg
    let isSmall = matrix.classNames.count <= 8
    let pair: Markup = "<div class=\"charts\"><div>\(chart)</div><div>\(list)</div></div>"
    let body = paragraph(text) + (isSmall ? pair : chart + list)
    return Section(id: "confusion", title: "Confusion", body: body)
  }

  var mistakesSection: Section? {
    guard !content.mistakes.isEmpty else { return nil }
    let cards = content.mistakes.map { mistake -> Markup in
      let image: Markup =
        Base64.imageAddress(mistake.thumbnail).map {
          "<img alt=\"\" src=\"\($0)\">"
        } ?? "<span class=\"blank\">no preview</span>"
      let truth = optional(mistake.truthProbability) { " (\(Format.percent($0, decimals: 0)))" }
      return """
        <li>\(image)<p><span class="bad">\(name(mistake.predicted))</span> \
        \(Format.percent(mistake.probability, decimals: 0))</p>\
        <p>is <strong>\(name(mistake.truth))</strong>\(truth)</p>\
        <p class="fine" title="\(mistake.path)">\(path(shortened(mistake.path)))</p></li>

        """
    }
    let body: Markup = """
      <p>The most confident wrong predictions, worst first. Look for wrong labels among them.</p>
      <ul class="gallery">\(Markup.joined(cards))</ul>
      """
    return Section(id: "mistakes", title: "Worst mistakes", body: body)
  }

  var calibrationSection: Section? {
    let bins = content.calibration.filter { $0.count > 0 }
    guard !bins.isEmpty else { return nil }
    let total = Double(bins.reduce(0) { $0 + $1.count })
    let error = bins.reduce(0) { $0 + abs($1.confidence - $1.accuracy) * Double($1.count) } / total
    let chart = LineChart(
      title: "Share right over stated probability",
      xAxis: .init("Stated probability", including: [0, 1], isPercent: true),
      yAxis: .init("Share right", including: [0, 1], isPercent: true),
      series: [
        .init("This network", points: bins.map { ($0.confidence, $0.accuracy) }),
        .init("Perfect", points: [(0, 0), (1, 1)], isFaint: true),
      ])
    let text =
      "On average a stated probability is off by \(Format.percent(error)) (expected calibration "
      + "error). Below the diagonal the network is surer than it should be."
    return Section(
      id: "calibration", title: "Calibration",
      body: paragraph(text) + charts([("Reliability", chart.svg)]))
  }

  var diagnosisSection: Section? {
    guard !content.diagnoses.isEmpty else { return nil }
    let items = content.diagnoses.map { result -> Markup in
      """
      <div class="note \(tone(result.status))"><p class="label">\(result.title): \
      \(result.status.rawValue)</p><p>\(result.verdict)</p>\(paragraph(result.recommendation))</div>
      \(optional(result.table) { evidence($0, of: result.title) })
      """
    }
    return Section(id: "diagnosis", title: "Diagnosis", body: .joined(items))
  }

  private func evidence(_ table: ReportContent.Table, of title: String) -> Markup {
    let body = self.table(table, caption: title)
    guard table.rows.count > 15 else { return body }
    return folded("Evidence, \(counted(table.rows.count, "row"))", body)
  }

  private func tone(_ status: ReportContent.Status) -> String {
    switch status {
    case .good: "good"
    case .warning: "warn"
    case .problem: "bad"
    }
  }
}
