// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import ThawConsole
import ThawDatasets
import ThawFiles
import ThawInference
package import ThawRuns

extension OpenRun {
  /// A review is about one class a photo.
  ///
  /// - Throws: ``PipelineError/usage(_:)`` where photos may have several labels.
  func requireOneLabel() throws(PipelineError) {
    guard manifest.severalLabels else { return }
    throw .usage(
      "a review gives each photo one class, and photos of this run may have several. Correct the table of"
        + " labels and prepare again; predictions.csv of thaw evaluate has what contradicts it most."
    )
  }
}

/// Let people look at doubtful photos in the browser, and keep what they decide.
package struct ReviewStage {
  private let run: OpenRun

  /// Works in `run`, which nobody else changes meanwhile.
  package init(_ run: OpenRun) { self.run = run }

  /// What is said when the page is there.
  package struct Opened: Sendable, Encodable {
    /// With the token; nobody without it is answered.
    package let address: String
    /// Photos to look at.
    package let count: Int
    /// Those that nobody has decided about.
    package let open: Int
    /// Where decisions go.
    package let review: String
  }

  /// Serves the page until somebody interrupts the command.
  ///
  /// - Parameter onOpen: called when it answers.
  /// - Returns: how many decisions were made.
  /// - Throws: ``PipelineError/usage(_:)`` where photos may have several labels, or for a port that is taken;
  ///   errors of the model.
  package func serve(
    port: Int, seed: UInt64, onOpen: (Opened) throws -> Void
  ) throws -> Int {
    let queue = try ReviewQueue(run, seed: seed)
    let listener = try LoopbackListener(port: port)
    let run = run
    // One after the other: heads use all threads.
    let turn = Turn()
    let session = try ReviewSession(run, queue: queue, port: listener.port) {
      try turn.take { try ReviewGain(run, ReviewDecisions(contentsOf: run.directory.review)) }
    }
    try onOpen(
      Opened(
        address: session.address, count: queue.items.count, open: session.openCount,
        review: run.directory.review.displayed))
    try listener.run(until: { Interruption.isRequested }) { session.answer($0, $1) }
    return session.decisionCount
  }
}
