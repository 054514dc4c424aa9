// SPDX-License-Identifier: Apache-2.0

import ThawConsole
import ThawDatasets

/// What the network learnt from and was measured on.
extension HTMLReport {
  /// Lists of files longer than this are cut, with the number of the rest.
  static var longestList: Int { 100 }

  /// Photos of one class in each of the splits that are not empty.
  private struct ClassCounts {
    let name: String
    let counts: [Int]
    var total: Int { counts.reduce(0, +) }
  }

  var dataSection: Section? {
    guard let manifest = content.manifest else { return nil }
    let splits = Split.allCases.filter { !manifest.records(in: $0).isEmpty }
    let counts = splits.map(manifest.counts)
    let classes = manifest.classes.indices.map { index in
      ClassCounts(name: manifest.classes[index], counts: counts.map { $0[index] })
    }
    let total = splits.reduce(0) { $0 + manifest.records(in: $1).count }
    let text =
      "\(counted(total, "photo")) in \(counted(classes.count, "class", plural: "classes")):"
      + " \(uses(splits, manifest))."
    let body =
      paragraph(text) + classCounts(classes, splits.map(\.rawValue))
      + optional(content.photosPage) {
        "<p><a href=\"\($0)\">A look at the photos</a>: formats, sizes and copies.</p>\n"
      } + duplicates(manifest.duplicates) + badFiles(manifest.bad) + passedOver
    return Section(id: "data", title: "The photos", body: body)
  }

  /// What each part of the photos is for.
  private func uses(_ splits: [Split], _ manifest: Manifest) -> String {
    splits.map { split in
      let count = Format.grouped(manifest.records(in: split).count)
      return switch split {
      case .train: "\(count) to learn from (train)"
      case .valid: "\(count) to choose by (valid)"
      case .test: "\(count) to judge by, which nothing else sees (test)"
      }
    }.joined(separator: ", ")
  }

  private func classCounts(_ classes: [ClassCounts], _ splits: [String]) -> Markup {
    guard !classes.isEmpty, !splits.isEmpty else { return "" }
    let largest = Double(classes.map(\.total).max() ?? 1)
    func chart(_ classes: [ClassCounts]) -> Markup {
      let series = splits.enumerated().map { index, split in
        (name: split, values: classes.map { Double($0.counts[index]) })
      }
      return BarChart(
        title: "Photos of each class", categories: classes.map(\.name), series: series,
        arrangement: .stacked, maximum: largest
      ).svg
    }
    let table = countTable(classes, splits)
    guard classes.count > Self.manyClasses else {
      return """
        <div class="charts"><div><h3>Photos in each split</h3>\(table)</div>\
        <div><h3>Balance</h3>\(chart(classes))</div></div>

        """
    }
    let sorted = classes.enumerated().sorted {
      ($0.element.total, $0.offset) < ($1.element.total, $1.offset)
    }
    let smallest = sorted.prefix(Self.manyClasses).map(\.element)
    return folded("All \(classes.count) classes as a table", table)
      + halves("The \(smallest.count) smallest classes", smallest, chart)
  }

  private func countTable(_ classes: [ClassCounts], _ splits: [String]) -> Markup {
    let columns = [Column("Class")] + (splits + ["All"]).map { Column($0, numeric: true) }
    let rows = classes.map { item -> [Markup] in
      [name(item.name)] + (item.counts + [item.total]).map { "\(Format.grouped($0))" }
    }
    let sums = splits.indices.map { split in classes.reduce(0) { $0 + $1.counts[split] } }
    let last: [Markup] =
      ["<strong>All</strong>"]
      + (sums + [sums.reduce(0, +)]).map { "<strong>\(Format.grouped($0))</strong>" }
    // A photo of several labels is in several rows.
    let hasSums = content.manifest?.severalLabels != true
    return table(columns, rows + (hasSums ? [last] : []), caption: "Photos of each class")
  }

  private func duplicates(_ groups: [Manifest.DuplicateGroup]) -> Markup {
    guard !groups.isEmpty else { return "" }
    func isLeak(_ group: Manifest.DuplicateGroup) -> Bool { group.kinds.contains(.acrossSplits) }
    let leaks = groups.count(where: isLeak)
    let rows = groups.prefix(Self.longestList).map { group -> [Markup] in
      let paths = group.paths.prefix(10).map { path($0.description) }
      let rest: Markup = group.paths.count > 10 ? "<br>and \(group.paths.count - 10) more" : ""
      return [
        isLeak(group) ? "<strong class=\"bad\">across splits</strong>" : "within a split",
        .joined(paths, separator: "<br>") + rest,
        group.kinds.contains(.acrossClasses) ? "labels contradict each other" : "",
      ]
    }
    let columns = [Column("Where"), Column("Files"), Column("Note")]
    let summary =
      "\(counted(groups.count, "photo")) there more than once"
      + (leaks > 0 ? ", \(leaks) of them across splits" : "")
    return folded(
      summary, table(columns, rows, caption: "Duplicates", stacks: true) + rest(groups.count),
      isOpen: leaks > 0)
  }

  private func badFiles(_ files: [BadFile]) -> Markup {
    guard !files.isEmpty else { return "" }
    let rows = files.prefix(Self.longestList).map {
      [path($0.path.description), name($0.reason)]
    }
    return folded(
      "\(counted(files.count, "file")) could not be used",
      table([Column("File"), Column("Reason")], rows, caption: "Bad files", stacks: true)
        + rest(files.count),
      isOpen: files.count <= 10)
  }

  private func rest(_ count: Int) -> Markup {
    count > Self.longestList ? "<p>and \(Format.grouped(count - Self.longestList)) more.</p>" : ""
  }
}
