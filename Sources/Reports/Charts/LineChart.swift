// SPDX-License-Identifier: Apache-2.0

/// Curves over a common axis as an inline SVG that follows the page's colours.
///
/// Points that are not finite, or have no logarithm on a logarithmic axis, leave a gap. Long series
/// are thinned to at most about 1 000 points in a way that keeps every spike.
public struct LineChart: Sendable {
  /// One curve.
  public struct Series: Sendable {
    /// Name in the legend and the tooltips.
    public let name: String
    /// Positions and values, in drawing order.
    public let points: [(x: Double, y: Double)]
    /// Whether the curve is only a guide (thin and grey), such as unsmoothed values.
    public let isFaint: Bool

    /// A curve through `points`.
    public init(_ name: String, points: [(x: Double, y: Double)], isFaint: Bool = false) {
      self.name = name
      self.points = points
      self.isFaint = isFaint
    }

    /// A curve through values at 1, 2, 3, ...
    public init(_ name: String, values: [Double], startingAt first: Double = 1) {
      self.init(name, points: values.enumerated().map { (first + Double($0.offset), $0.element) })
    }
  }

  /// A vertical line.
  public struct Marker: Sendable {
    /// Where.
    public let x: Double
    /// What for; nil draws a thin line without a label (restarts).
    public let label: String?

    /// A line at `x`.
    public init(x: Double, label: String? = nil) {
      self.x = x
      self.label = label
    }
  }

  /// One axis.
  public struct Axis: Sendable {
    /// What it shows, with the unit.
    public let title: String
    /// Linear or logarithmic.
    public let kind: AxisKind
    /// Values shown at least, whatever the data.
    public let including: [Double]
    /// Values beyond are cut off at the plot's edge, so that a divergence does not flatten the rest.
    public let limit: ClosedRange<Double>?
    /// Whether the labels are percent.
    public let isPercent: Bool

    /// An axis.
    public init(
      _ title: String, kind: AxisKind = .linear, including: [Double] = [],
      limit: ClosedRange<Double>? = nil, isPercent: Bool = false
    ) {
      self.title = title
      self.kind = kind
      self.including = including
      self.limit = limit
      self.isPercent = isPercent
    }
  }

  /// What the chart shows, for screen readers.
  public let title: String
  /// Horizontal axis.
  public let xAxis: Axis
  /// Vertical axis.
  public let yAxis: Axis
  /// The curves; colours repeat after five, with other dashes.
  public let series: [Series]
  /// Vertical lines.
  public let markers: [Marker]

  /// A chart of `series`.
  public init(
    title: String, xAxis: Axis, yAxis: Axis, series: [Series], markers: [Marker] = []
  ) {
    self.title = title
    self.xAxis = xAxis
    self.yAxis = yAxis
    self.series = series
    self.markers = markers
  }

  /// The SVG element, without styles of its own: colours come from ``HTMLReport``'s style sheet.
  public var svg: Markup { LineChartLayout(self).svg }
}

extension LineChart.Axis {
  /// A tick's or tooltip's text.
  func label(_ value: Double, digits: Int = 3) -> String {
    if isPercent { return Format.significant(value * 100, digits) + "\u{A0}%" }
    return Format.significant(value, digits)
  }
}
