// SPDX-License-Identifier: Apache-2.0

/// When an entry of a zip archive was changed last.
enum ZIPTime {
  /// Nanoseconds since 1970: by the field that Unix programs write, whole seconds as they have it, or by
  /// the date and the time of DOS, taken as universal time; 0 for none.
  static func modified(extra: [UInt8], time: UInt16, date: UInt16) -> Int {
    if let seconds = unixTime(extra) { return seconds * 1_000_000_000 }
    let (year, month, day) = (1980 + Int(date >> 9), Int(date >> 5 & 15), Int(date & 31))
    guard (1...12).contains(month), (1...31).contains(day) else { return 0 }
    let clock = Int(time >> 11) * 3600 + Int(time >> 5 & 63) * 60 + Int(time & 31) * 2
    return (days(year, month, day) * 86400 + clock) * 1_000_000_000
  }

  /// The extended timestamp, field 0x5455: flags, then the time of change in four bytes if bit 0 is set.
  private static func unixTime(_ extra: [UInt8]) -> Int? {
    var at = 0
    while at + 4 <= extra.count {
      let identifier = Int(extra[at]) | Int(extra[at + 1]) << 8
      let length = Int(extra[at + 2]) | Int(extra[at + 3]) << 8
      guard at + 4 + length <= extra.count else { return nil }
      if identifier == 0x5455, length >= 5, extra[at + 4] & 1 == 1 {
        let value = (0..<4).reduce(UInt32(0)) {
          $0 | UInt32(extra[at + 5 + $1]) << (8 * UInt32($1))
        }
        return Int(Int32(bitPattern: value))
      }
      at += 4 + length
    }
    return nil
  }

  /// Days from 1970 to a date.
  ///
  /// - Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", days_from_civil.
  private static func days(_ year: Int, _ month: Int, _ day: Int) -> Int {
    let year = month <= 2 ? year - 1 : year
    let era = year / 400
    let yearOfEra = year - era * 400
    let dayOfYear = (153 * ((month + 9) % 12) + 2) / 5 + day - 1
    let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
    return era * 146_097 + dayOfEra - 719_468
  }
}
