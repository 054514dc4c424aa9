// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawConsole
import ThawReports

@Suite struct ChartTests {
  @Test func linearTicksAreRoundAndInside() {
    let axis = AxisScale(.linear, showing: [0.13, 2.31], from: 0, to: 100)
    #expect(axis.ticks == [0.5, 1, 1.5, 2])
    let rounded = AxisScale(.linear, showing: [0.13, 2.31], from: 0, to: 100, isRounded: true)
    #expect(rounded.domain == 0...2.5)
    #expect(rounded.ticks == [0, 0.5, 1, 1.5, 2, 2.5])
  }

  @Test(arguments: [
    (15, [3, 6, 9, 12, 15]), (1, [1]), (4, [1, 2, 3, 4]), (100, [20, 40, 60, 80, 100]),
  ])
  func countsHaveWholeTicks(last: Int, ticks: [Double]) {
    let axis = AxisScale(
      .linear, showing: [1, Double(last)], from: 0, to: 100, tickCount: 6, ofCounts: true)
    #expect(axis.ticks == ticks)
  }

  @Test func logarithmicTicksArePowersOfTen() {
    let axis = AxisScale(.logarithmic, showing: [1e-7, 10], from: 0, to: 80)
    let powers = ["1e-7", "1e-6", "1e-5", "1e-4", "0.001", "0.01", "0.1", "1", "10"]
    #expect(axis.ticks.map { Format.significant($0) } == powers)
    let narrow = AxisScale(.logarithmic, showing: [0.1, 10], from: 0, to: 80)
    #expect(
      narrow.ticks.map { Format.significant($0) } == ["0.1", "0.2", "0.5", "1", "2", "5", "10"])
    #expect(narrow.position(0) == nil && narrow.position(-1) == nil)
    #expect(abs((narrow.position(1) ?? .nan) - 40) < 1e-9)
  }

  @Test(arguments: [AxisKind.linear, .logarithmic])
  func positionsAreStrictlyMonotone(kind: AxisKind) {
    for values in [[0.01, 3, 700], [5, 5], [], [-2, 1e-9], [1e-300, 1e300]] as [[Double]] {
      let axis = AxisScale(kind, showing: values, from: 200, to: 10, isRounded: true)
      let (low, high) = (axis.domain.lowerBound, axis.domain.upperBound)
      let places = [low, low + (high - low) / 3, high].compactMap(axis.position)
      #expect(places.count == 3)
      #expect(zip(places, places.dropFirst()).allSatisfy { $0 > $1 }, "\(values): \(places)")
      #expect(axis.ticks.allSatisfy { axis.domain.contains($0) } && !axis.ticks.isEmpty)
      #expect(axis.ticks == axis.ticks.sorted())
    }
  }

  private static func chart(
    _ points: [(x: Double, y: Double)], y: LineChart.Axis = .init("Loss"),
    markers: [LineChart.Marker] = []
  ) -> LineChart {
    LineChart(
      title: "t", xAxis: .init("Epoch"), yAxis: y, series: [.init("train", points: points)],
      markers: markers)
  }

  @Test func pointsLieInsideThePlotAndThePlotInsideTheViewBox() {
    let layout = LineChartLayout(Self.chart((1...40).map { (Double($0), 1000 / Double($0)) }))
    #expect(layout.plot.left > 0 && layout.plot.right < layout.width)
    #expect(layout.plot.top > 0 && layout.plot.bottom < layout.height)
    let points = layout.runs.flatMap { $0 }.flatMap { $0 }
    #expect(points.count == 40)
    for point in points {
      #expect(point.x >= layout.plot.left - 1e-9 && point.x <= layout.plot.right + 1e-9)
      #expect(point.y >= layout.plot.top - 1e-9 && point.y <= layout.plot.bottom + 1e-9)
    }
    #expect(zip(points, points.dropFirst()).allSatisfy { $0.x < $1.x && $0.y < $1.y })
  }

  @Test func missingValuesLeaveGaps() {
    let layout = LineChartLayout(Self.chart([(1, 1), (2, 2), (3, .nan), (4, .infinity), (5, 1)]))
    #expect(layout.runs.map { $0.map(\.count) } == [[2, 1]])
  }

  @Test func longSeriesKeepTheirSpikes() {
    let values = (0..<20_000).map { (x: Double($0), y: $0 == 12_345 ? 9.0 : 1) }
    let points = LineChartLayout(Self.chart(values)).runs[0][0]
    #expect(points.count <= 1024)
    #expect(points.contains { $0.value == (12_345, 9) })
    #expect(points.last?.value.x == 19_999)
  }

  @Test func aLimitCutsDivergenceOff() {
    let chart = Self.chart([(1, 1), (2, 0.5), (3, 900)], y: .init("Loss", limit: 0...2))
    let layout = LineChartLayout(chart)
    #expect(layout.y.domain == 0.5...2)
    #expect(layout.runs[0][0][2].y < layout.plot.top)
    // The curves are drawn in a nested viewport, which clips.
    #expect(layout.svg.text.contains("<svg x="))
    // A dot on the left edge is not cut in half.
    let left = ("\(layout.plot.left - 5)" as Markup).text
    #expect(layout.svg.text.contains("<svg x=\"\(left)\""))
  }

  @Test func closeMarkerLabelsGetTheirOwnRows() {
    let markers = [10.0, 11, 40].map { LineChart.Marker(x: $0, label: "best: epoch \($0)") }
    let chart = Self.chart((1...50).map { (Double($0), 1) }, markers: markers)
    let rows = LineChartLayout(chart).markerRows.map(\.row)
    #expect(rows[0] != rows[1])
    #expect(chart.svg.text.contains("best: epoch 11"))
  }

  @Test func legendAppearsWithSeveralSeriesOnly() {
    let one = Self.chart([(1, 1), (2, 2)])
    #expect(!one.svg.text.contains("legend"))
    let two = LineChart(
      title: "t", xAxis: .init("x"), yAxis: .init("y"),
      series: [.init("<a>", values: [1, 2]), .init("b", values: [2, 1])])
    #expect(two.svg.text.contains("legend") && two.svg.text.contains("&lt;a&gt;</span>"))
  }

  @Test func barsHaveProportionalLengthsInsideTheViewBox() {
    let chart = BarChart(
      title: "t", categories: ["a", String(repeating: "long", count: 60)],
      series: [("train", [30, 10]), ("test", [10, .nan])], arrangement: .stacked)
    let bars = chart.bars
    #expect(bars.allSatisfy { $0.x >= 0 && $0.x + $0.width <= chart.width })
    #expect(bars.allSatisfy { $0.y >= 0 && $0.y + $0.height <= chart.height })
    #expect(abs(bars[0].width - 3 * bars[2].width) < 1e-9)
    #expect(abs(bars[0].x + bars[0].width - bars[1].x) < 1e-9)
    #expect(bars[3].width == 0)
  }

  @Test func coloursReachTheContrastOfTheGuidelines() {
    for dark in [false, true] {
      func color(_ name: String) -> String { ChartPalette.color(name, dark: dark) }
      for background in ["bg", "panel"] {
        for name in ["ink", "soft", "good", "warn", "bad", "s0"] {
          let ratio = ChartPalette.contrast(color(name), color(background))
          #expect(ratio >= 4.5, "\(name) on \(background), dark \(dark): \(ratio)")
        }
      }
      for series in 0..<ChartPalette.seriesCount {
        #expect(ChartPalette.contrast(color("s\(series)"), color("bg")) >= 3)
      }
    }
    #expect(abs(ChartPalette.contrast("#000000", "#ffffff") - 21) < 1e-9)
    #expect(ChartPalette.prefersBlackText(on: "right", opacity: 0.14, dark: false))
    #expect(!ChartPalette.prefersBlackText(on: "right", opacity: 1, dark: false))
    #expect(ChartPalette.prefersBlackText(on: "right", opacity: 1, dark: true))
  }
}
