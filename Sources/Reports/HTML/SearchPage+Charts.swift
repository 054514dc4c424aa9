// SPDX-License-Identifier: Apache-2.0

import ThawConsole

extension SearchPage {
  private static let (width, height, margin) = (760.0, 260.0, 60.0)

  /// Whether `first` is better than `second`.
  private func isBetter(_ first: Double, _ second: Double) -> Bool {
    content.isSmallBest ? first < second : first > second
  }

  /// 0 for the worst trial, 1 for the best, by rank.
  private func quality(_ trial: Trial) -> Double {
    let worse = content.trials.count { isBetter(trial.metric, $0.metric) }
    return Double(worse) / Double(max(content.trials.count - 1, 1))
  }

  private func scale(_ axis: Axis, _ index: Int, from start: Double, to end: Double) -> AxisScale {
    if !axis.words.isEmpty {
      return AxisScale(
        .linear, showing: [-0.5, Double(axis.words.count) - 0.5], from: start, to: end)
    }
    return AxisScale(
      axis.isLogarithmic ? .logarithmic : .linear,
      showing: content.trials.compactMap { $0.values[index] }, from: start, to: end)
  }

  private func label(_ axis: Axis, _ value: Double) -> String {
    axis.words.indices.contains(Int(value)) ? axis.words[Int(value)] : Format.significant(value, 3)
  }

  private func ticks(_ axis: Axis, _ scale: AxisScale) -> [Double] {
    axis.words.isEmpty ? scale.ticks : axis.words.indices.map(Double.init)
  }

  private func frame(_ title: String, _ width: Double, _ height: Double, _ body: Markup) -> Markup {
    """
    <svg viewBox="0 0 \(width) \(height)" width="\(width)" height="\(height)" role="img" \
    aria-label="\(title)" font-size="12" fill="var(--ink)">\(body)</svg>
    """
  }

  private func metricText(_ value: Double) -> String { Format.significant(value, 4) }

  /// One vertical axis a setting and one for the metric; a line through all of them for each trial.
  var parallelCoordinates: Markup {
    let gap = 150.0
    let count = content.axes.count
    let width = gap * Double(count) + 2 * Self.margin
    let (top, bottom) = (40.0, Self.height - 20)
    let scales = content.axes.enumerated().map { scale($1, $0, from: bottom, to: top) }
    let metric = AxisScale(
      .linear, showing: content.trials.map(\.metric), from: bottom, to: top)
    var body: Markup = ""
    // The best on top.
    for trial in content.trials.sorted(by: { isBetter($1.metric, $0.metric) }) {
      var points: [String] = []
      for (index, scale) in scales.enumerated() {
        guard let value = trial.values[index], let y = scale.position(value) else { continue }
        points.append(point(Self.margin + gap * Double(index), y))
      }
      if let y = metric.position(trial.metric) {
        points.append(point(Self.margin + gap * Double(count), y))
      }
      let strength = 0.12 + 0.6 * quality(trial)
      guard points.count > 1 else { continue }
      body += """
        <polyline points="\(points.joined(separator: " "))" fill="none" \
        stroke="\(trial.isBest ? "var(--s1)" : "var(--s0)")" \
        stroke-width="\(trial.isBest ? 3 : 1)" opacity="\(trial.isBest ? 1 : strength)"/>
        """
    }
    for (index, axis) in content.axes.enumerated() {
      body += verticalAxis(
        axis.name, at: Self.margin + gap * Double(index), top, bottom,
        ticks(axis, scales[index]).compactMap { tick in
          scales[index].position(tick).map { ($0, label(axis, tick)) }
        })
    }
    body += verticalAxis(
      content.metric, at: Self.margin + gap * Double(count), top, bottom,
      metric.ticks.compactMap { tick in metric.position(tick).map { ($0, metricText(tick)) } })
    return frame("All settings side by side", width, Self.height, body)
  }

  private func point(_ x: Double, _ y: Double) -> String {
    "\(Format.fixed(x, 1)),\(Format.fixed(y, 1))"
  }

