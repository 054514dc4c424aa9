// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Numbers as text, the same on every machine: '.' as decimal sign, whatever the locale.
///
/// Not-a-number is written "n/a" and the infinities "inf" and "-inf" by every function.
package enum Format {
  /// Exactly `decimals` digits after the point: `fixed(0.9482, 2)` is "0.95".
  ///
  /// Halves round away from zero. A value that rounds to zero has no sign. Beyond 2^53 units of
  /// the last digit the result is in scientific notation.
  package static func fixed(_ value: Double, _ decimals: Int) -> String {
    precondition((0...15).contains(decimals), "0 to 15 decimals can be written, got \(decimals).")
    guard value.isFinite else { return nonFinite(value) }
    let unit = pow(10, Double(decimals))
    let scaled = (abs(value) * unit).rounded()
    guard scaled < 9_007_199_254_740_992 else { return scientific(value, digits: 6) }
    let digits = String(UInt64(scaled))
    let sign = value < 0 && scaled > 0 ? "-" : ""
    guard decimals > 0 else { return sign + digits }
    let padded = String(repeating: "0", count: max(decimals + 1 - digits.count, 0)) + digits
    return "\(sign)\(padded.dropLast(decimals)).\(padded.suffix(decimals))"
  }

  /// At most `digits` significant digits, without trailing zeros: "0.948", "12.3", "3e-4", "1.2e7".
  ///
  /// Scientific notation is used below 1e-3 and from 1e6 on.
  package static func significant(_ value: Double, _ digits: Int = 3) -> String {
    precondition((1...15).contains(digits), "1 to 15 digits can be written, got \(digits).")
    guard value.isFinite else { return nonFinite(value) }
    guard value != 0 else { return "0" }
    let (_, exponent) = decimalParts(value, digits: digits)
    if exponent < -3 || exponent >= 6 { return scientific(value, digits: digits) }
    let decimals = digits - 1 - exponent
    if decimals <= 0 {
      let unit = pow(10, Double(-decimals))
      return fixed((value / unit).rounded() * unit, 0)
    }
    return trimmed(fixed(value, min(decimals, 15)))
  }

  /// A proportion as percent: `percent(0.9482)` is "94.8 %".
  ///
  /// Rounding never claims perfection: a value below 1 is never written as 100 %, nor one above 0
  /// as 0 %. `separator` stands before the sign; terminals get a plain space.
  package static func percent(
    _ proportion: Double, decimals: Int = 1, separator: String = "\u{A0}"
  ) -> String {
    guard proportion.isFinite else { return nonFinite(proportion) }
    var text = fixed(proportion * 100, decimals)
    let step = pow(10, Double(-decimals))
    if proportion < 1, proportion > 0.5, text == fixed(100, decimals) {
      text = fixed(100 - step, decimals)
    }
    if proportion > 0, text == fixed(0, decimals) { text = "<" + fixed(step, decimals) }
    return text + separator + "%"
  }

  /// A length of time: "0.42 s", "12.3 s", "2 min 03 s", "1 h 02 min", "3 d 04 h".
  ///
  /// Negative times are written as 0.
  package static func duration(seconds: Double) -> String {
    guard seconds.isFinite else { return nonFinite(seconds) }
    let time = max(seconds, 0)
    if time < 0.9995 { return fixed(time, 2) + " s" }
    if time < 59.95 { return fixed(time, 1) + " s" }
    return wholeDuration(Int(min(time.rounded(), 1e15)))
  }

  /// A size in decimal units: "512 B", "1.20 kB", "18.6 MB".
  package static func bytes(_ count: Int) -> String {
    let magnitude = abs(Double(count))
    return magnitude < 1000 ? "\(count) B" : scaled(Double(count)) + "B"
  }

  /// A count with an SI prefix: "950", "12.5 k", "4.65 M".
  package static func count(_ count: Int) -> String {
    abs(Double(count)) < 1000 ? "\(count)" : scaled(Double(count))
  }

  /// All digits of a count, in threes: "4 652 008" with narrow no-break spaces.
  ///
  /// Four digits are left together ("1247").
  package static func grouped(_ count: Int, separator: String = "\u{202F}") -> String {
    let digits = Array(String(count.magnitude))
    guard digits.count > 4 else { return "\(count)" }
    var text = count < 0 ? "-" : ""
    for (index, digit) in digits.enumerated() {
      if index > 0 && (digits.count - index) % 3 == 0 { text += separator }
      text.append(digit)
    }
    return text
  }

  private static func wholeDuration(_ seconds: Int) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400)
    if hours < 1 { return "\(minutes) min \(twoDigits(seconds % 60)) s" }
    if days < 1 { return "\(hours) h \(twoDigits(minutes % 60)) min" }
    return "\(days) d \(twoDigits(hours % 24)) h"
  }

  private static func twoDigits(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }

  /// Three digits and an SI prefix, for magnitudes from 1000 on.
  private static func scaled(_ value: Double) -> String {
    let prefixes = ["", "k", "M", "G", "T", "P", "E"]
    var (number, index) = (abs(value), 0)
    while number >= 999.5 && index < prefixes.count - 1 {
      (number, index) = (number / 1000, index + 1)
    }
    let decimals = number >= 99.95 ? 0 : number >= 9.995 ? 1 : 2
    return "\(value < 0 ? "-" : "")\(fixed(number, decimals)) \(prefixes[index])"
  }

  private static func scientific(_ value: Double, digits: Int) -> String {
    let (mantissa, exponent) = decimalParts(value, digits: digits)
    return "\(trimmed(fixed(mantissa, min(digits - 1, 15))))e\(exponent)"
  }

  /// Mantissa in [1, 10) after rounding to `digits`, and the power of ten.
  private static func decimalParts(_ value: Double, digits: Int) -> (Double, Int) {
    var exponent = Int(floor(log10(abs(value))))
    // Two steps, because 10^-exponent overflows for subnormal numbers.
    var mantissa =
      value * pow(10, Double(-exponent / 2)) * pow(10, Double(-exponent + exponent / 2))
    let unit = pow(10, Double(digits - 1))
    if (abs(mantissa) * unit).rounded() >= 10 * unit {
      (mantissa, exponent) = (mantissa / 10, exponent + 1)
    }
    if (abs(mantissa) * unit).rounded() < unit {
      (mantissa, exponent) = (mantissa * 10, exponent - 1)
    }
    return (mantissa, exponent)
  }

  private static func trimmed(_ text: String) -> String {
    guard text.contains(".") else { return text }
    var result = Substring(text)
    while result.hasSuffix("0") { result.removeLast() }
    if result.hasSuffix(".") { result.removeLast() }
    return String(result)
  }

  private static func nonFinite(_ value: Double) -> String {
    value.isNaN ? "n/a" : value < 0 ? "-inf" : "inf"
  }
}
