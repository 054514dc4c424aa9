// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawFiles

@Suite struct VisibleTextTests {
  @Test func hiddenCharactersBecomeVisible() {
    #expect(VisibleText.escape("a\nb\t\u{1B}[31m\u{7F}") == "a\\nb\\t\\x1b[31m\\x7f")
    #expect(VisibleText.escape("photo\u{202E}gpj.exe") == "photo\\u{202e}gpj.exe")
    #expect(VisibleText.escape("\r\n") == "\\r\\n")
    #expect(VisibleText.escape("Zoë 猫 שלום 👩‍🔬") == "Zoë 猫 שלום 👩‍🔬")
    #expect(VisibleText.escape("\u{9B}2J") == "\\u{9b}2J")
  }

  @Test func escapingTwiceChangesNothing() {
    let once = VisibleText.escape("\u{1B}[2J\\\n\u{202E}\u{9B}")
    #expect(VisibleText.escape(once) == once)
  }

  @Test func linesKeepTheirEnds() {
    #expect(VisibleText.escapeLines("a\nb\u{1B}c\r\n") == "a\nb\\x1bc\\r\n")
  }

  @Test func namesOfFilesStayDifferent() {
    #expect(VisibleText.escape(fileName: [0x61, 0xFF, 0x1B]) == "a\\xff\\x1b")
    #expect(VisibleText.escape(fileName: "\\xff".utf8) == "\\\\xff")
    // Kept in manifests as the names of classes: what an earlier version left alone stays alone.
    #expect(VisibleText.escape(fileName: "a\u{200B}\u{FEFF}".utf8) == "a\u{200B}\u{FEFF}")
  }

  @Test func shorteningKeepsBothEnds() {
    #expect(VisibleText.shortened("abcdefghij", to: 10) == "abcdefghij")
    #expect(VisibleText.shortened("abcdefghij", to: 6) == "abc…ij")
    #expect(VisibleText.shortened("abc", to: 0) == "…")
  }
}
