// SPDX-License-Identifier: Apache-2.0

import Foundation
import Synchronization
import Testing
import ThawConsole

/// What leaves through the console.
@Suite struct OutputTests {
  private final class Recorder: Sendable {
    private let text = Mutex("")
    var written: String { text.withLock { $0 } }
    func sink() -> OutputSink {
      OutputSink(isTerminal: true) { text in self.text.withLock { $0 += text } }
    }
  }

  private static let name = "\u{1B}[2J\u{9B}1m\u{202E}\nerror: forged"

  @Test func namesInMessagesDoNotAct() {
    let recorder = Recorder()
    let console = Console(sink: recorder.sink())
    console.say("classes: \(Self.name)")
    console.warn(Self.name)
    let shown = "\\x1b[2J\\u{9b}1m\\u{202e}"
    #expect(
      recorder.written == """
        classes: \(shown)
          error: forged
        warning: \(shown)
                 error: forged

        """)
  }

  @Test func tablesAreShownAsLaidOut() {
    let recorder = Recorder()
    Console(sink: recorder.sink()).show("a  b\n-  -\n\u{1B}\n")
    #expect(recorder.written == "a  b\n-  -\n\\x1b\n")
    Console(isQuiet: true, sink: recorder.sink()).show("nothing")
    #expect(!recorder.written.contains("nothing"))
  }

  @Test func theProgressLineIsStillRewritten() {
    let recorder = Recorder()
    recorder.sink().rewriteLine("50 %\u{1B}[2J")
    #expect(recorder.written == "\r\u{1B}[K50 %\\x1b[2J")
  }

  @Test func aDocumentIsExactExceptOnATerminal() {
    let csv = PrintedResult.document("path,label\r\n\"\u{1B}[2J\nb\",x\r\n")
    #expect(csv.written(toTerminal: false) == "path,label\r\n\"\u{1B}[2J\nb\",x\r\n")
    #expect(csv.written(toTerminal: true) == "path,label\n\"\\x1b[2J\nb\",x\n")
    let text = PrintedResult.text("\u{1B}[2J\n")
    #expect(text.written(toTerminal: false) == "\\x1b[2J\n")
  }

  @Test func jsonWritesOutWhatActsAndReadsBack() throws {
    let names = [Self.name, "tag \u{E0067}", "caf\u{E9} 猫"]
    let text = try JSONText.of(names)
    #expect(text.contains(#"\u009b1m\u202e\nerror"#) && text.contains(#"\udb40\udc67"#))
    #expect(text.contains("caf\u{E9} 猫"))
    #expect(try JSONDecoder().decode([String].self, from: Data(text.utf8)) == names)
  }
}
