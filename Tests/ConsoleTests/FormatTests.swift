// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawConsole

@Suite struct FormatTests {
  @Test(arguments: [
    (0.9482, 2, "0.95"), (-0.004, 2, "0.00"), (12, 0, "12"), (-1.5, 1, "-1.5"), (0.05, 3, "0.050"),
    (.nan, 2, "n/a"), (-.infinity, 1, "-inf"), (1e300, 2, "1e300"), (999.999, 2, "1000.00"),
  ])
  func fixedWritesExactlyTheDecimals(value: Double, decimals: Int, text: String) {
    #expect(Format.fixed(value, decimals) == text)
  }

  @Test(arguments: [
    (0.0, "0"), (0.94819, "0.948"), (12.34, "12.3"), (0.001, "0.001"), (3e-4, "3e-4"),
    (1234, "1230"), (9.999, "10"), (999_999, "1e6"), (1.25e7, "1.25e7"), (-0.0213, "-0.0213"),
    (.leastNonzeroMagnitude, "4.94e-324"), (1.7976931348623157e308, "1.8e308"),
    (0.0009999, "0.001"),
  ])
  func significantKeepsThreeDigits(value: Double, text: String) {
    #expect(Format.significant(value) == text)
  }

  @Test(arguments: [
    (0.9482, "94.8 %"), (1, "100.0 %"), (0.99999, "99.9 %"), (0.00001, "<0.1 %"), (0, "0.0 %"),
    (.nan, "n/a"),
  ])
  func percentNeverRoundsToPerfection(value: Double, text: String) {
    #expect(Format.percent(value, separator: " ") == text)
  }

  @Test(arguments: [
    (0.416, "0.42 s"), (0.9999, "1.0 s"), (12.34, "12.3 s"), (59.99, "1 min 00 s"),
    (123, "2 min 03 s"), (3599.7, "1 h 00 min"), (3725, "1 h 02 min"), (273_600, "3 d 04 h"),
    (-4, "0.00 s"),
  ])
  func durationsReadNaturally(seconds: Double, text: String) {
    #expect(Format.duration(seconds: seconds) == text)
  }

  @Test func bytesAndCountsHaveThreeDigits() {
    #expect(Format.bytes(512) == "512 B")
    #expect(Format.bytes(1200) == "1.20 kB")
    #expect(Format.bytes(18_640_000) == "18.6 MB")
    #expect(Format.bytes(999_999) == "1.00 MB")
    #expect(Format.count(950) == "950")
    #expect(Format.count(4_652_008) == "4.65 M")
    #expect(Format.grouped(4_652_008, separator: " ") == "4 652 008")
    #expect(Format.grouped(1247, separator: " ") == "1247")
    #expect(Format.grouped(-12_470, separator: " ") == "-12 470")
  }
}
