// SPDX-License-Identifier: Apache-2.0

import Foundation
import ThawFiles
import ThawInference
import ThawReports

/// Write `report.html`: everything a run has, on one page.
package struct ReportStage {
  private let run: OpenRun

  /// Works in `run`.
  package init(_ run: OpenRun) { self.run = run }

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
  /// A page that would say the same as the one that is there keeps its date, and its bytes.
  ///
  /// - Throws: ``PipelineError/notPrepared(_:needs:command:)`` before training.
  package func write() throws -> Summary {
    var content = try RunReport(run).content()
    let path = run.directory.report
    let old = FileSystem.exists(path) ? try FileSystem.read(path) : []
    content.date = ReportDate(ofPage: String(decoding: old, as: UTF8.self))?.seconds
    var bytes = Array(HTMLReport(content).html.utf8)
    if bytes != old {
      content.date = Int(Date().timeIntervalSince1970)
      bytes = Array(HTMLReport(content).html.utf8)
      try AtomicFile.write(path, bytes: bytes)
    }
    return Summary(report: path.displayed, bytes: bytes.count, unchanged: bytes == old)
  }
}
