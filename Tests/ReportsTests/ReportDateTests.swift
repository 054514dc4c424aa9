// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawReports

@Suite struct ReportDateTests {
  @Test(arguments: [
    (0, "1 January 1970, 00:00 UTC", "1970-01-01T00:00:00Z"),
    (951_827_696, "29 February 2000, 12:34 UTC", "2000-02-29T12:34:56Z"),
    (1_795_645_144, "25 November 2026, 22:19 UTC", "2026-11-25T22:19:04Z"),
  ])
  func datesAreWrittenInUTC(seconds: Int, text: String, machine: String) throws {
    let date = try #require(ReportDate(seconds))
    #expect(date.text == text && date.machine == machine)
  }

  @Test func aPagesDateIsFoundAgain() {
    var content = ReportContent(title: "<time datetime=\"1999-01-01T00:00:00Z\">")
    #expect(ReportDate(ofPage: HTMLReport(content).html) == nil)
    content.date = 1_795_645_144
    content.manifest = try? SampleReport.manifest(["a"])
    #expect(ReportDate(ofPage: HTMLReport(content).html)?.seconds == 1_795_645_144)
    #expect(ReportDate(ofPage: "") == nil && ReportDate(ofPage: "<time datetime=\"2026\"") == nil)
    #expect(ReportDate(Int.max) == nil)
  }
}
