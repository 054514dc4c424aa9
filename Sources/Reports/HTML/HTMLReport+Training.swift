// SPDX-License-Identifier: Apache-2.0

import ThawConsole

extension HTMLReport {
  var trainingSection: Section? {
    guard let training = content.training else { return nil }
    let markers =
      training.marks.map { LineChart.Marker(x: $0.epoch, label: $0.label) }
      + (training.bestEpoch.map { [.init(x: Double($0), label: "best: epoch \($0)")] } ?? [])
    func chart(_ title: String, _ axis: LineChart.Axis, _ curves: [(String, [Double])])
      -> (title: String, svg: Markup)?
    {
      let series = curves.filter { !$0.1.isEmpty }.map { LineChart.Series($0.0, values: $0.1) }
      guard !series.isEmpty else { return nil }
      let chart = LineChart(
        title: "\(title) over the epochs", xAxis: .init("Epoch"), yAxis: axis, series: series,
        markers: markers)
      return (title, chart.svg)
    }
    let losses = training.trainLoss + training.validLoss
    let both = [
      chart(
        "Loss", .init("Loss", including: [0], limit: Self.readable(losses)),
        [("Training", training.trainLoss), ("Validation", training.validLoss)]),
      chart(
        "Accuracy", .init("Accuracy", isPercent: true),
        [("Training", training.trainAccuracy), ("Validation", training.validAccuracy)]),
    ].compactMap { $0 }
    return Section(
      id: "training", title: "Training", body: paragraph(training.note) + charts(both))
  }

  var learningRateSection: Section? {
    guard let rates = content.learningRate else { return nil }
    let all = rates.groups.flatMap(\.rates).filter { $0 > 0 && $0.isFinite }
    let top = all.max() ?? 1
    let isWide = rates.groups.count > 1 && top > 20 * (all.min() ?? 1)
    // Annealing ends at 0; four decades are enough to compare the groups.
    let axis = LineChart.Axis(
      "Learning rate", kind: isWide ? .logarithmic : .linear, including: isWide ? [] : [0],
      limit: isWide ? top / 1e4...top * 1.2 : nil)
    let chart = LineChart(
      title: "Learning rate over the steps", xAxis: .init("Step"), yAxis: axis,
      series: rates.groups.map { .init($0.name, values: $0.rates, startingAt: 0) },
      markers: rates.restarts.map { .init(x: Double($0)) })
    return Section(
      id: "learning-rate", title: "Learning rate",
      body: paragraph(rates.schedule) + charts([("As it was used", chart.svg)]))
  }

  var finderSection: Section? {
    guard let finder = content.learningRateFinder else { return nil }
    let hasSmoothed = !finder.smoothedLosses.isEmpty
    var series = [
      LineChart.Series(
        hasSmoothed ? "As measured" : "Loss",
        points: Array(zip(finder.rates, finder.losses)).map { $0 },
        isFaint: hasSmoothed)
    ]
    if hasSmoothed {
      series.append(.init("Smoothed", points: zip(finder.rates, finder.smoothedLosses).map { $0 }))
    }
    let markers = finder.suggestions.map { suggestion in
      LineChart.Marker(
        x: suggestion.rate,
        label: "\(suggestion.name) \(Format.significant(suggestion.rate, 2))")
    }
    let chart = LineChart(
      title: "Loss over the learning rate", xAxis: .init("Learning rate", kind: .logarithmic),
      yAxis: .init(
        "Loss", limit: Self.readable(hasSmoothed ? finder.smoothedLosses : finder.losses)),
      series: series, markers: markers)
    let text = finder.chosen.map { "Training used \(Format.significant($0))." }
    let columns = [Column("Suggestion"), Column("Learning rate", numeric: true)]
    let rows = finder.suggestions.map { [name($0.name), "\(Format.significant($0.rate))"] }
    let list = rows.isEmpty ? "" : table(columns, rows, caption: "Suggestions")
    return Section(
      id: "finder", title: "Learning-rate finder",
      body: paragraph(text) + charts([("Sweep", chart.svg)]) + list)
  }

  /// A range for a loss axis that a divergence does not blow up, or nil when all values fit anyway.
  ///
  /// The typical height is the larger of the first and the median loss; when the largest one is
  /// more than three times as far above the lowest, the axis ends half above the typical height.
  static func readable(_ losses: [Double]) -> ClosedRange<Double>? {
    let sorted = losses.filter(\.isFinite).sorted()
    guard let low = sorted.first, let high = sorted.last else { return nil }
    let first = losses.first { $0.isFinite } ?? high
    let typical = max(sorted[sorted.count / 2], first) - low
    return typical > 0 && high - low > 3 * typical ? low...(low + 1.5 * typical) : nil
  }
}
