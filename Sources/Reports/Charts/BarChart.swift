// SPDX-License-Identifier: Apache-2.0

import ThawConsole
import ThawFiles

/// Horizontal bars, one row or group of rows a category, as an inline SVG.
///
/// Horizontal because class names are long and many. Names that do not fit are shortened in the
/// middle and whole in the tooltip. Values that are not finite, or negative, have no bar.
package struct BarChart: Sendable {
  /// How several series share a category.
  package enum Arrangement: Sendable {
    /// End to end: parts of a whole, with the total written behind.
    case stacked
    /// Below each other, with each value written behind.
    case grouped
  }

  /// What the chart shows, for screen readers.
  package let title: String
  /// Names of the categories.
  package let categories: [String]
  /// Name and values of each series, one value a category.
  package let series: [(name: String, values: [Double])]
  /// Stacked or grouped.
  package let arrangement: Arrangement
  /// Value at the right edge; the largest one when nil.
  package let maximum: Double?
  /// Whether values are written as percent rather than as counts.
  package let isPercent: Bool

  /// A chart of `series` over `categories`.
  package init(
    title: String, categories: [String], series: [(name: String, values: [Double])],
    arrangement: Arrangement, maximum: Double? = nil, isPercent: Bool = false
  ) {
    for (name, values) in series {
      precondition(
        values.count == categories.count,
        "Series \(name) has \(values.count) values for \(categories.count) categories.")
    }
    self.title = title
    self.categories = categories
    self.series = series
    self.arrangement = arrangement
    self.maximum = maximum
    self.isPercent = isPercent
  }

  /// One bar in the units of the view box.
  package struct Bar: Sendable {
    package let category: Int
    package let series: Int
    package let x: Double
    package let y: Double
    package let width: Double
    package let height: Double
  }

  package var width: Double { 440 }
  package var height: Double { Double(categories.count) * rowHeight + 4 }

  private static let characterWidth = 7.0
  private static let nameLimit = 22

  private var rowHeight: Double {
    arrangement == .stacked ? 20 : Double(series.count) * 11 + 9
  }
  private var left: Double {
    let longest = categories.map { min(VisibleText.escape($0).count, Self.nameLimit) }.max() ?? 0
    return Double(longest) * Self.characterWidth + 10
  }
  private var right: Double { width - 52 }

  /// The bars, category by category.
  package var bars: [Bar] {
    let scale = (right - left) / largest
    return categories.indices.flatMap { category -> [Bar] in
      var (x, y) = (left, Double(category) * rowHeight + 4)
      return series.indices.map { index in
        let length = min(value(index, category), largest) * scale
        defer { if arrangement == .stacked { x += length } else { y += 11 } }
        let thickness = arrangement == .stacked ? 13.0 : 9
        return Bar(
          category: category, series: index, x: x, y: y, width: length, height: thickness)
      }
    }
  }

  /// The figure, with a legend when there are several series.
  package var svg: Markup {
    """
    <figure class="chart">\(legend)<svg viewBox="0 0 \(width) \(height)" role="img" \
    aria-label="\(title)">\(Markup.joined(bars.map(element)))\(names)</svg></figure>
    """
  }

  private var largest: Double {
    let totals = categories.indices.map { category -> Double in
      let values = series.indices.map { value($0, category) }
      return arrangement == .stacked ? values.reduce(0, +) : values.max() ?? 0
    }
    return max(maximum ?? totals.max() ?? 1, 1e-9)
  }

  private func value(_ index: Int, _ category: Int) -> Double {
    let value = series[index].values[category]
    return value.isFinite ? max(value, 0) : 0
  }

  private func label(_ value: Double) -> String {
    isPercent ? Format.percent(value, decimals: 0) : Format.grouped(Int(value.rounded()))
  }

  private var legend: Markup {
    guard series.count > 1 else { return "" }
    let items = series.enumerated().map { index, item -> Markup in
      """
      <span><svg class="key" viewBox="0 0 12 10" aria-hidden="true"><rect class="f\
      \(index % ChartPalette.seriesCount)" width="12" height="10"/></svg>\(item.name)</span>
      """
    }
    return "<figcaption class=\"legend\">\(Markup.joined(items, separator: " "))</figcaption>"
  }

  private func element(_ bar: Bar) -> Markup {
    let raw = series[bar.series].values[bar.category]
    var result: Markup = """
      <rect class="f\(bar.series % ChartPalette.seriesCount)" x="\(bar.x)" y="\(bar.y)" \
      width="\(bar.width)" height="\(bar.height)"><title>\(categories[bar.category]), \
      \(series[bar.series].name): \(raw.isFinite ? label(raw) : "n/a")</title></rect>
      """
    let total = series.indices.reduce(0) { $0 + value($1, bar.category) }
    guard arrangement == .grouped || bar.series == series.count - 1 else { return result }
    let text = arrangement == .grouped ? (raw.isFinite ? label(raw) : "n/a") : label(total)
    let small = arrangement == .grouped && series.count > 1
    result += """
      <text class="\(small ? "small" : "start")" x="\(bar.x + bar.width + 5)" \
      y="\(bar.y + bar.height - (small ? 1 : 2))">\(text)</text>
      """
    return result
  }

  private var names: Markup {
    let bandHeight = arrangement == .stacked ? 13.0 : Double(series.count) * 11
    return .joined(
      categories.enumerated().map { index, name in
        let shown = VisibleText.shortened(VisibleText.escape(name), to: Self.nameLimit)
        return """
          <text class="end" x="\(left - 7)" y="\(Double(index) * rowHeight + 8 + bandHeight / 2)">\
          <title>\(name)</title>\(shown)</text>
          """
      })
  }
}
