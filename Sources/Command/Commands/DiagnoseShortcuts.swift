// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import ThawConsole
import ThawDatasets
import ThawFiles
import ThawReports
import ThawReview

/// `thaw diagnose shortcuts`
struct DiagnoseShortcuts: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "shortcuts",
    abstract: "Does it go by the object, or by marks, frames and backgrounds?",
    discussion: """
      Looks where the evidence for each class lies, hides the inner and the outer half of the photos, and \
      swaps these halves between classes: what is answered then says which half makes the answer.
      """)

  @OptionGroup var subject: SubjectOptions

  @Option(help: "train, valid or test (default: valid and test if there are some, else all).")
  var split: Split?

  @Option(help: "Photos to look at, at most.")
  var photos = 200

  @OptionGroup(title: "Every command") var global: GlobalOptions

  func validate() throws {
    guard (2...100_000).contains(photos) else {
      throw ValidationError("--photos is \(photos), expected 2 to 100000.")
    }
  }

  func run() throws {
    let session = Session(global)
    var options = DiagnoseShortcutsStage.Options()
    (options.split, options.photos) = (split, photos)
    let result = try DiagnoseShortcutsStage(context: try session.context()).diagnose(
      try subject.subject(), options: options)
    try session.print(result, text: result.printed)
  }
}

extension ShortcutDiagnosis {
  /// The verdict and the numbers of the classes, for people.
  fileprivate var printed: String {
    var halves = TextTable(
      "Class", ">Photos", ">Whole", ">Centre hidden", ">Border hidden", ">Centre decides",
      ">Border decides")
    var heat = TextTable("Class", ">Heat on border", ">In corners", ">Unusual place", "Hottest")
    for one in classes {
      halves.append([
        one.name + (one.goesByBorder ? " *" : ""), "\(one.count)",
        Format.percent(one.recall.share), one.recallCentreHidden.text, one.recallBorderHidden.text,
        one.centreDecides.text, one.borderDecides.text,
      ])
      if let border = one.borderHeat {
        heat.append([
          one.name, border.text, one.cornerHeat?.text ?? "-", one.unusualHeat?.text ?? "-",
          one.hottest.map { "\($0) (\(Format.percent(one.hottestShare ?? 0)))" } ?? "-",
        ])
      }
    }
    var lines = [
      verdict, "",
      "\(counted(count, "photo")) (\(split)): \(accuracy.text) right, \(accuracyCentreHidden.text) with the centre"
        + " hidden, \(accuracyBorderHidden.text) with the border hidden; a grey photo is"
        + " '\(greyAnswer)'.",
      "", halves.text(width: OutputSink.tableColumns),
      "Centre and border are of one area. The last two columns: photos with the class's centre (border) in another"
        + " class's border (centre) that are answered with the class.",
    ]
    if classes.contains(where: { $0.borderHeat != nil }) {
      lines += [
        "", heat.text(width: OutputSink.tableColumns),
        "Heat that is the same everywhere has 50 % on the border and 16 % in the corners; unusual is where the other"
          + " classes have a fifth of theirs.",
      ]
    }
    return (lines + notes).joined(separator: "\n")
  }
}
