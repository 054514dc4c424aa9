// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import ThawConsole
import ThawDatasets
import ThawRecipes

/// Where a run's photos and their labels come from.
struct PhotoSource {
  private let folder: FilePath
  private let settings: Recipe.Data

  init(_ folder: FilePath, _ settings: Recipe.Data) {
    (self.folder, self.settings) = (folder, settings)
  }

  /// The photos with labels from folders or from a table, in their groups.
  ///
  /// - Throws: `DatasetError`; ``PipelineError/usage(_:)`` for columns without a table.
  /// - Parameter console: nil to say nothing.
  func scan(_ options: FolderScanner.Options, console: Console?) throws -> FolderScan {
    let grouping = settings.groupBy.isEmpty ? nil : PhotoGrouping(settings.groupBy)
    var columns = try columns()
    if case .column(let name) = grouping { columns.group = name }
    let table = try table(columns, console)
    if case .column(let name) = grouping, table == nil {
      throw PipelineError.usage(
        "--group-by \(name) has no effect: a column needs a table of labels (--labels). Give 'folder' or"
          + " a pattern with parentheses otherwise.")
    }
    guard let table else {
      try refuseWithoutTable()
      let scan = try FolderScanner.scan(folder, options: options)
      return try grouping?.grouped(scan) ?? scan
    }
    guard options.layout == nil else {
      throw PipelineError.usage(
        "--layout has no effect: the labels come from \(table.file.displayed).")
    }
    let labels = "Labels from \(table.file.displayed): \(table.description)."
    if settings.labels.isEmpty {
      // Nobody asked for it, so that it must not be passed over.
      console?.warn("\(labels) To go by the folders, say --layout classes.")
    } else {
      console?.say(labels)
    }
    let scan = try TableScanner.scan(
      folder, table: table, options: options, conflicts: settings.conflictingLabels)
    for warning in scan.warnings { console?.warn(warning) }
    for remark in scan.remarks { console?.say(remark) }
    return try grouping?.grouped(scan) ?? scan
  }

  /// The table that is named, or the one beside the photos that says by its name what it is, as
  /// datasets on Hugging Face have it. Such a one without labels leaves them to the folders.
  private func table(_ columns: LabelTable.Columns, _ console: Console?) throws -> LabelTable? {
    if !settings.labels.isEmpty {
      return try LabelTable(contentsOf: FilePath(settings.labels), columns: columns)
    }
    // Flags of what was photographed when are no classes only because they lie there.
    var columns = columns
    columns.guessesIndicators = false
    guard settings.layout == .auto else { return nil }
    let whole = SplitTables.inside(folder)
    let parts = whole == nil ? SplitTables.parts(of: folder) : []
    guard whole != nil || !parts.isEmpty else { return nil }
    do {
      if let whole { return try LabelTable(contentsOf: whole, columns: columns) }
      return try LabelTable(parts: parts, columns: columns)
    } catch {
      guard case .badTable(let file, _, let problem) = error else { throw error }
      console?.warn("\(file.displayed) is not used: \(problem). The folders are the labels.")
      return nil
    }
  }

  /// Folders say one label a photo.
  private func refuseWithoutTable() throws(PipelineError) {
    if settings.severalLabels == .several {
      throw .usage(
        "--several-labels yes has no effect: a folder is one label. Name the labels in a table"
          + " (--labels).")
    }
    if !settings.labelSeparator.isEmpty {
      throw .usage("--label-separator has no effect: there is no table of labels (--labels).")
    }
  }

  private func columns() throws(PipelineError) -> LabelTable.Columns {
    var columns = LabelTable.Columns()
    columns.count = settings.severalLabels
    if !settings.labelSeparator.isEmpty {
      guard settings.severalLabels != .single else {
        throw .usage("--label-separator and --several-labels no contradict each other.")
      }
      guard let separator = LabelSeparator(option: settings.labelSeparator) else {
        throw .usage(
          "--label-separator: '\(settings.labelSeparator)' is not one character that is no letter or"
            + " digit, nor the word space.")
      }
      columns.separator = separator
    }
    for pair in settings.tableColumns.split(separator: ",") {
      let parts = pair.split(separator: "=", maxSplits: 1).map(String.init)
      switch (parts.first, parts.count) {
      case ("path", 2): columns.path = parts[1]
      case ("label", 2): columns.labels.append(parts[1])
      case ("split", 2): columns.split = parts[1]
      default:
        throw .usage("--table-columns: '\(pair)' is not path=NAME, label=NAME or split=NAME.")
      }
    }
    return columns
  }
}
