// SPDX-License-Identifier: Apache-2.0

import ThawConsole

extension HTMLReport {
  /// Lists of files longer than this are cut, with the number of the rest.
  static var longestList: Int { 100 }

  var dataSection: Section? {
    guard let data = content.data else { return nil }
    let total = data.classes.reduce(0) { $0 + $1.total }
    let place = data.root.map { ", from \($0)" } ?? ""
    let classes = counted(data.classes.count, "class", plural: "classes")
    let text = "\(counted(total, "photo")) in \(classes)\(place)."
    let body =
      paragraph(text) + classCounts(data) + duplicates(data.duplicates) + badFiles(data.badFiles)
    return Section(id: "data", title: "Data", body: body)
  }

  private func classCounts(_ data: ReportContent.DataSection) -> Markup {
    guard !data.classes.isEmpty, !data.splits.isEmpty else { return "" }
    let largest = Double(data.classes.map(\.total).max() ?? 1)
    func chart(_ classes: [ReportContent.ClassCount]) -> Markup {
      let series = data.splits.enumerated().map { index, split in
        (name: split, values: classes.map { Double($0.counts[index]) })
      }
      return BarChart(
        title: "Photos of each class", categories: classes.map(\.name), series: series,
        arrangement: .stacked, maximum: largest
      ).svg
    }
    guard data.classes.count > Self.manyClasses else {
      return """
        <div class="charts"><div><h3>Photos in each split</h3>\(countTable(data))</div>\
        <div><h3>Balance</h3>\(chart(data.classes))</div></div>

        """
    }
    let sorted = data.classes.enumerated().sorted {
      ($0.element.total, $0.offset) < ($1.element.total, $1.offset)
    }
    let smallest = sorted.prefix(Self.manyClasses).map(\.element)
    return folded("All \(data.classes.count) classes as a table", countTable(data))
      + halves("The \(smallest.count) smallest classes", smallest, chart)
  }

  private func countTable(_ data: ReportContent.DataSection) -> Markup {
    let columns = [Column("Class")] + (data.splits + ["All"]).map { Column($0, numeric: true) }
    let rows = data.classes.map { item -> [Markup] in
      [name(item.name)] + (item.counts + [item.total]).map { "\(Format.grouped($0))" }
    }
    let sums = data.splits.indices.map { split in data.classes.reduce(0) { $0 + $1.counts[split] } }
    let last: [Markup] =
      ["<strong>All</strong>"]
      + (sums + [sums.reduce(0, +)]).map { "<strong>\(Format.grouped($0))</strong>" }
    return table(columns, rows + [last], caption: "Photos of each class")
  }

  private func duplicates(_ duplicates: [ReportContent.Duplicate]) -> Markup {
    guard !duplicates.isEmpty else { return "" }
    let leaks = duplicates.count { $0.isLeak }
    let rows = duplicates.prefix(Self.longestList).map { item -> [Markup] in
      let paths = item.paths.prefix(10).map(path)
      let rest: Markup = item.paths.count > 10 ? "<br>and \(item.paths.count - 10) more" : ""
      return [
        item.isLeak ? "<strong class=\"bad\">across splits</strong>" : "within a split",
        .joined(paths, separator: "<br>") + rest, "\(item.note)",
      ]
    }
    let columns = [Column("Where"), Column("Files"), Column("Note")]
    let summary =
      "\(counted(duplicates.count, "photo")) more than once"
      + (leaks > 0 ? ", \(leaks) of them across splits" : "")
    return folded(
      summary, table(columns, rows, caption: "Duplicates") + rest(duplicates.count),
      isOpen: leaks > 0)
  }

  private func badFiles(_ files: [ReportContent.BadFile]) -> Markup {
    guard !files.isEmpty else { return "" }
    let rows = files.prefix(Self.longestList).map { [path($0.path), name($0.reason)] }
    return folded(
      "\(counted(files.count, "file")) could not be used",
      table([Column("File"), Column("Reason")], rows, caption: "Bad files") + rest(files.count),
      isOpen: files.count <= 10)
  }

  private func rest(_ count: Int) -> Markup {
    count > Self.longestList ? "<p>and \(Format.grouped(count - Self.longestList)) more.</p>" : ""
  }

  var modelSection: Section? {
    guard let model = content.model else { return nil }
    var list = [("Backbone", model.name), ("Parameters", Format.grouped(model.parameters))]
    if let count = model.trainableParameters {
      list.append(("Trainable parameters", Format.grouped(count)))
    }
    if let licence = model.licence { list.append(("Licence of the weights", licence)) }
    if let source = model.source { list.append(("Source", source)) }
    let contract = optional(model.preprocessing) {
      "<h3>Preprocessing contract</h3><pre>\($0)</pre>\n"
    }
    return Section(id: "model", title: "Model", body: facts(list + model.details) + contract)
  }

  var freezePlanSection: Section? {
    guard let plan = content.freezePlan else { return nil }
    let columns = [
      Column("Layer group"), Column("Parameters", numeric: true), Column("Trains?"),
      Column("Batch norm"), Column("Learning rate", numeric: true),
    ]
    let rows = plan.rows.map { row -> [Markup] in
      [
        name(row.group), "\(Format.grouped(row.parameters))",
        row.isTrainable ? "<strong class=\"good\">trains</strong>" : "frozen",
        row.batchNorm.map(name) ?? "–",
        "\(row.learningRate.map { Format.significant($0) } ?? "–")",
      ]
    }
    return Section(
      id: "freeze-plan", title: "Freeze plan",
      body: paragraph(plan.note) + table(columns, rows, caption: "Freeze plan"))
  }

  var augmentationSection: Section? {
    guard let augmentation = content.augmentation else { return nil }
    let tone = augmentation.isActive ? "good" : "warn"
    let body: Markup = """
      <div class="note \(tone)"><p class="label">Augmentation was \
      \(augmentation.isActive ? "on" : "off")</p><p>\(augmentation.statement)</p></div>
      \(facts(augmentation.operations))
      """
    return Section(id: "augmentation", title: "Augmentation", body: body)
  }

  var reproductionSection: Section? {
    guard let reproduction = content.reproduction else { return nil }
    return Section(
      id: "reproduce", title: "Reproduce",
      body: "<pre>\(reproduction.command)</pre>\n" + facts(reproduction.facts))
  }
}
