// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawReports

@Suite struct MarkupTests {
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
}
