// SPDX-License-Identifier: Apache-2.0

/// A curve in one line of text.
package enum Sparkline {
  /// The values as blocks of eight heights, the lowest value lowest.
  ///
  /// More values than `width` are averaged in equal stretches. Values that are not finite are
  /// shown as spaces; equal ones all in the middle.
  package static func text(_ values: [Double], width: Int = 16) -> String {
    precondition(width > 0, "A sparkline needs at least one column, got \(width).")
    let count = min(values.count, width)
    let means = (0..<count).map { index -> Double in
      let stretch = values[index * values.count / count..<(index + 1) * values.count / count]
      let finite = stretch.filter(\.isFinite)
      return finite.isEmpty ? .nan : finite.reduce(0, +) / Double(finite.count)
    }
    let finite = means.filter(\.isFinite)
    guard let low = finite.min(), let high = finite.max() else {
      return String(repeating: " ", count: count)
    }
    let blocks = Array("▁▂▃▄▅▆▇█")
    return String(
      means.map { value in
        guard value.isFinite else { return " " }
        let part = high > low ? (value - low) / (high - low) : 0.5
        return blocks[min(Int(part * 8), 7)]
      })
  }
}
