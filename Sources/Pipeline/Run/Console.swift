// SPDX-License-Identifier: Apache-2.0

public import Reports

/// Where a stage reports what it does: progress and remarks, all on stderr.
public struct Console: Sendable {
  private let isQuiet: Bool
  private let sink: OutputSink

  /// - Parameter isQuiet: nothing but warnings is written.
  public init(isQuiet: Bool = false, sink: OutputSink = .standardError) {
    self.isQuiet = isQuiet
    self.sink = sink
  }

  /// One line about what happens.
  public func say(_ text: String) {
    if !isQuiet { sink.write(text + "\n") }
  }

  /// Something the user should look at; never stops a run.
  public func warn(_ text: String) { sink.write("warning: \(text)\n") }

  /// For example `93.5 %`.
  static func percent(_ share: Double) -> String { Format.percent(share) }

  /// The progress of a stage; nothing is written before its first tick.
  public func progress(_ label: String, total: Int?, unit: String = "photos", completed: Int = 0)
    -> ProgressLine
  {
    ProgressLine(
      label, total: total, unit: unit, completed: completed, isQuiet: isQuiet, sink: sink)
  }
}
