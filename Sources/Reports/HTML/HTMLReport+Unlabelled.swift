// SPDX-License-Identifier: Apache-2.0

import ThawConsole
import ThawInference

/// What photos without labels were worth to the head.
extension HTMLReport {
  var unlabelledSection: Section? {
    guard let unlabelled = content.unlabelled else { return nil }
    let columns = [
      Column("Least confidence", numeric: true), Column("Weight", numeric: true),
      Column("Photos", numeric: true), Column("Accuracy", numeric: true),
      Column("Loss", numeric: true),
    ]
    let rows = unlabelled.candidates.map { candidate -> [Markup] in
      [
        "\(percent(candidate.confidence))", "\(Format.significant(candidate.weight))",
        "\(candidate.used)", "\(percent(candidate.judged.accuracy))",
        "\(decimals(candidate.judged.loss))",
      ]
    }
    let text =
      "Answers that were sure enough were taken for labels, and heads trained with and without them were judged by"
      + " labelled training photos that neither had seen. In each fold the way is the one that did best in the"
      + " others; the table has each way by itself."
    return Section(
      id: "unlabelled", title: "Photos without labels",
      body: paragraph(unlabelled.text) + paragraph(text)
        + table(columns, rows, caption: "Ways to use photos without labels"))
  }
}
