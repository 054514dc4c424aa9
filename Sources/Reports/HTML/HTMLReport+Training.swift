// SPDX-License-Identifier: Apache-2.0

import ThawConsole
import ThawDatasets
import ThawDiagnosis
import ThawTraining

/// How the training went, epoch by epoch and step by step.
extension HTMLReport {
  var trainingSection: Section? {
    let history = content.history
    guard !history.isEmpty else { return nil }
    let best = history.min { ($0.validLoss ?? .infinity) < ($1.validLoss ?? .infinity) }
    let markers = best.flatMap { $0.validLoss == nil ? nil : $0.epoch + 1 }.map {
      [LineChart.Marker(x: Double($0), label: "best: epoch \($0)")]
    }
    func chart(_ title: String, _ axis: LineChart.Axis, _ curves: [(String, [Double])])
      -> (title: String, svg: Markup)
    {
      let series = curves.filter { !$0.1.isEmpty }.map { LineChart.Series($0.0, values: $0.1) }
      let chart = LineChart(
        title: "\(title) over the epochs", xAxis: .init("Epoch", isCount: true), yAxis: axis,
        series: series,
        markers: markers ?? [])
      return (title, chart.svg)
    }
    let (trainLosses, validLosses) = (history.map(\.trainLoss), history.compactMap(\.validLoss))
    let both = [
      chart(
        "Loss", .init("Loss", including: [0], limit: Self.readable(trainLosses + validLosses)),
        [("Training", trainLosses), ("Validation", validLosses)]),
      chart(
        accuracyName, .init(accuracyName, isPercent: true),
        [
          ("Training", history.map(\.trainAccuracy)),
          ("Validation", history.compactMap(\.validAccuracy)),
        ]),
    ]
    return Section(
      id: "training", title: "How the training went",
      body: paragraph(trainingNotes.joined(separator: " ")) + charts(both) + epochs)
  }

  /// The curves as numbers, for those who cannot see them.
  private var epochs: Markup {
    let columns = [
      "Epoch", "Train loss", "Valid loss", "Train \(accuracyName.lowercased())",
      "Valid \(accuracyName.lowercased())",
    ].map { Column($0, numeric: true) }
    let rows = content.history.map { epoch -> [Markup] in
      [
        "\(epoch.epoch + 1)", "\(decimals(epoch.trainLoss))", "\(decimals(epoch.validLoss))",
        "\(percent(epoch.trainAccuracy))", "\(percent(epoch.validAccuracy))",
      ]
    }
    return folded(
      "Every epoch as a table", table(columns, rows, caption: "Every epoch"))
  }

  /// What the curves are of, how the training ended, and what its losses say.
  private var trainingNotes: [String] {
    let count = counted(content.history.count, "epoch")
    let what =
      switch content.network?.record.isHeadAlone {
      case true?: "Training of the head, \(count)"
      case false?: "Fine-tuning, \(count)"
      case nil: "\(count)"
      }
    var notes = [
      "\(what): an epoch is one pass over the training photos. The loss punishes sure mistakes most;"
        + " when that of validation rises while that of training falls, the network begins to learn"
        + " its photos by heart."
    ]
    switch content.network?.record.outcome.interpolation {
    case nil, 1?: break
    case 0?: notes.append("These weights were set aside and the head's model was kept.")
    case let share?:
      notes.append(
        "The weights that were kept lie between the head's and these, \(Format.percent(share, decimals: 0))"
          + " of the way, where the validation loss is lowest.")
    }
    if let network = content.network, content.history.count < network.schedule.epochs {
      notes.append(
        "Stopped early: the validation loss had not improved for \(network.settings.patience)"
          + " epochs.")
    }
    let hints = FitDiagnosis.hints(
      content.history, isHeadAlone: content.network?.record.isHeadAlone ?? false
    ).filter { $0.kind == .overfitting }
    return notes + hints.map(\.message)
  }

  var learningRatePart: Part? {
    let samples = content.manifest?.records(in: .train).count ?? 0
    guard let network = content.network, samples > 0, !content.history.isEmpty else { return nil }
    let lines = network.ratesOfSteps(content.history, samples: samples)
    let series = alike(
      zip(network.graph.groups.map(\.name), lines).filter { $1.contains { $0 > 0 } })
    if series.count == 1, lines.allSatisfy({ $0 == series[0].1 }) {
      return rates([("All layer groups", lines[0])], network)
    }
    return rates(series, network)
  }

  /// Groups whose rates are the same at every step, as one line.
  private func alike(_ groups: [(String, [Double])]) -> [(String, [Double])] {
    var lines: [(names: [String], rates: [Double])] = []
    for (name, rates) in groups {
      if let index = lines.firstIndex(where: { $0.rates == rates }) {
        lines[index].names.append(name)
      } else {
        lines.append(([name], rates))
      }
    }
    return lines.map { ($0.names.joined(separator: ", "), $0.rates) }
  }

  private func rates(_ series: [(String, [Double])], _ network: ReportedNetwork) -> Part {
    let highest = series.compactMap { $0.1.max() }
    let top = highest.max() ?? 1
    let isWide = top > 20 * (highest.min() ?? 1)
    // Annealing ends at 0; four decades are enough to compare the groups.
    let axis = LineChart.Axis(
      "Learning rate", kind: isWide ? .logarithmic : .linear, including: isWide ? [] : [0],
      limit: isWide ? top / 1e4...top * 1.2 : nil)
    let chart = LineChart(
      title: "Learning rate over the steps", xAxis: .init("Step", isCount: true), yAxis: axis,
      series: series.map { .init($0.0, values: $0.1, startingAt: 0) })
    return Part(
      id: "learning-rate", title: "Learning rate",
      body: paragraph(
        "How large a step the weights take at a time. Schedule:"
          + " \(network.settings.schedule.kind.rawValue).")
        + charts([("As it was used", chart.svg)]))
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
