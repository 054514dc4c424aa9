// SPDX-License-Identifier: Apache-2.0

/// Where everything in a line chart goes, in the units of its view box.
package struct LineChartLayout {
  /// A plotted point with the values it stands for.
  package struct Point: Sendable {
    package let x: Double
    package let y: Double
    package let value: (x: Double, y: Double)
  }

  /// Width of the view box.
  package let width = 440.0
  /// Height of the view box.
  package let height: Double
  /// Edges of the plot inside the view box.
  package let plot: (left: Double, top: Double, right: Double, bottom: Double)
  /// Horizontal scale.
  package let x: AxisScale
  /// Vertical scale; positions fall as values grow.
  package let y: AxisScale
  /// For each series its unbroken runs of points.
  package let runs: [[[Point]]]
  /// Labelled markers and the row above the plot their label stands in.
  package let markerRows: [(marker: LineChart.Marker, x: Double, row: Int)]

  /// Rows of labels above the plot; the first begins with the vertical axis's title.
  private let rowCount: Int
  private let chart: LineChart
  private static let characterWidth = 6.4

  /// Lays `chart` out.
  package init(_ chart: LineChart) {
    self.chart = chart
    let xs = chart.series.flatMap { $0.points.map(\.x) } + chart.xAxis.including
    let ys = chart.series.flatMap { $0.points.map(\.y) } + chart.yAxis.including
    let shownYs = chart.yAxis.limit.map { limit in
      ys.filter(\.isFinite).map { min(max($0, limit.lowerBound), limit.upperBound) }
    }
    func vertical(_ bottom: Double, _ top: Double) -> AxisScale {
      AxisScale(chart.yAxis.kind, showing: shownYs ?? ys, from: bottom, to: top, isRounded: true)
    }
    let labels = vertical(1, 0).ticks.map { chart.yAxis.label($0).count }
    let left = Double(labels.max() ?? 3) * Self.characterWidth + 12
    let right = width - 14
    x = AxisScale(
      chart.xAxis.kind, showing: xs, from: left, to: right, tickCount: 6,
      ofCounts: chart.xAxis.isCount)
    let placed = Self.place(chart, on: x, right: right)
    rowCount = (placed.map(\.row).max() ?? 0) + 1
    let top = 10 + Double(rowCount) * 15
    plot = (left, top, right, top + 190)
    y = vertical(plot.bottom, plot.top)
    height = plot.bottom + 40
    markerRows = placed
    let scales = (x, y)
    runs = chart.series.map { Self.runs(of: $0, scales.0, scales.1) }
  }

  /// The runs of points with a position on both axes, thinned.
  private static func runs(of series: LineChart.Series, _ x: AxisScale, _ y: AxisScale)
    -> [[Point]]
  {
    var runs: [[Point]] = [[]]
    for value in series.points {
      if let px = x.position(value.x), let py = y.position(value.y) {
        runs[runs.count - 1].append(Point(x: px, y: py, value: value))
      } else if runs.last?.isEmpty == false {
        runs.append([])
      }
    }
    return runs.filter { !$0.isEmpty }.map(thinned)
  }

  /// First, lowest, highest and last point of each of 256 stretches, in their order.
  private static func thinned(_ points: [Point]) -> [Point] {
    let stretches = 256
    guard points.count > stretches * 4 else { return points }
    return (0..<stretches).flatMap { index -> [Point] in
      let range = index * points.count / stretches..<(index + 1) * points.count / stretches
      let low = range.min { points[$0].y < points[$1].y } ?? range.lowerBound
      let high = range.max { points[$0].y < points[$1].y } ?? range.lowerBound
      return Set([range.lowerBound, low, high, range.upperBound - 1]).sorted().map { points[$0] }
    }
  }

  /// Gives each labelled marker the first row in which its label does not touch the one before.
  private static func place(_ chart: LineChart, on x: AxisScale, right: Double)
    -> [(marker: LineChart.Marker, x: Double, row: Int)]
  {
    var ends = [Double(chart.yAxis.title.count) * characterWidth + 8]
    return chart.markers.filter { $0.label != nil }.sorted { $0.x < $1.x }.compactMap { marker in
      guard let position = x.position(marker.x), x.domain.contains(marker.x) else { return nil }
      let length = Double(marker.label?.count ?? 0) * characterWidth + 8
      let start = min(position, right - length)
      let row = ends.firstIndex { $0 < start } ?? ends.count
      if row == ends.count { ends.append(0) }
      ends[row] = start + length
      return (marker, position, row)
    }
  }

  /// The finished element.
  package var svg: Markup {
    // Curves are cut off at the plot's edges; points on them are still whole.
    let (x, y) = (plot.left - 5, plot.top - 3)
    let (across, down) = (plot.right + 5 - x, plot.bottom + 3 - y)
    return """
      <figure class="chart">\(legend)<svg viewBox="0 0 \(width) \(height)" role="img" \
      aria-label="\(chart.title)">\(grid)\(markers)\
      <svg x="\(x)" y="\(y)" width="\(across)" height="\(down)" \
      viewBox="\(x) \(y) \(across) \(down)">\(curves)</svg></svg></figure>
      """
  }

  private var legend: Markup {
    guard chart.series.count > 1 else { return "" }
    let items = chart.series.enumerated().map { index, series -> Markup in
      """
      <span><svg class="key" viewBox="0 0 26 8" aria-hidden="true"><path class="\
      \(style(index))" d="M0 4H26"/></svg>\(series.name)</span>
      """
    }
    return "<figcaption class=\"legend\">\(Markup.joined(items, separator: " "))</figcaption>"
  }

  /// CSS classes of a series: colour and dashes.
  private func style(_ index: Int) -> String {
    let solid = chart.series[..<index].count { !$0.isFaint }
    if chart.series[index].isFaint { return "line faint" }
    let dash = (solid + solid / ChartPalette.seriesCount) % 4
    return "line c\(solid % ChartPalette.seriesCount) d\(dash)"
  }

  private var grid: Markup {
    var result: Markup = ""
    for tick in y.ticks {
      guard let position = y.position(tick) else { continue }
      result += """
        <path class="grid" d="M\(plot.left) \(position)H\(plot.right)"/>\
        <text class="end" x="\(plot.left - 6)" y="\(position + 4)">\(chart.yAxis.label(tick))</text>
        """
    }
    for tick in x.ticks {
      guard let position = x.position(tick) else { continue }
      result += """
        <path class="axis" d="M\(position) \(plot.bottom)v4"/>\
        <text class="mid" x="\(position)" y="\(plot.bottom + 17)">\(chart.xAxis.label(tick))</text>
        """
    }
    let middle = (plot.left + plot.right) / 2
    return result + """
      <path class="axis" d="M\(plot.left) \(plot.bottom)H\(plot.right)"/>\
      <text class="mid name" x="\(middle)" y="\(plot.bottom + 34)">\(chart.xAxis.title)</text>\
      <text class="name" x="2" y="15">\(chart.yAxis.title)</text>
      """
  }

  private var markers: Markup {
    var result: Markup = ""
    for marker in chart.markers where marker.label == nil && x.domain.contains(marker.x) {
      guard let position = x.position(marker.x) else { continue }
      result += "<path class=\"mark thin\" d=\"M\(position) \(plot.top)V\(plot.bottom)\"/>"
    }
    for (marker, position, row) in markerRows {
      let label = marker.label ?? ""
      let length = Double(label.count) * Self.characterWidth
      let flips = position + length > plot.right
      let height = plot.top - 10 - Double(rowCount - 1 - row) * 15
      result += """
        <path class="mark" d="M\(position) \(height - 9)V\(plot.bottom)"/>\
        <text class="\(flips ? "end" : "start")" x="\(position + (flips ? -4 : 4))" \
        y="\(height)">\(label)</text>
        """
    }
    return result
  }

  private var curves: Markup {
    var result: Markup = ""
    for (index, runs) in runs.enumerated() {
      for run in runs {
        let path = run.enumerated().map { number, point -> Markup in
          "\(number == 0 ? "M" : "L")\(point.x) \(point.y)"
        }
        result += "<path class=\"\(style(index))\" d=\"\(Markup.joined(path))\"/>"
        if !chart.series[index].isFaint { result += dots(run, of: index) }
      }
    }
    return result
  }

  /// Hover targets with the values; visible as dots when they are few.
  private func dots(_ run: [Point], of index: Int) -> Markup {
    let every = max(1, run.count / 100)
    let isVisible = run.count == 1 || (run.count <= 25 && chart.series.count < 4)
    return .joined(
      run.enumerated().filter { $0.offset % every == 0 || $0.offset == run.count - 1 }.map {
        let (x, y) = $0.element.value
        let values = "\(chart.xAxis.label(x, digits: 4)): \(chart.yAxis.label(y, digits: 4))"
        return """
          <circle class="\(isVisible ? style(index) : "hover")" cx="\($0.element.x)" \
          cy="\($0.element.y)" r="\(isVisible ? 2.5 : 5)"><title>\(chart.series[index].name), \
          \(chart.xAxis.title) \(values)</title></circle>
          """
      })
  }
}
