// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import ThawBackbones
import ThawConsole
import ThawInference
import ThawOneDNN

/// `thaw doctor`
struct Doctor: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "What this machine offers and lacks: one screen, for a look and for bug reports.",
    discussion: "Ends with 0 also when something is amiss; --offline leaves the network out.")

  @OptionGroup(title: "Every command") var global: GlobalOptions

  func run() throws {
    let session = Session(global)
    let examination = try Examination(
      threads: global.threads ?? ComputeThreads.allowed,
      store: Result { try PretrainedStore.locate() }, asksNetwork: !global.offline)
    try session.print(examination, text: examination.text(width: min(OutputSink.tableColumns, 80)))
  }
}
