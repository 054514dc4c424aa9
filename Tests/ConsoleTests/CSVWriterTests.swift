// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawConsole

@Suite struct CSVWriterTests {
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
