// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A moment as a page names it, in UTC, whatever the locale.
package struct ReportDate: Sendable, Hashable {
  /// Seconds since 1970.
  package let seconds: Int
  /// For people: "25 November 2026, 22:19 UTC".
  package let text: String
  /// For machines: "2026-11-25T22:19:04Z".
  package let machine: String

  /// The moment `seconds` after 1970; nil outside the years 0 to 9999.
  package init?(_ seconds: Int) {
    var (time, parts) = (time_t(seconds), tm())
    guard gmtime_r(&time, &parts) != nil else { return nil }
    let year = Int(parts.tm_year) + 1900
    guard (0...9999).contains(year) else { return nil }
    self.seconds = seconds
    let month = Int(parts.tm_mon)
    let clock = "\(Self.digits(Int(parts.tm_hour), 2)):\(Self.digits(Int(parts.tm_min), 2))"
    let day = Int(parts.tm_mday)
    text = "\(day) \(Self.months[month]) \(year), \(clock) UTC"
    machine =
      "\(Self.digits(year, 4))-\(Self.digits(month + 1, 2))-\(Self.digits(day, 2))T\(clock):"
      + "\(Self.digits(Int(parts.tm_sec), 2))Z"
  }

  /// The date of a page that ``HTMLReport`` wrote; nil when it has none.
  package init?(ofPage html: String) {
    let mark = "<time datetime=\""
    guard let start = html.firstRange(of: mark)?.upperBound else { return nil }
    let numbers = html[start...].prefix(20).split { !$0.isASCII || !$0.isNumber }.compactMap {
      Int($0)
    }
    guard numbers.count == 6 else { return nil }
    var parts = tm()
    parts.tm_year = Int32(clamping: numbers[0] - 1900)
    parts.tm_mon = Int32(clamping: numbers[1] - 1)
    parts.tm_mday = Int32(clamping: numbers[2])
    parts.tm_hour = Int32(clamping: numbers[3])
    parts.tm_min = Int32(clamping: numbers[4])
    parts.tm_sec = Int32(clamping: numbers[5])
    self.init(timegm(&parts))
  }

  private static let months = [
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
  ]

  private static func digits(_ number: Int, _ width: Int) -> String {
    let text = String(number)
    return String(repeating: "0", count: max(width - text.count, 0)) + text
  }
}
