// SPDX-License-Identifier: Apache-2.0

import ThawConsole

/// What mistakes have in common.
extension HTMLReport {
  var errorsSection: Section? {
    guard let found = content.errors else { return nil }
    let wrong = found.accuracy.of - found.accuracy.count
    let columns = [
      // Shares with their intervals take two lines, which numeric columns do not.
      Column("Photos that are"), Column("Of the mistakes"), Column("Of the right answers"),
      Column("Go wrong"), Column("Others go wrong"),
      Column("Accuracy if like others", numeric: true),
      Column("If all were right", numeric: true),
    ]
    let rows = found.tags.map { tag -> [Markup] in
      [
        term(tag.name + (tag.isClear ? " *" : ""), tag.meaning ?? "from your table"),
        "\(tag.ofMistakes.count) of \(wrong), \(tag.ofMistakes.text)",
        "\(tag.ofSuccesses.text)", "\(tag.error.text)", "\(tag.errorOfOthers.text)",
        "\(percent(tag.accuracyIfLikeOthers))", "\(percent(tag.ceiling))",
      ]
    }
    let body =
      paragraph(found.verdict)
      + table(columns, rows, caption: "What mistakes have in common", stacks: true)
      + paragraph(
        "Shares with 95 % intervals; with a star where such photos go wrong more often than others beyond chance,"
          + " with so many attributes looked at. One photo may be several of these. 'If all were right' is the"
          + " most that curing them could bring.")
      + ambiguous(found)
    return Section(id: "errors", title: "What mistakes have in common", body: body)
  }

  private func ambiguous(_ found: ErrorAnalysis) -> Markup {
    guard !found.mostAmbiguous.isEmpty else { return "" }
    let cards = found.mostAmbiguous.map { photo -> Markup in
      let isRight = photo.predicted == photo.label
      let style: Markup = isRight ? "good" : "bad"
      return card(
        photo.path, labelled: photo.label,
        """
        <p><strong class="\(style)">\(name(photo.predicted))</strong> \
        (\(Format.percent(photo.probability, decimals: 0))) or \(name(photo.second ?? "–")) \
        (\(Format.percent(photo.secondProbability ?? 0, decimals: 0))), labelled \
        <strong>\(name(photo.label))</strong></p>
        """)
    }
    return "<h3 id=\"ambiguous\">Most ambiguous</h3>"
      + gallery("Photos whose two most probable classes are nearest to each other.", cards)
  }
}
