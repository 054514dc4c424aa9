// SPDX-License-Identifier: Apache-2.0

import ThawConsole

/// What new classes cost those that the run had before.
extension HTMLReport {
  var earlierSection: Section? {
    guard let earlier = content.earlier, !earlier.classes.isEmpty else { return nil }
    let columns = [
      Column("Class"), Column("Photos", numeric: true), Column("Right before", numeric: true),
      Column("Right now", numeric: true), Column("Change", numeric: true),
    ]
    let rows = earlier.classes.map { item -> [Markup] in
      [
        name(item.name), "\(item.photos)", "\(percent(item.share(item.before)))",
        "\(percent(item.share(item.now)))", "\(signed(item.now - item.before))",
      ]
    }
    let (before, now) = earlier.classes.reduce((0, 0)) { ($0.0 + $1.before, $0.1 + $1.now) }
    let photos = earlier.classes.reduce(0) { $0 + $1.photos }
    let added = earlier.added.map { "'\($0)'" }.joined(separator: ", ")
    let text =
      "Since the model before, \(added) came to the classes. Of the \(photos) held-out photos of the other"
      + " classes it had \(before) right, this one \(now). It had fewer classes to choose from, so a small"
      + " loss is to be expected."
    return Section(
      id: "earlier", title: "Compared with the model before",
      body: paragraph(text)
        + table(columns, rows, caption: "Right answers before and after the new classes"))
  }

  private func signed(_ change: Int) -> String { change > 0 ? "+\(change)" : "\(change)" }
}
