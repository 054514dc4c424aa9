// SPDX-License-Identifier: Apache-2.0

import ThawConsole

/// Curves over a common axis as an inline SVG that follows the page's colours.
///
/// Points that are not finite, or have no logarithm on a logarithmic axis, leave a gap. Long series
/// are thinned to at most about 1 000 points in a way that keeps every spike.
package struct LineChart: Sendable {
  /// One curve.
  package struct Series: Sendable {
    /// Name in the legend and the tooltips.
    package let name: String
    /// Positions and values, in drawing order.
    package let points: [(x: Double, y: Double)]
    /// Whether the curve is only a guide (thin and grey), such as unsmoothed values.
    package let isFaint: Bool

    /// A curve through `points`.
    package init(_ name: String, points: [(x: Double, y: Double)], isFaint: Bool = false) {
      self.name = name
      self.points = points
      self.isFaint = isFaint
    }

    /// A curve through values at 1, 2, 3, ...
    package init(_ name: String, values: [Double], startingAt first: Double = 1) {
      self.init(name, points: values.enumerated().map { (first + Double($0.offset), $0.element) })
    }
  }

  /// A vertical line.
  package struct Marker: Sendable {
    /// Where.
    package let x: Double
    /// What for; nil draws a thin line without a label (restarts).
    package let label: String?

    /// A line at `x`.
    package init(x: Double, label: String? = nil) {
      self.x = x
      self.label = label
    }
  }

  package struct Axis: Sendable {
    /// What it shows, with the unit.
    package let title: String
    /// Linear or logarithmic.
    package let kind: AxisKind
    /// Values shown at least, whatever the data.
    package let including: [Double]
    /// Values beyond are cut off at the plot's edge, so that a divergence does not flatten the rest.
    package let limit: ClosedRange<Double>?
    /// Whether the labels are percent.
    package let isPercent: Bool
    /// Whether it counts, so that only whole numbers are labelled.
    package let isCount: Bool

    /// An axis.
    package init(
      _ title: String, kind: AxisKind = .linear, including: [Double] = [],
      limit: ClosedRange<Double>? = nil, isPercent: Bool = false, isCount: Bool = false
    ) {
      self.title = title
      self.kind = kind
      self.including = including
      self.limit = limit
      self.isPercent = isPercent
      self.isCount = isCount
    }
  }

  /// What the chart shows, for screen readers.
  package let title: String
  /// Horizontal axis.
  package let xAxis: Axis
  /// Vertical axis.
  package let yAxis: Axis
  /// The curves; colours repeat after five, with other dashes.
  package let series: [Series]
  /// Vertical lines.
  package let markers: [Marker]

  /// A chart of `series`.
  package init(
    title: String, xAxis: Axis, yAxis: Axis, series: [Series], markers: [Marker] = []
  ) {
    self.title = title
    self.xAxis = xAxis
    self.yAxis = yAxis
    self.series = series
    self.markers = markers
  }

  /// The SVG element, without styles of its own: colours come from ``HTMLReport``'s style sheet.
  package var svg: Markup { LineChartLayout(self).svg }
}

extension LineChart.Axis {
  /// A tick's or tooltip's text.
  func label(_ value: Double, digits: Int = 3) -> String {
    if isPercent { return Format.significant(value * 100, digits) + "\u{A0}%" }
    return Format.significant(value, digits)
  }
}
