// SPDX-License-Identifier: Apache-2.0

import Glibc
import ThawFiles

/// Somewhere to write text for people: a terminal, a log, or a test's memory.
///
/// Everything written is text with names from outside in it, so control characters and direction
/// marks are made visible here and at no caller (``VisibleText``); only line feeds stay. Writing
/// never fails and never ends the program: progress is not worth losing a training for.
package struct OutputSink: Sendable {
  /// Whether lines can be rewritten.
  package let isTerminal: Bool
  /// Whether block characters and the like can be shown.
  package let hasUnicode: Bool
  /// Whether words may be coloured.
  package let hasColour: Bool
  /// Columns at this moment.
  package let columns: @Sendable () -> Int
  /// Takes text that is safe to show.
  private let receive: @Sendable (String) -> Void

  /// A sink made of its parts; `write` gets what may be shown as it is.
  package init(
    isTerminal: Bool, hasUnicode: Bool = true, hasColour: Bool = false,
    columns: @escaping @Sendable () -> Int = { 80 }, write: @escaping @Sendable (String) -> Void
  ) {
    self.isTerminal = isTerminal
    self.hasUnicode = hasUnicode
    self.hasColour = hasColour
    self.columns = columns
    receive = write
  }

  /// Writes text, of several lines or a part of one.
  package func write(_ text: String) { receive(VisibleText.escapeLines(text)) }

  /// Writes a line that stands above others.
  package func write(heading text: String) {
    receive(styled(VisibleText.escapeLines(text), .bold) + "\n")
  }

  /// Writes text in place of the line the cursor is on: back to the first column, erase, write.
  package func rewriteLine(_ text: String) {
    receive("\r\u{1B}[K" + VisibleText.escapeLines(text))
  }

  /// Writes a message that begins with `label`; its further lines are indented, so that none of them
  /// can be taken for a message of its own, whatever names it quotes.
  package func write(message: String, label: String = "") {
    let indent = String(repeating: " ", count: label.isEmpty ? 2 : label.count)
    let lines = message.split(separator: "\n", omittingEmptySubsequences: false)
    let text = VisibleText.escapeLines(lines.joined(separator: "\n" + indent) + "\n")
    receive(styled(label, label == "error: " ? .red : .yellow) + text)
  }

  /// How a word is shown; numbers of ECMA-48.
  private enum Style: Int {
    case bold = 1
    case red = 31
    case yellow = 33
  }

  private func styled(_ text: String, _ style: Style) -> String {
    guard hasColour, !text.isEmpty else { return text }
    return "\u{1B}[\(style == .bold ? "" : "1;")\(style.rawValue)m\(text)\u{1B}[0m"
  }

  /// Standard error; lines are rewritten when it is a terminal that can (TERM is not "dumb").
  package static var standardError: OutputSink { descriptor(STDERR_FILENO) }

  package static var standardOutput: OutputSink { descriptor(STDOUT_FILENO) }

  /// How wide tables may be: as the terminal that shows them, or 120 columns in a file, which nobody
  /// widens afterwards.
  package static var tableColumns: Int {
    let terminal = [standardOutput, standardError].first(where: \.isTerminal)
    return terminal.map { max($0.columns(), 40) } ?? 120
  }

  /// An open file descriptor. A closed one, a full disk or a reader that has gone are ignored.
  package static func descriptor(_ descriptor: Int32) -> OutputSink {
    let terminal = environment("TERM")
    let locale = [environment("LC_ALL"), environment("LC_CTYPE"), environment("LANG")]
    let encoding = locale.first { !$0.isEmpty } ?? ""
    let isTerminal = isatty(descriptor) == 1 && terminal != "dumb" && !terminal.isEmpty
    return OutputSink(
      isTerminal: isTerminal, hasUnicode: encoding.lowercased().contains("utf"),
      // https://no-color.org: any value but an empty one.
      hasColour: isTerminal && environment("NO_COLOR").isEmpty,
      columns: { width(of: descriptor) },
      write: { writeIgnoringErrors(Array($0.utf8), to: descriptor) })
  }

  private static func environment(_ name: String) -> String {
    getenv(name).map { String(cString: $0) } ?? ""
  }

  private static func width(of descriptor: Int32) -> Int {
    var size = winsize()
    guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
    return Int(size.ws_col)
  }

  /// Writes all bytes or gives up.
  ///
  /// A write to a pipe without a reader raises SIGPIPE, which would end the program. It is blocked
  /// on this thread for the time of the write and taken off the queue, so that the program's own
  /// handling of the signal stays as it is.
  private static func writeIgnoringErrors(_ bytes: [UInt8], to descriptor: Int32) {
    var pipe = sigset_t()
    var before = sigset_t()
    var pending = sigset_t()
    sigemptyset(&pipe)
    sigaddset(&pipe, SIGPIPE)
    sigpending(&pending)
    let wasPending = sigismember(&pending, SIGPIPE) == 1
    pthread_sigmask(SIG_BLOCK, &pipe, &before)
    let isBroken = !writeAll(bytes, to: descriptor)
    if isBroken && !wasPending {
      var now = timespec()
      while sigtimedwait(&pipe, nil, &now) == -1 && errno == EINTR {}
    }
    pthread_sigmask(SIG_SETMASK, &before, nil)
  }

  private static func writeAll(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
    bytes.withUnsafeBytes { buffer in
      var done = 0
      while done < buffer.count {
        let rest = UnsafeRawBufferPointer(rebasing: buffer[done...])
        let count = Glibc.write(descriptor, rest.baseAddress, rest.count)
        if count < 0 && errno == EINTR { continue }
        if count <= 0 { return false }
        done += count
      }
      return true
    }
  }
}
