// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import SystemPackage
import ThawRuns

/// `thaw report`
struct Report: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Write report.html: one page with everything about a run.")

  @Option(name: .customLong("run"), help: "Run directory.")
  var directory: RunDirectory

  @OptionGroup(title: "Every command") var global: GlobalOptions

  func run() throws {
    let session = Session(global)
    let summary = try ReportStage(session.open(directory)).write()
    try session.print(
      summary, text: "\(summary.report)\(summary.unchanged ? " is up to date." : " written.")")
  }
}
