// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The values that a parameter may have, as a map from 0...1.
package enum SearchDomain: Hashable, Sendable, Codable {
  /// Every number between two ends is as likely.
  case uniform(ClosedRange<Double>)
  /// Every order of magnitude is as likely; both ends are above 0.
  case logUniform(ClosedRange<Double>)
  /// Whole numbers; `isLogarithmic` as for ``logUniform(_:)``.
  case integer(ClosedRange<Int>, isLogarithmic: Bool)
  /// Words (or numbers taken as such) without an order.
  case choice([String])

  /// Whether its values have no order.
  package var isChoice: Bool { if case .choice = self { true } else { false } }

  /// Whether equal factors are equal steps.
  package var isLogarithmic: Bool {
    switch self {
    case .logUniform: true
    case .integer(_, let isLogarithmic): isLogarithmic
    case .uniform, .choice: false
    }
  }

  /// How many values there are; nil for more than one could count.
  package var count: Int? {
    switch self {
    case .uniform(let range), .logUniform(let range):
      range.lowerBound == range.upperBound ? 1 : nil
    case .integer(let range, _): range.count
    case .choice(let words): words.count
    }
  }

  /// The value at `unit`, 0...1. Numbers are rounded to four digits, so that a recipe stays readable and
  /// says exactly what was tried.
  package func value(at unit: Double) -> SearchValue {
    let unit = min(max(unit, 0), 1)
    switch self {
    case .uniform(let range):
      return .number(SearchDomain.rounded(range.lowerBound + unit * range.length, within: range))
    case .logUniform(let range):
      let (low, high) = (log(range.lowerBound), log(range.upperBound))
      return .number(SearchDomain.rounded(exp(low + unit * (high - low)), within: range))
    case .integer(let range, let isLogarithmic):
      let (low, high) = SearchDomain.ends(range, isLogarithmic)
      let number = low + unit * (high - low)
      let whole = (isLogarithmic ? exp(number) : number).rounded()
      return .whole(min(max(Int(whole), range.lowerBound), range.upperBound))
    case .choice(let words):
      return .word(words[min(Int(unit * Double(words.count)), words.count - 1)])
    }
  }

  /// Where a value lies, 0...1; the nearest end for a number outside, nil for an unknown word.
  package func unit(of value: SearchValue) -> Double? {
    if case .choice(let words) = self {
      return words.firstIndex(of: value.text).map { (Double($0) + 0.5) / Double(words.count) }
    }
    guard let size = value.size else { return nil }
    let position: Double
    switch self {
    case .uniform(let range):
      position = range.length == 0 ? 0.5 : (size - range.lowerBound) / range.length
    case .logUniform(let range):
      let (low, high) = (log(range.lowerBound), log(range.upperBound))
      position = high == low ? 0.5 : (log(max(size, .leastNormalMagnitude)) - low) / (high - low)
    case .integer(let range, let isLogarithmic):
      let (low, high) = SearchDomain.ends(range, isLogarithmic)
      let number = isLogarithmic ? log(max(size, 0.5)) : size
      position = high == low ? 0.5 : (number - low) / (high - low)
    case .choice: return nil
    }
    return min(max(position, 0), 1)
  }

  /// Half a step beyond the ends, so that the first and the last number are as likely as the others.
  private static func ends(_ range: ClosedRange<Int>, _ isLogarithmic: Bool) -> (Double, Double) {
    let (low, high) = (Double(range.lowerBound) - 0.499, Double(range.upperBound) + 0.499)
    return isLogarithmic ? (log(max(low, 0.501)), log(high)) : (low, high)
  }

  private static func rounded(_ number: Double, within range: ClosedRange<Double>) -> Double {
    guard number != 0 else { return number }
    let power = pow(10, 3 - floor(log10(abs(number))))
    let result = power.isFinite ? (number * power).rounded() / power : number
    return min(max(result, range.lowerBound), range.upperBound)
  }
}

extension ClosedRange<Double> {
  var length: Double { upperBound - lowerBound }
}
