// SPDX-License-Identifier: Apache-2.0

import ThawFiles
package import ThawInference
import ThawReports

/// Write `report.html`: everything a run has, on one page.
package struct ReportStage {
  private let run: RunDirectory
  private let context: StageContext

  /// Works in `run`.
  package init(_ run: RunDirectory, context: StageContext) {
    self.run = run
    self.context = context
  }

  /// What was written.
  package struct Summary: Encodable, Sendable {
    /// The page.
    package let report: String
    /// Its size in bytes.
    package let bytes: Int
    /// Whether it is as it was before.
    package let unchanged: Bool
  }

  /// Writes the report from the manifest, the model, the history and the metrics.
  ///
  /// - Throws: ``PipelineError/notPrepared(_:needs:command:)`` before training.
  package func write() throws -> Summary {
    try run.require(run.recipe, from: "thaw prepare DATA")
    let lock = try run.lock()
    defer { withExtendedLifetime(lock) {} }
    let content = try RunReport(run, context: context).content()
    let bytes = Array(HTMLReport(content).html.utf8)
    let old = FileSystem.exists(run.report) ? try FileSystem.read(run.report) : []
    if bytes != old { try AtomicFile.write(run.report, bytes: bytes) }
    return Summary(report: run.report.displayed, bytes: bytes.count, unchanged: bytes == old)
  }
}
