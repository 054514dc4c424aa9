// SPDX-License-Identifier: Apache-2.0

import ThawConsole
import ThawTraining

/// The learning-rate finder's sweep.
extension HTMLReport {
  var finderPart: Part? {
    guard let search = content.search else { return nil }
    let suggestions = [
      ("valley", search.suggestions.valley), ("slide", search.suggestions.slide),
      ("minimum", search.suggestions.minimum), ("steep", search.suggestions.steep),
    ].compactMap { name, rate in rate.map { (name: name, rate: $0) } }
    let hasSmoothed = !search.smoothed.isEmpty
    var series = [
      LineChart.Series(
        hasSmoothed ? "As measured" : "Loss", points: zip(search.rates, search.losses).map { $0 },
        isFaint: hasSmoothed)
    ]
    if hasSmoothed {
      series.append(.init("Smoothed", points: zip(search.rates, search.smoothed).map { $0 }))
    }
    let markers = suggestions.map {
      LineChart.Marker(x: $0.rate, label: "\($0.name) \(Format.significant($0.rate, 2))")
    }
    let chart = LineChart(
      title: "Loss over the learning rate", xAxis: .init("Learning rate", kind: .logarithmic),
      yAxis: .init("Loss", limit: Self.readable(hasSmoothed ? search.smoothed : search.losses)),
      series: series, markers: markers)
    let columns = [Column("Suggestion"), Column("Learning rate", numeric: true)]
    let rows = suggestions.map { [name($0.name), "\(Format.significant($0.rate))"] }
    let list = rows.isEmpty ? "" : table(columns, rows, caption: "Suggestions")
    return Part(
      id: "finder", title: "Learning-rate finder",
      body: paragraph(rateUsed) + charts([("Sweep", chart.svg)]) + list)
  }

  /// What the training of the head made of it, and how to read the sweep.
  private var rateUsed: String? {
    guard let train = content.network?.recipe.train, train.solver != .lbfgs else { return nil }
    return
      "Training used \(Format.significant(train.rate)). The sweep raises the rate step by step: where the"
      + " loss falls steadily is a good rate, where it shoots up is too much."
  }
}
