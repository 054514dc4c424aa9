// SPDX-License-Identifier: Apache-2.0

import Glibc

/// How an axis turns values into positions.
package enum AxisKind: Sendable, Hashable {
  /// Equal steps.
  case linear
  /// Equal factors; only values above 0 have a position.
  case logarithmic
}

/// A map from values to positions along one axis, with readable tick values.
///
/// Positions grow (or fall) strictly with the values; equal ends of the domain are moved apart.
package struct AxisScale: Sendable {
  /// Linear or logarithmic.
  package let kind: AxisKind
  /// Smallest and largest value shown.
  package let domain: ClosedRange<Double>
  /// Position of the smallest and of the largest value.
  package let positions: (start: Double, end: Double)
  /// Values to label, ascending, all inside the domain.
  package let ticks: [Double]

  /// Shows the finite `values` (above 0 when logarithmic) from `start` to `end`.
  ///
  /// A linear domain is extended to the next ticks when `isRounded`; without any value it is 0...1.
  /// The ticks of a linear axis `ofCounts` (epochs, steps) are whole numbers.
  package init(
    _ kind: AxisKind, showing values: some Sequence<Double>, from start: Double, to end: Double,
    tickCount: Int = 5, isRounded: Bool = false, ofCounts: Bool = false
  ) {
    self.kind = kind
    positions = (start, end)
    let usable = values.filter { $0.isFinite && (kind == .linear || $0 > 0) }
    let range = Self.opened(usable.min() ?? (kind == .linear ? 0 : 0.1), usable.max() ?? 1, kind)
    guard kind == .linear else {
      domain = range
      ticks = Self.logarithmicTicks(range, count: tickCount)
      return
    }
    let nice = Self.niceStep((range.upperBound - range.lowerBound) / Double(max(tickCount, 1)))
    let step = ofCounts ? nice.rounded(.up) : nice
    let low = isRounded ? floor(range.lowerBound / step + 1e-9) * step : range.lowerBound
    let high = isRounded ? ceil(range.upperBound / step - 1e-9) * step : range.upperBound
    domain = low...max(high, low + step / 2)
    ticks = Self.linearTicks(domain, step: step)
  }

  /// Position of `value`, or nil when it has none (not finite, or not above 0 on a logarithmic axis).
  ///
  /// Values outside the domain get positions outside the axis.
  package func position(_ value: Double) -> Double? {
    guard value.isFinite, kind == .linear || value > 0 else { return nil }
    let (low, high) = (domain.lowerBound, domain.upperBound)
    let part =
      kind == .linear
      ? (value - low) / (high - low) : (log(value) - log(low)) / (log(high) - log(low))
    return positions.start + part * (positions.end - positions.start)
  }

  /// The next of 1, 2, 2.5, 5 and 10 times a power of ten that is not below `raw`.
  package static func niceStep(_ raw: Double) -> Double {
    guard raw.isFinite, raw > 0 else { return 1 }
    let power = pow(10, floor(log10(raw)))
    let step = [1, 2, 2.5, 5, 10].first { $0 * power >= raw * (1 - 1e-9) } ?? 10
    return step * power
  }

  private static func opened(_ low: Double, _ high: Double, _ kind: AxisKind) -> ClosedRange<Double>
  {
    guard kind == .linear else { return low < high * 0.999 ? low...high : low / 2...high * 2 }
    let span = high - low
    let smallest = max(abs(low), abs(high)) * 1e-9
    if span > smallest && span.isFinite { return low...high }
    let margin = max(abs(low) * 0.1, 0.5)
    return low - margin...low + margin
  }

  private static func linearTicks(_ domain: ClosedRange<Double>, step: Double) -> [Double] {
    let first = ceil(domain.lowerBound / step - 1e-9)
    let last = floor(domain.upperBound / step + 1e-9)
    guard last >= first, last - first < 100 else { return [domain.lowerBound, domain.upperBound] }
    return (0...Int(last - first)).map { offset in
      let tick = (first + Double(offset)) * step
      return min(max(tick, domain.lowerBound), domain.upperBound)
    }
  }

  /// Powers of ten, every n-th when there are too many; with 2 and 5 (or linear steps) when few.
  private static func logarithmicTicks(_ domain: ClosedRange<Double>, count: Int) -> [Double] {
    let decades = log10(domain.upperBound) - log10(domain.lowerBound)
    if decades < 0.7 {
      let step = niceStep((domain.upperBound - domain.lowerBound) / Double(max(count, 1)))
      return linearTicks(domain, step: step)
    }
    let factors: [Double] = decades < 2.5 ? [1, 2, 5] : [1]
    let first = Int(floor(log10(domain.lowerBound)))
    let last = Int(ceil(log10(domain.upperBound)))
    let every = max(1, (last - first) / max(count, 1))
    return stride(from: first, through: last, by: every).flatMap { exponent in
      factors.map { $0 * pow(10, Double(exponent)) }
    }.filter { domain.contains($0) }
  }
}
