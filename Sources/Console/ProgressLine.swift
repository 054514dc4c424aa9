// SPDX-License-Identifier: Apache-2.0

import Glibc
import Synchronization
import ThawFiles

/// How far a stage is, its rate and the time left.
///
/// On a terminal one line is rewritten at most ten times a second and erased at the end; elsewhere
/// plain lines appear at every tenth of the work, but at least five seconds apart (and every 30
/// seconds at least when something moves; every five when the end is not known). Work that took less than half a second is not worth a
/// line. It may be ticked from any thread.
package final class ProgressLine: Sendable {
  private struct State {
    var completed: Int
    var detail = ""
    var losses: [Double] = []
    var estimate: ProgressEstimate
    var lastDrawn: Double?
    var lastTenth: Int
    var isShown = false
    var isFinished = false
  }

  private let label: String
  private let total: Int?
  private let unit: String
  private let saysSteps: Bool
  private let sink: OutputSink?
  private let heading: Heading?
  private let observer: (@Sendable (Int) -> Void)?
  private let clock: @Sendable () -> Double
  private let start: Double
  private let first: Int
  private let state: Mutex<State>

  /// Starts a stage; nothing is written before the first tick.
  ///
  /// - Parameters:
  ///   - total: units of work in all; nil when unknown, then there is no time left.
  ///   - unit: what is counted, in the plural.
  ///   - completed: units done in an earlier run.
  ///   - isQuiet: writes nothing at all.
  ///   - saysSteps: whether the caller says what a log should have, see ``say(_:)``: elsewhere than on
  ///     a terminal a line of progress then appears only after 30 seconds of silence.
  ///   - heading: written before the first line.
  ///   - observer: called with the units done at every tick, also when nothing is written.
  ///   - clock: seconds from any origin, never going back.
  package init(
    _ label: String, total: Int?, unit: String = "photos", completed: Int = 0,
    isQuiet: Bool = false, saysSteps: Bool = false, sink: OutputSink = .standardError,
    heading: Heading? = nil, observer: (@Sendable (Int) -> Void)? = nil,
    clock: @escaping @Sendable () -> Double = ProgressLine.monotonicSeconds
  ) {
    self.label = VisibleText.escape(label)
    self.total = total
    self.unit = unit
    self.saysSteps = saysSteps
    self.sink = isQuiet ? nil : sink
    self.heading = heading
    self.observer = observer
    self.clock = clock
    start = clock()
    first = completed
    let tenth = Self.tenth(completed, of: total)
    state = Mutex(
      State(
        completed: completed, estimate: .init(time: start, count: completed), lastTenth: tenth))
  }

  /// A line that an error leaves behind is ended, so that the error has a line of its own.
  deinit {
    let isOpen = state.withLock { $0.isShown && !$0.isFinished }
    if isOpen { sink?.write("\n") }
  }

  /// Seconds on the system's monotonic clock.
  package static let monotonicSeconds: @Sendable () -> Double = {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
  }

  /// Notes `count` more units and, when given, a detail such as the epoch, and the loss.
  package func advance(by count: Int = 1, detail: String? = nil, loss: Double? = nil) {
    tick(detail: detail, loss: loss) { $0 + count }
  }

  /// Notes that `completed` units are done.
  package func update(completed: Int, detail: String? = nil, loss: Double? = nil) {
    tick(detail: detail, loss: loss) { _ in completed }
  }

  /// Writes a whole line above the progress line, such as a warning or what an epoch came to.
  package func say(_ message: String) {
    guard let sink else { return }
    state.withLock { state in
      let isShown = state.isShown
      state.isShown = false
      state.lastDrawn = sink.isTerminal ? nil : saysSteps ? clock() : state.lastDrawn
      if !isShown { heading?.write(to: sink) }
      Self.write(VisibleText.escape(message) + "\n", to: sink, replacing: isShown)
    }
  }

  /// Time until all is done, for people; nil while unknown.
  package var timeLeft: String? {
    guard let total else { return nil }
    return state.withLock { $0.estimate.secondsLeft(total: total, time: clock()) }.map(Self.text)
  }

  private static func text(secondsLeft seconds: Double) -> String {
    let whole = seconds.rounded(.up)
    return whole < 60 ? "\(Int(whole)) s left" : Format.duration(seconds: whole) + " left"
  }

  /// Erases the line and writes what was done: `summary`, or the count, time and rate.
  ///
  /// Further ticks, and a second call, do nothing.
  package func finish(_ summary: String? = nil) {
    guard let sink else { return }
    state.withLock { state in
      guard !state.isFinished else { return }
      state.isFinished = true
      let seconds = max(clock() - start, 0)
      guard summary != nil || state.isShown || seconds >= 0.5 else { return }
      let counted = state.completed == 1 && unit.hasSuffix("s") ? String(unit.dropLast()) : unit
      var text = "\(Format.grouped(state.completed, separator: " ")) \(counted) in "
      text += Format.duration(seconds: seconds)
      if seconds > 0, state.completed > first {
        text += ", \(Format.significant(Double(state.completed - first) / seconds)) \(unit)/s"
      }
      let line = "\(label)  " + (summary.map(VisibleText.escape) ?? text)
      if !state.isShown { heading?.write(to: sink) }
      Self.write(line + "\n", to: sink, replacing: state.isShown)
    }
  }

  private static func write(_ text: String, to sink: OutputSink, replacing isShown: Bool) {
    if isShown { sink.rewriteLine(text) } else { sink.write(text) }
  }

  private static func tenth(_ completed: Int, of total: Int?) -> Int {
    guard let total, total > 0 else { return 0 }
    return Int(Double(completed) / Double(total) * 10 + 1e-9)
  }

  private func tick(detail: String?, loss: Double?, _ count: (Int) -> Int) {
    guard sink != nil || observer != nil else { return }
    state.withLock { state in
      guard !state.isFinished else { return }
      state.completed = max(count(state.completed), 0)
      observer?(state.completed)
      guard let sink else { return }
      let now = clock()
      if let detail { state.detail = VisibleText.escape(detail) }
      if let loss { Self.remember(loss, in: &state.losses) }
      state.estimate.update(time: now, count: state.completed)
      guard isDue(state, now, sink) else { return }
      state.lastDrawn = now
      state.lastTenth = Self.tenth(state.completed, of: total)
      let parts = parts(of: state, now, sink)
      if !state.isShown { heading?.write(to: sink) }
      guard sink.isTerminal else { return sink.write(parts.joined(separator: "  ") + "\n") }
      state.isShown = true
      // One column stays free: a full line makes some terminals wrap.
      sink.rewriteLine(Self.joined(parts, width: sink.columns() - 1))
    }
  }

  private func isDue(_ state: State, _ now: Double, _ sink: OutputSink) -> Bool {
    let since = now - (state.lastDrawn ?? (sink.isTerminal ? -.infinity : start))
    if sink.isTerminal { return since >= 0.1 }
    let isNewTenth = Self.tenth(state.completed, of: total) > state.lastTenth
    if saysSteps { return since >= 30 }
    // Where nobody knows how much is left, a log must at least show that it goes on.
    return since >= 30 || (since >= 5 && (total == nil || isNewTenth))
  }

  /// Keeps the curve of all losses in bounded memory by averaging neighbours.
  private static func remember(_ loss: Double, in losses: inout [Double]) {
    losses.append(loss)
    guard losses.count >= 512 else { return }
    losses = stride(from: 0, to: losses.count - 1, by: 2).map { (losses[$0] + losses[$0 + 1]) / 2 }
  }

  /// The line's parts, the most important first.
  private func parts(of state: State, _ now: Double, _ sink: OutputSink) -> [String] {
    var parts = [label]
    if let total {
      parts.append("\(state.completed)/\(total) \(unit)")
      let share = total > 0 ? Double(min(state.completed, total)) / Double(total) : 1
      parts.append(Format.fixed((share * 100).rounded(.down), 0) + " %")
    } else {
      parts.append("\(state.completed) \(unit)")
    }
    if let left = total.flatMap({ state.estimate.secondsLeft(total: $0, time: now) }) {
      parts.append(Self.text(secondsLeft: left))
    }
    if let rate = state.estimate.rate { parts.append("\(Format.significant(rate)) \(unit)/s") }
    if !state.detail.isEmpty { parts.append(state.detail) }
    if let loss = state.losses.last { parts.append("loss \(Format.significant(loss))") }
    if state.losses.count > 1 && sink.isTerminal && sink.hasUnicode {
      parts.append(Sparkline.text(state.losses))
    }
    return parts
  }

  /// As many parts as fit; the first is cut when even it does not.
  private static func joined(_ parts: [String], width: Int) -> String {
    var line = DisplayWidth.truncated(parts[0], to: max(width, 1))
    for part in parts.dropFirst() {
      guard DisplayWidth.columns(of: line) + 2 + DisplayWidth.columns(of: part) <= width else {
        break
      }
      line += "  " + part
    }
    return line
  }
}
