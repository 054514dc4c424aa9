// SPDX-License-Identifier: Apache-2.0

import ArgumentParser

/// `thaw diagnose`
struct Diagnose: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "diagnose",
    abstract: "Find out why a network does not do what it should.",
    subcommands: [
      DiagnoseBatchNorm.self, DiagnosePreprocessing.self, DiagnoseFit.self, DiagnoseErrors.self,
      DiagnoseShortcuts.self,
      DiagnoseGradients.self,
    ])
}
