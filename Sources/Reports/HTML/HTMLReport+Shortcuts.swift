// SPDX-License-Identifier: Apache-2.0

import ThawConsole

/// Whether the network goes by the object, or by what is around it.
extension HTMLReport {
  var shortcutsSection: Section? {
    guard let found = content.shortcuts else { return nil }
    let isSuspect = found.classes.contains(where: \.goesByBorder)
    let columns = [
      Column("Class"), Column("Photos", numeric: true), Column("Right"),
      Column("Right, middle hidden"), Column("Right, border hidden"), Column("Its middle decides"),
      Column("Its border decides"), Column("Heat on the border"), Column("Hottest part"),
    ]
    let rows = found.classes.map { one -> [Markup] in
      [
        name(one.name + (one.goesByBorder ? " *" : "")), "\(one.count)", "\(one.recall.text)",
        "\(one.recallCentreHidden.text)", "\(one.recallBorderHidden.text)",
        "\(one.centreDecides.text)", "\(one.borderDecides.text)",
        "\(one.borderHeat?.text ?? "–")",
        "\(one.hottest.map { "\($0), \(Format.percent(one.hottestShare ?? 0))" } ?? "–")",
      ]
    }
    let body =
      note(
        "Shortcuts", isSuspect ? .problem : .good, found.verdict, found.notes.joined(separator: " ")
      )
      + paragraph(
        "\(counted(found.count, "photo")): \(found.accuracy.text) right, \(found.accuracyCentreHidden.text) with the"
          + " middle grey, \(found.accuracyBorderHidden.text) with the border grey; a photo that is grey all over is"
          + " '\(found.greyAnswer)'.")
      + table(columns, rows, caption: "What the classes go by", stacks: true)
      + paragraph(
        "Middle and border have one area. The middle (border) of a class decides where a photo of it under"
          + " another class's border (around another's middle) is answered with the class. Heat that is the same"
          + " everywhere has 50 % on the border. With a star where the border decides more often than the middle,"
          + " beyond chance.")
    return Section(id: "shortcuts", title: "Does it go by the object?", body: body)
  }
}
