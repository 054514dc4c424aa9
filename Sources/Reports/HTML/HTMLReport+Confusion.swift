// SPDX-License-Identifier: Apache-2.0

import ThawConsole
import ThawTraining

/// What was taken for what.
extension HTMLReport {
  var confusionSection: Section? {
    if let evaluation = content.evaluation, let counts = evaluation.coOccurrence {
      return labelsSection(evaluation, counts)
    }
    guard let matrix = content.evaluation?.matrix else { return nil }
    let pairs = matrix.confusions(limit: 12)
    let rows = pairs.map { pair -> [Markup] in
      [
        name(matrix.classNames[pair.truth]), name(matrix.classNames[pair.predicted]),
        "\(pair.count)", "\(percent(pair.share))",
      ]
    }
    let columns = [
      Column("Labelled"), Column("Taken for"), Column("Photos", numeric: true),
      Column("Of the class", numeric: true),
    ]
    let list: Markup =
      pairs.isEmpty
      ? "<p>No photo was taken for another class.</p>"
      : "<h3>Most frequent confusions</h3>"
        + table(columns, rows, caption: "Most frequent confusions")
    let isMany = matrix.classNames.count > Self.manyClasses
    let text =
      "A row is a class as it is labelled, a column what the network answered: what lies on the"
      + " diagonal is right, and the stronger its colour, the larger a cell's share of the row. Classes that are"
      + " taken for each other stand next to each"
      + " other\(isMany ? "; point at a cell for its numbers" : "")."
    let chart = ConfusionMatrixChart(matrix).svg
    let isSmall = matrix.classNames.count <= 8
    let pair: Markup = "<div class=\"charts\"><div>\(chart)</div><div>\(list)</div></div>"
    let body = paragraph(text) + (isSmall ? pair : chart + list)
    return Section(id: "confusion", title: "What is taken for what", body: body)
  }
}
