// SPDX-License-Identifier: Apache-2.0

import Glibc
import Synchronization
import Testing
import ThawConsole

/// A sink and a clock in memory.
private final class Recorder: Sendable {
  let text = Mutex("")
  let time = Mutex(100.0)

  func sink(isTerminal: Bool, columns: Int = 80) -> OutputSink {
    OutputSink(isTerminal: isTerminal, columns: { columns }) { text in
      self.text.withLock { $0 += text }
    }
  }

  func line(_ total: Int?, isTerminal: Bool, columns: Int = 80, quiet: Bool = false) -> ProgressLine
  {
    ProgressLine(
      "cache", total: total, isQuiet: quiet, sink: sink(isTerminal: isTerminal, columns: columns),
      clock: { self.time.withLock { $0 } })
  }

  func pass(_ seconds: Double) { time.withLock { $0 += seconds } }
  var now: Double { time.withLock { $0 } }
  var written: String { text.withLock { $0 } }
}

@Suite struct ColourTests {
  private func written(hasColour: Bool, _ body: (OutputSink) -> Void) -> String {
    let text = Mutex("")
    body(
      OutputSink(isTerminal: true, hasColour: hasColour) { part in text.withLock { $0 += part } })
    return text.withLock { $0 }
  }

  @Test func onlyLabelsAndHeadingsAreColoured() {
    func say(_ sink: OutputSink) {
      sink.write(message: "a\u{1B}[31m", label: "error: ")
      sink.write(message: "b", label: "warning: ")
      sink.write(message: "c")
      sink.write(heading: "1/5 d")
    }
    #expect(
      written(hasColour: true, say)
        == "\u{1B}[1;31merror: \u{1B}[0ma\\x1b[31m\n\u{1B}[1;33mwarning: \u{1B}[0mb\nc\n"
        + "\u{1B}[1m1/5 d\u{1B}[0m\n")
    #expect(written(hasColour: false, say) == "error: a\\x1b[31m\nwarning: b\nc\n1/5 d\n")
  }

  @Test func wordsAreWrapped() {
    #expect(TextWrap.lines("one two three", width: 7) == ["one two", "three"])
    #expect(
      TextWrap.lines("- one two three", width: 7, hanging: 2) == ["- one", "  two", "  three"])
    #expect(TextWrap.lines("immeasurable", width: 3) == ["immeasurable"])
    #expect(TextWrap.text("", width: 3) == "")
    #expect(TextWrap.lines("猫猫 猫", width: 5) == ["猫猫", "猫"])
  }
}

@Suite struct ProgressLineTests {
  @Test func aTerminalLineIsRewrittenAtMostTenTimesASecond() {
    let recorder = Recorder()
    let line = recorder.line(1000, isTerminal: true)
    for _ in 0..<1000 {
      recorder.pass(0.01)
      line.advance()
    }
    let draws = recorder.written.components("\r\u{1B}[K")
    #expect(draws.count > 80 && draws.count <= 101)
    #expect(!recorder.written.contains("\n"))
    #expect(draws[50].contains("/1000 photos") && draws[50].contains("100 photos/s"))
    #expect(draws[50].contains(" s left"))
    line.finish()
    #expect(recorder.written.hasSuffix("\r\u{1B}[Kcache  1000 photos in 10.0 s, 100 photos/s\n"))
    line.advance()
    line.finish()
    #expect(recorder.written.components("\n").count == 2)
  }

  @Test func otherOutputGetsFewPlainLines() {
    let recorder = Recorder()
    let line = recorder.line(1000, isTerminal: false)
    for _ in 0..<1000 {
      recorder.pass(0.1)
      line.advance(detail: "epoch 3")
    }
    let lines = recorder.written.components("\n").dropLast()
    #expect(lines.count == 10)
    #expect(!recorder.written.contains("\u{1B}") && !recorder.written.contains("\r"))
    #expect(lines.first == "cache  100/1000 photos  10 %  1 min 30 s left  10 photos/s  epoch 3")
  }

  @Test func workOfNoTimeIsNotWorthALine() {
    let recorder = Recorder()
    let line = recorder.line(3, isTerminal: true)
    let other = recorder.line(3, isTerminal: false)
    recorder.pass(0.4)
    other.advance(by: 3)
    other.finish()
    line.finish()
    #expect(recorder.written.isEmpty)
    let last = recorder.line(1, isTerminal: false)
    recorder.pass(0.6)
    last.advance()
    last.finish()
    #expect(recorder.written == "cache  1 photo in 0.60 s, 1.67 photos/s\n")
  }

