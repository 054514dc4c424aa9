// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import SystemPackage
import ThawConsole
import ThawDiagnosis
import ThawFiles
import ThawRuns
import ThawTraining

/// `thaw diagnose fit`
struct DiagnoseFit: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fit",
    abstract: "Where do the errors come from: bias, variance, other photos, or wrong labels?",
    discussion: """
      Takes the error apart (human, training, cross-validated, held out), tests whether the splits are \
      of one kind, trains on one small batch until it is learned by heart, and lists the photos whose \
      labels look wrong.
      """)

  @OptionGroup var subject: SubjectOptions

  @Option(help: "Error of people at the same task, 0 to 1.")
  var humanError: Double?

  @Flag(inversion: .prefixedNo, help: "Train on one small batch until it is learned by heart.")
  var overfitTest = true

  @Option(help: "Photos listed and shown.")
  var show = 24

  @Option(help: "Contact sheet of the most suspicious labels, PNG (default: in the run).")
  var sheet: FilePath?

  @Option(help: "Table of all photos, CSV (default: in the run).")
  var csv: FilePath?

  @OptionGroup(title: "Every command") var global: GlobalOptions

  func validate() throws {
    if let humanError, !(0...1).contains(humanError) {
      throw ValidationError("--human-error is \(humanError), expected 0 to 1.")
    }
    guard (1...600).contains(show) else {
      throw ValidationError("--show is \(show), expected 1 to 600.")
    }
  }

  func run() throws {
    let session = Session(global)
    var options = DiagnoseFitStage.Options()
    options.humanError = humanError
    options.overfits = overfitTest
    options.shown = show
    options.sheet = sheet
    options.table = csv
    options.seed = global.seed ?? 0
    let stage = DiagnoseFitStage(context: try session.context())
    let result = try stage.diagnose(try subject.subject(), options: options)
    try session.print(result, text: result.text)
  }
}

extension FitFindings {
  /// The verdict, what to try, the numbers and the labels, for people.
  var text: String {
    var lines = [verdict] + (gain.map { ["To be won: \($0)"] } ?? [])
    if !next.isEmpty {
      lines.append("To do, in this order:")
      lines += next.enumerated().map { "  \($0.offset + 1). \($0.element)" } + [""]
    }
    if next.isEmpty { lines.append("") }
    lines.append(partsTable)
    if let signal {
      lines.append(
        "Always answering '\(signal.commonest)' errs on \(Format.percent(signal.baselineError)) of the"
          + " photos, classifiers that have not seen them on \(Format.percent(signal.error)).")
    }
    if let splits {
      lines.append(
        "Splits told apart with an AUC of \(Format.fixed(splits.auc, 3)) (0.5: not at all; chance"
          + " \(Format.significant(splits.chance, 2))).")
    }
    if let overfitTest {
      lines.append(
        "One batch of \(overfitTest.photos) photos: loss \(Format.fixed(overfitTest.firstLoss, 3)) to"
          + " \(Format.fixed(overfitTest.loss, 4)) in \(overfitTest.steps) steps."
          + " \(overfitTest.meaning)")
    }
    lines += hints + labelLines
    if let sheet { lines.append("Contact sheet: \(sheet)") }
    if let csv = self.table { lines.append("All photos: \(csv)") }
    return (lines + notes).joined(separator: "\n")
  }

  /// The parts of the error. What a new head wins is no bias of the network, and is not counted twice.
  private var partsTable: String {
    let isHead = parts.headLoss?.isSignificant ?? false
    var table = TextTable("Part of the error", ">Size", ">Chance alone", "")
    let named = [
      ("avoidable bias", parts.avoidableBias),
      ("of that, a poor head", isHead ? parts.headLoss : nil),
      ("variance", parts.variance), ("mismatch", parts.mismatch),
    ]
    for (name, part) in named {
      guard let part else { continue }
      let isOwn = name != "avoidable bias" || !isHead
      table.append([
        name, Format.percent(part.size), "+- \(Format.percent(part.noise))",
        part.isSignificant && isOwn && status != .indistinct ? "work on it" : "",
      ])
    }
    return table.text(width: OutputSink.tableColumns)
  }

  private var labelLines: [String] {
    let suspects = labels.filter(\.isSuspicious)
    guard !suspects.isEmpty else { return ["", "No label is contradicted by both witnesses."] }
    var table = TextTable("Suspicious label", "Label", "Looks like", ">Score", ">Loss")
    for photo in suspects.prefix(12) {
      table.append([
        photo.path, photo.label, photo.suggestion, Format.fixed(photo.score, 2),
        Format.fixed(photo.loss, 2),
      ])
    }
    return [
      "", "\(counted(suspiciousCount, "suspicious label")):",
      table.text(width: OutputSink.tableColumns),
    ]
  }
}
