// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawConsole
import ThawReports

@Suite struct TextSafetyTests {
  @Test func hiddenCharactersBecomeVisible() {
    #expect(VisibleText.escape("a\nb\t\u{1B}[31m\u{7F}") == "a\\nb\\t\\x1b[31m\\x7f")
    #expect(VisibleText.escape("photo\u{202E}gpj.exe") == "photo\\u{202e}gpj.exe")
    #expect(VisibleText.escape("\r\n") == "\\r\\n")
    #expect(VisibleText.escape("Zoë 猫 שלום 👩‍🔬") == "Zoë 猫 שלום 👩‍🔬")
  }

  @Test func shorteningKeepsBothEnds() {
    #expect(VisibleText.shortened("abcdefghij", to: 10) == "abcdefghij")
    #expect(VisibleText.shortened("abcdefghij", to: 6) == "abc…ij")
    #expect(VisibleText.shortened("abc", to: 0) == "…")
  }

  @Test func interpolatedTextCannotLeaveTextOrAttribute() {
    let hostile = "\"><img src=x onerror='alert(1)'>&\n\u{202E}"
    let markup: Markup = "<p title=\"\(hostile)\">\(hostile)</p>"
    let safe =
      "&quot;&gt;&lt;img src=x onerror=&#39;alert(1)&#39;&gt;&amp;\\n\\u{202e}"
    #expect(markup.text == "<p title=\"\(safe)\">\(safe)</p>")
  }

  @Test func markupIsInsertedOnceEscaped() {
    let inner: Markup = "<b>\("<")</b>"
    let outer: Markup = "<p>\(inner)\(1.5)\(2)</p>"
    #expect(outer.text == "<p><b>&lt;</b>1.52</p>")
    #expect(Markup(escaping: "a & b").text == "a &amp; b")
    // A combining mark after a bracket forms one Character with it; it is escaped nevertheless.
    #expect(Markup(escaping: "<\u{338}script").text == "&lt;\u{338}script")
  }

  @Test func csvQuotesAsTheStandardSays() {
    var csv = CSVWriter(header: ["path", "label"])
    csv.append(["a,b.jpg", "say \"cheese\""])
    csv.append(["line\r\nbreak", ""])
    #expect(
      csv.text == "path,label\r\n\"a,b.jpg\",\"say \"\"cheese\"\"\"\r\n\"line\r\nbreak\",\r\n")
  }

  @Test(arguments: [
    ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"), ("@SUM(A1)", "'@SUM(A1)"), ("+1-1", "'+1-1"),
    ("-name.jpg", "'-name.jpg"), ("\tx", "'\tx"), ("\rx", "\"'\rx\""), ("\r\nx", "\"'\r\nx\""),
    ("-1.5e-3", "-1.5e-3"), ("+2", "+2"), ("-", "'-"), ("0.98", "0.98"), ("a=b", "a=b"),
    ("-0x1p3", "'-0x1p3"), ("-inf", "'-inf"), ("", ""),
  ])
  func csvGuardsFormulas(value: String, cell: String) {
    #expect(CSVWriter.cell(value) == cell)
  }
}