  private func verticalAxis(
    _ title: String, at x: Double, _ top: Double, _ bottom: Double, _ ticks: [(Double, String)]
  ) -> Markup {
    var body: Markup = """
      <line x1="\(x)" y1="\(top)" x2="\(x)" y2="\(bottom)" stroke="var(--soft)"/>\
      <text x="\(x)" y="\(top - 20)" text-anchor="middle" font-weight="600">\(title)</text>
      """
    for (y, text) in ticks {
      body += "<text x=\"\(x + 5)\" y=\"\(y + 4)\" fill=\"var(--soft)\">\(text)</text>"
    }
    return body
  }

  /// The metric of every trial against one setting, on the setting's own scale.
  func scatter(of axis: Axis, _ index: Int) -> Markup {
    let horizontal = scale(axis, index, from: Self.margin, to: Self.width - 20)
    let ticks = ticks(axis, horizontal).map { ($0, label(axis, $0)) }
    return plot(
      "\(content.metric) against \(axis.name)", axis.name, horizontal, ticks,
      content.trials.compactMap { trial in trial.values[index].map { ($0, trial) } })
  }

  /// The metric against latency, and the trials that nothing beats in both.
  func paretoFront(_ trials: [Trial]) -> Markup {
    let horizontal = AxisScale(
      .linear, showing: trials.compactMap(\.latency), from: Self.margin, to: Self.width - 20,
      isRounded: true)
    let ticks = horizontal.ticks.map { ($0, Format.significant($0, 3)) }
    return plot(
      "\(content.metric) against latency", "milliseconds a photo", horizontal, ticks,
      trials.compactMap { trial in trial.latency.map { ($0, trial) } }, front: true)
  }

  /// The trials that nothing beats in both, the fastest first.
  package func unbeaten(_ points: [(Double, Trial)]) -> [(Double, Trial)] {
    var best: Double?
    return points.sorted {
      $0.0 != $1.0 ? $0.0 < $1.0 : isBetter($0.1.metric, $1.1.metric)
    }.filter { point in
      guard best.map({ isBetter(point.1.metric, $0) }) ?? true else { return false }
      best = point.1.metric
      return true
    }
  }

  private func plot(
    _ title: String, _ name: String, _ horizontal: AxisScale, _ ticks: [(Double, String)],
    _ points: [(Double, Trial)], front: Bool = false
  ) -> Markup {
    let (top, bottom) = (15.0, Self.height - 45)
    let vertical = AxisScale(
      .linear, showing: content.trials.map(\.metric), from: bottom, to: top, isRounded: true)
    var body: Markup = ""
    for tick in vertical.ticks {
      guard let y = vertical.position(tick) else { continue }
      body += """
        <line x1="\(Self.margin)" y1="\(y)" x2="\(Self.width - 20)" y2="\(y)" stroke="var(--rule)"/>\
        <text x="\(Self.margin - 6)" y="\(y + 4)" text-anchor="end" \
        fill="var(--soft)">\(metricText(tick))</text>
        """
    }
    for (tick, text) in ticks {
      guard let x = horizontal.position(tick) else { continue }
      body += """
        <text x="\(x)" y="\(bottom + 18)" text-anchor="middle" fill="var(--soft)">\(text)</text>
        """
    }
    body +=
      "<text x=\"\(Self.width / 2)\" y=\"\(bottom + 38)\" text-anchor=\"middle\">\(name)</text>"
    let place = { (point: (Double, Trial)) -> (Double, Double)? in
      guard let x = horizontal.position(point.0), let y = vertical.position(point.1.metric)
      else { return nil }
      return (x, y)
    }
    if front {
      let corners = unbeaten(points).compactMap(place).map { self.point($0.0, $0.1) }
      body += """
        <polyline points="\(corners.joined(separator: " "))" fill="none" stroke="var(--s2)"/>
        """
    }
    for point in points {
      guard let (x, y) = place(point) else { continue }
      let trial = point.1
      body += """
        <circle cx="\(x)" cy="\(y)" r="\(trial.isBest ? 6 : 4)" \
        fill="\(trial.isBest ? "var(--s1)" : trial.isStart ? "var(--s2)" : "var(--s0)")" \
        opacity="0.75"><title>trial \(trial.id): \(metricText(trial.metric))</title></circle>
        """
    }
    return frame(title, Self.width, Self.height, body)
  }
}
