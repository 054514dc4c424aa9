// SPDX-License-Identifier: Apache-2.0

import ThawConsole
import ThawDiagnosis

/// Whether the running statistics fit the data.
extension HTMLReport {
  var batchNormSection: Section? {
    guard let found = content.batchNorm else { return nil }
    let isGood = found.kind == .healthy || found.kind == .noBatchNorm
    let verdict = note(
      "Batch normalisation", isGood ? .good : .problem, found.verdict,
      [found.gain.map { "To be won: \($0)" }, found.recommendation].compactMap(\.self).joined(
        separator: " "))
    let list = found.evidence.map { "<li>\($0)</li>" as Markup }
    let evidence: Markup = list.isEmpty ? "" : "<ul>\(Markup.joined(list))</ul>\n"
    return Section(
      id: "batchnorm", title: "Batch normalisation",
      body: verdict + learningPhases(found) + batchNormCharts(found) + fixes(found) + evidence)
  }

  private func learningPhases(_ found: BatchNormDiagnosis) -> Markup {
    typealias Phase = BatchNormDiagnosis.Phase
    let inference = "Inference: running statistics, \(found.photos) photos (\(found.split))"
    var phases = [(name: inference, numbers: found.inference)]
    phases += found.batchSizes.map {
      (
        "Training: batches of \($0.batch)",
        Phase(accuracy: $0.accuracy, loss: $0.loss, auc: $0.auc)
      )
    }
    if let heldOut = found.heldOut {
      phases.append(("Inference, \(found.heldOutPhotos) other photos", heldOut))
    }
    let columns = [
      Column("Learning phase"), Column("Accuracy", numeric: true), Column("Loss", numeric: true),
      Column("AUC", numeric: true),
    ]
    let rows = phases.map { phase -> [Markup] in
      let (title, numbers) = phase
      return [
        name(title), "\(percent(numbers.accuracy))", "\(decimals(numbers.loss))",
        "\(decimals(numbers.auc))",
      ]
    }
    let caption =
      "Both learning phases"
      + (found.renamedClasses.isEmpty ? "" : ", by the names that the outputs answer to")
    return table(columns, rows, caption: caption, stacks: true)
      + definitions([
        (
          "Inference, training",
          "the two ways to run the same network: scaled by statistics it keeps, or by those of the batch."
        ),
        (
          "Accuracy, loss, AUC",
          "the share that is right; how surely it is wrong, 0 is perfect; how well the right class"
            + " ranks first, 1 is perfect."
        ),
      ])
  }

  private func fixes(_ found: BatchNormDiagnosis) -> Markup {
    guard !found.fixes.isEmpty else { return "" }
    let columns = [
      Column("Fix"), Column("What was done"), Column("Accuracy on other photos", numeric: true),
      Column("Loss", numeric: true), Column("Time", numeric: true),
    ]
    let rows = found.fixes.map { fix in
      [
        fix.name + (fix.name == found.recommendedFix ? " (recommended)" : ""), fix.what,
        Format.percent(fix.accuracy), Format.fixed(fix.loss, 4),
        Format.duration(seconds: fix.seconds),
      ].map(name)
    }
    return "<h3>Fixes that were tried</h3>" + table(columns, rows, caption: "Fixes", stacks: true)
  }

  private func batchNormCharts(_ found: BatchNormDiagnosis) -> Markup {
    guard found.layers.count > 1 else { return "" }
    var all = [("Distance of the data from the running statistics", divergence(found))]
    if let losses = losses(found) { all.append(("Layers switched to batch statistics", losses)) }
    return charts(all.map { (title: $0.0, svg: $0.1) })
      + definitions([
        (
          "Divergence",
          "how far the data in a layer lie from the statistics that it keeps; 0 is alike."
        )
      ])
  }

  private func markers(_ found: BatchNormDiagnosis) -> [LineChart.Marker] {
    let suspects = found.layers.indices.filter { found.layers[$0].suspect }.prefix(3)
    let blamed = suspects.map {
      LineChart.Marker(x: Double($0 + 1), label: found.layers[$0].path)
    }
    let lastFrozen = found.layers.lastIndex { $0.frozen == true }
    guard let lastFrozen, lastFrozen < found.layers.count - 1 else { return blamed }
    return blamed + [LineChart.Marker(x: Double(lastFrozen) + 1.5, label: "frozen up to here")]
  }

  private func divergence(_ found: BatchNormDiagnosis) -> Markup {
    LineChart(
      title: "Divergence of the data from the running statistics by layer",
      xAxis: .init("Batch norm, from the input on", isCount: true),
      yAxis: .init("Divergence (nats, median channel)", kind: .logarithmic),
      series: [
        .init("Earlier layers set right", values: found.layers.map { max($0.divergence, 1e-4) }),
        .init(
          "As it runs", values: found.layers.map { max($0.divergenceInInference, 1e-4) },
          isFaint: true),
      ], markers: markers(found)
    ).svg
  }

  private func losses(_ found: BatchNormDiagnosis) -> Markup? {
    func points(_ value: (BatchNormDiagnosis.Layer) -> Double?)
      -> [(x: Double, y: Double)]
    {
      found.layers.enumerated().compactMap { index, layer in
        value(layer).map { (Double(index + 1), $0) }
      }
    }
    let (alone, upTo) = (points(\.lossAlone), points(\.lossUpTo))
    guard !alone.isEmpty else { return nil }
    var series = [LineChart.Series("This layer alone", points: alone)]
    if !upTo.isEmpty { series.append(.init("All layers up to it", points: upTo)) }
    if let loss = found.lossBeforeSwitching {
      let width = Double(found.layers.count)
      series.append(.init("None", points: [(1, loss), (width, loss)], isFaint: true))
    }
    return LineChart(
      title: "Loss when layers use batch statistics",
      xAxis: .init("Batch norm, from the input on", isCount: true),
      yAxis: .init("Loss", including: [0]),
      series: series, markers: markers(found)
    ).svg
  }
}

extension LineChart.Series {
  /// A curve through values at 1, 2, 3, ...
  fileprivate init(_ name: String, values: [Double], isFaint: Bool) {
    self.init(
      name, points: values.enumerated().map { (Double($0.offset + 1), $0.element) },
      isFaint: isFaint)
  }
}