  @Test func aStepsLinesTakeThePlaceOfProgressInALog() {
    let recorder = Recorder()
    let line = ProgressLine(
      "head", total: 100, unit: "steps", saysSteps: true, sink: recorder.sink(isTerminal: false),
      clock: { recorder.now })
    for step in 1...100 {
      recorder.pass(1)
      line.advance()
      if step % 25 == 0 { line.say("  epoch \(step / 25)/4  \(line.timeLeft ?? "-")") }
    }
    #expect(
      recorder.written
        == "  epoch 1/4  1 min 15 s left\n  epoch 2/4  50 s left\n  epoch 3/4  25 s left\n"
        + "  epoch 4/4  0 s left\n")
  }

  @Test func aHeadingStandsOnlyAboveSomething() {
    let recorder = Recorder()
    let console = Console(sink: recorder.sink(isTerminal: false))
    console.head("1/2 Nothing to say")
    console.head("2/2 Something")
    console.say("it")
    console.say("more")
    #expect(recorder.written == "2/2 Something\nit\nmore\n")
  }

  @Test func shortWorkElsewhereWritesOnlyTheSummary() {
    let recorder = Recorder()
    let line = recorder.line(50, isTerminal: false)
    for _ in 0..<50 {
      recorder.pass(0.02)
      line.advance()
    }
    line.finish("all 50 photos cached")
    #expect(recorder.written == "cache  all 50 photos cached\n")
  }

  @Test func quietWritesNothing() {
    let recorder = Recorder()
    let line = recorder.line(10, isTerminal: true, quiet: true)
    recorder.pass(50)
    line.advance(by: 10)
    line.say("a warning")
    line.finish()
    #expect(recorder.written.isEmpty)
  }

  @Test func linesFitTheTerminal() {
    for columns in [1, 10, 40, 200] {
      let recorder = Recorder()
      let line = recorder.line(1000, isTerminal: true, columns: columns)
      for step in 0..<30 {
        recorder.pass(1)
        line.advance(detail: "epoch 猫", loss: Double(step))
      }
      for draw in recorder.written.components("\r\u{1B}[K") {
        #expect(DisplayWidth.columns(of: draw) <= max(columns - 1, 1))
      }
    }
  }

  @Test func messagesStandAboveTheLine() {
    let recorder = Recorder()
    let line = recorder.line(10, isTerminal: true)
    line.advance()
    line.say("skipped \u{1B}[31mbad.jpg")
    line.advance()
    #expect(recorder.written.contains("\r\u{1B}[Kskipped \\x1b[31mbad.jpg\n\r\u{1B}[Kcache"))
  }

  @Test func aLineThatAnErrorLeavesBehindIsEnded() {
    let recorder = Recorder()
    do { recorder.line(10, isTerminal: true).advance() }
    #expect(recorder.written.hasSuffix("\n"))
    let length = recorder.written.utf8.count
    do {
      let line = recorder.line(10, isTerminal: true)
      line.finish("done")
    }
    #expect(recorder.written.dropFirst(length).filter { $0 == "\n" }.count == 1)
  }

  @Test func timeLeftIsSmoothAndNeverNegative() {
    var estimate = ProgressEstimate(time: 0, count: 500)
    #expect(estimate.rate == nil && estimate.secondsLeft(total: 1000, time: 0) == nil)
    for second in 1...20 { estimate.update(time: Double(second), count: 500 + second * 10) }
    #expect(abs((estimate.rate ?? 0) - 10) < 1e-9)
    #expect(abs((estimate.secondsLeft(total: 1000, time: 20) ?? 0) - 30) < 1e-9)
    estimate.update(time: 20.1, count: 800)
    #expect((estimate.rate ?? 1000) < 30)
    #expect(estimate.secondsLeft(total: 700, time: 21) == 0)
    estimate.update(time: 15, count: 900)
    #expect((estimate.rate ?? 1000) < 30)
  }

  @Test func aReaderThatHasGoneIsIgnored() throws {
    var ends: [Int32] = [0, 0]
    try #require(pipe(&ends) == 0)
    close(ends[0])
    let sink = OutputSink.descriptor(ends[1])
    sink.write("first\n")
    sink.write("second\n")
    var pending = sigset_t()
    sigpending(&pending)
    #expect(sigismember(&pending, SIGPIPE) == 0)
    close(ends[1])
    sink.write("closed\n")
    #expect(!sink.isTerminal)
  }

  @Test func anOpenDescriptorReceivesTheText() throws {
    var ends: [Int32] = [0, 0]
    try #require(pipe(&ends) == 0)
    OutputSink.descriptor(ends[1]).write("caf\u{E9}\n")
    var bytes = [UInt8](repeating: 0, count: 16)
    let count = read(ends[0], &bytes, bytes.count)
    #expect(Array(bytes.prefix(max(count, 0))) == Array("caf\u{E9}\n".utf8))
    close(ends[0])
    close(ends[1])
  }
}

@Suite struct TextTableTests {
  @Test func columnsAreAligned() {
    var table = TextTable("Group", ">Parameters")
    table.append(["blocks.0", "928"])
    table.append(["猫\n", "10304"])
    #expect(
      table.text() == """
        Group     Parameters
        --------  ----------
        blocks.0         928
        猫\\n           10304

        """)
  }

  @Test func wideTablesAreCutToTheWidth() {
    var table = TextTable("Path", ">Share")
    table.append([String(repeating: "ü", count: 300), "12 %"])
    for width in [8, 20, 80] {
      let lines = table.text(width: width).components("\n").dropLast()
      #expect(lines.count == 3)
      #expect(lines.allSatisfy { DisplayWidth.columns(of: $0) <= width })
    }
    #expect(table.text(width: 20).contains("…   12 %"))
  }

  @Test func widthsFollowTheTerminal() {
    #expect(DisplayWidth.columns(of: "abc") == 3)
    #expect(DisplayWidth.columns(of: "猫カ한") == 6)
    #expect(DisplayWidth.columns(of: "e\u{301}é") == 2)
    #expect(DisplayWidth.columns(of: "👩‍🔬🙂") == 4)
    #expect(DisplayWidth.truncated("猫猫猫", to: 4) == "猫…")
    #expect(DisplayWidth.truncated("abc", to: 0) == "")
  }

  @Test func sparklinesSpanTheRange() {
    #expect(Sparkline.text([1, 2, 3, 8]) == "▁▂▃█")
    #expect(Sparkline.text([3, 3]) == "▅▅")
    #expect(Sparkline.text([.nan, 1]) == " ▅")
    #expect(Sparkline.text((0..<1000).map(Double.init), width: 8) == "▁▂▃▄▅▆▇█")
    #expect(Sparkline.text([]) == "")
  }
}

extension String {
  /// The parts between occurrences of `separator`.
  fileprivate func components(_ separator: String) -> [String] {
    split(separator: separator, omittingEmptySubsequences: false).map(String.init)
  }
}
