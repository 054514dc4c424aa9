// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import SystemPackage
import ThawConsole
import ThawDatasets
import ThawReports
import ThawReview

/// `thaw diagnose errors`
struct DiagnoseErrors: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "errors",
    abstract: "What do the mistakes have in common that right answers have not?",
    discussion: """
      Tags photos by what can be measured (dark, blurred, low contrast, small, unusual shape, greyscale, \
      near the decision boundary, suspicious label, unlike training) and by a table of your own, and ranks \
      the tags by the mistakes they explain and the accuracy that curing them could bring.
      """)

  @OptionGroup var subject: SubjectOptions

  @Option(help: "train, valid or test (default: test if there is one, else valid, else all).")
  var split: Split?

  @Option(
    help:
      "Tags of your own, CSV: a column 'path' and a column 'tag', a row for each photo and tag.",
    completion: .file(extensions: ["csv", "tsv"]))
  var tags: FilePath?

  @Option(help: "Photos in each gallery.")
  var show = 12

  @Option(help: "Folder for a contact sheet of each tag (default: in the run).")
  var sheets: FilePath?

  @OptionGroup(title: "Every command") var global: GlobalOptions

  func validate() throws {
    guard (1...600).contains(show) else {
      throw ValidationError("--show is \(show), expected 1 to 600.")
    }
  }

  func run() throws {
    let session = Session(global)
    var options = DiagnoseErrorsStage.Options()
    (options.split, options.tags, options.shown) = (split, tags, show)
    (options.sheets, options.seed) = (sheets, global.seed ?? 0)
    let result = try DiagnoseErrorsStage(context: try session.context()).diagnose(
      try subject.subject(), options: options)
    try session.print(result, text: result.printed)
  }
}

extension ErrorAnalysis {
  /// The verdict, the tags and the galleries, for people.
  fileprivate var printed: String {
    var table = TextTable(
      "Photos that are", ">Mistakes", ">Right", ">Go wrong", ">Others", ">If like others",
      ">If all right")
    for tag in tags {
      table.append([
        tag.name + (tag.isClear ? " *" : ""),
        "\(tag.ofMistakes.count) (\(Format.percent(tag.ofMistakes.share)))",
        "\(tag.ofSuccesses.count) (\(Format.percent(tag.ofSuccesses.share)))",
        tag.error.text, Format.percent(tag.errorOfOthers.share),
        Format.percent(tag.accuracyIfLikeOthers), Format.percent(tag.ceiling),
      ])
    }
    var lines = [
      "\(split): \(accuracy.count) of \(accuracy.of) right, \(accuracy.text)", verdict, "",
      table.text(width: OutputSink.tableColumns),
      "* beyond chance. 'Go wrong' with its 95 % interval; the last two columns are accuracies.",
    ]
    if !absent.isEmpty { lines.append("None is \(absent.joined(separator: ", ")).") }
    for (title, photos) in [
      ("Most confident wrong", mostConfidentWrong), ("Most confident right", mostConfidentRight),
      ("Most ambiguous", mostAmbiguous),
    ] where !photos.isEmpty {
      var list = TextTable(title, "Label", "Predicted", ">", "Tags")
      for photo in photos.prefix(5) {
        list.append([
          photo.path, photo.label, photo.predicted, Format.percent(photo.probability),
          photo.tags.joined(separator: ", "),
        ])
      }
      lines += ["", list.text(width: OutputSink.tableColumns)]
    }
    let sheets = tags.compactMap(\.sheet)
    if let first = sheets.first {
      lines.append(
        "Contact sheets: \(first)\(sheets.count > 1 ? " and \(sheets.count - 1) more" : "")")
    }
    if let all = self.table { lines.append("All photos: \(all)") }
    return (lines + notes).joined(separator: "\n")
  }
}
