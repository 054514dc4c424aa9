// SPDX-License-Identifier: Apache-2.0

/// Where a stage reports what it does: progress and remarks, all on stderr.
package struct Console: Sendable {
  private let isQuiet: Bool
  private let sink: OutputSink

  /// - Parameter isQuiet: nothing but warnings is written.
  package init(isQuiet: Bool = false, sink: OutputSink = .standardError) {
    self.isQuiet = isQuiet
    self.sink = sink
  }

  /// One message about what happens.
  package func say(_ text: String) {
    if !isQuiet { sink.write(message: text) }
  }

  /// A finished text of several lines, such as a table, as it is laid out.
  package func show(_ text: String) {
    if !isQuiet { sink.write(text.hasSuffix("\n") ? text : text + "\n") }
  }

  /// Something the user should look at; never stops a run.
  package func warn(_ text: String) { sink.write(message: text, label: "warning: ") }

  /// For example `93.5 %`.
  package static func percent(_ share: Double) -> String { Format.percent(share) }

  /// The progress of a stage; nothing is written before its first tick.
  package func progress(_ label: String, total: Int?, unit: String = "photos", completed: Int = 0)
    -> ProgressLine
  {
    ProgressLine(
      label, total: total, unit: unit, completed: completed, isQuiet: isQuiet, sink: sink)
  }
}
