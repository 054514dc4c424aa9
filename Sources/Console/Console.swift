// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// Where a stage reports what it does, progress and remarks: on stderr, or to an observer.
package struct Console: Sendable {
  /// Something a stage reports, for a program that shows it in its own way.
  package enum Event: Sendable {
    /// One line about what happens.
    case note(String)
    /// Something to look at.
    case warning(String)
    /// `completed` units of the work called `label` are done.
    case progress(label: String, completed: Int, total: Int?, unit: String)
  }

  private let isQuiet: Bool
  private let sink: OutputSink
  private let observer: (@Sendable (Event) -> Void)?
  private let heading = Heading()

  /// - Parameter isQuiet: nothing but warnings is written.
  package init(isQuiet: Bool = false, sink: OutputSink = .standardError) {
    self.isQuiet = isQuiet
    self.sink = sink
    observer = nil
  }

  /// Writes nothing anywhere; `observer` is told everything, from whatever thread it happens on.
  package init(observer: @escaping @Sendable (Event) -> Void) {
    isQuiet = true
    sink = OutputSink(isTerminal: false) { _ in }
    self.observer = observer
  }

  /// What the next lines are about: a line of its own before them, and none when nothing follows.
  package func head(_ text: String) { heading.set(text) }

  /// One message about what happens.
  package func say(_ text: String) {
    if let observer { return observer(.note(text)) }
    guard !isQuiet else { return }
    heading.write(to: sink)
    sink.write(message: text)
  }

  /// A finished text of several lines, such as a table, as it is laid out.
  package func show(_ text: String) {
    if let observer { return observer(.note(text)) }
    guard !isQuiet else { return }
    heading.write(to: sink)
    sink.write(text.hasSuffix("\n") ? text : text + "\n")
  }

  /// Something the user should look at; never stops a run.
  package func warn(_ text: String) {
    if let observer { return observer(.warning(text)) }
    if !isQuiet { heading.write(to: sink) }
    sink.write(message: text, label: "warning: ")
  }

  /// The progress of a stage; nothing is written before its first tick.
  ///
  /// - Parameter saysSteps: whether the caller writes lines about its steps
  ///   (``ProgressLine/say(_:)``), so that a log needs hardly any others.
  package func progress(
    _ label: String, total: Int?, unit: String = "photos", completed: Int = 0,
    saysSteps: Bool = false
  ) -> ProgressLine {
    let tell: (@Sendable (Int) -> Void)? = observer.map { observer in
      { @Sendable completed in
        observer(.progress(label: label, completed: completed, total: total, unit: unit))
      }
    }
    return ProgressLine(
      label, total: total, unit: unit, completed: completed, isQuiet: isQuiet,
      saysSteps: saysSteps, sink: sink, heading: heading, observer: tell)
  }
}

/// A line that waits for something to stand above.
package final class Heading: Sendable {
  private let text = Mutex<String?>(nil)

  func set(_ new: String) { text.withLock { $0 = new } }

  /// Writes the line, once.
  func write(to sink: OutputSink) {
    let taken = text.withLock { text in
      defer { text = nil }
      return text
    }
    if let taken { sink.write(heading: taken) }
  }
}
