// SPDX-License-Identifier: Apache-2.0

extension HTMLReport {
  var batchNormSection: Section? {
    guard let found = content.batchNorm else { return nil }
    let status = "<p class=\"label\">\(found.status.rawValue)</p>" as Markup
    let style: Markup = found.status == .good ? "note" : "note warn"
    let verdict = """
      <div class="\(style)">\(status)<p><strong>\(found.verdict)</strong></p>\
      <p>\(found.recommendation)</p></div>

      """ as Markup
    let list = found.evidence.map { "<li>\($0)</li>" as Markup }
    let evidence: Markup = list.isEmpty ? "" : "<ul>\(Markup.joined(list))</ul>\n"
    return Section(
      id: "batchnorm", title: "Batch normalisation",
      body: verdict + phases(found) + batchNormCharts(found)
        + optional(found.fixes) { "<h3>Fixes that were tried</h3>" + table($0, caption: "Fixes") }
        + evidence)
  }

  private func phases(_ found: ReportContent.BatchNormSection) -> Markup {
    let columns = [
      Column("Learning phase"), Column("Accuracy", numeric: true), Column("Loss", numeric: true),
      Column("AUC", numeric: true),
    ]
    let rows = found.phases.map { phase -> [Markup] in
      [
        name(phase.name), "\(percent(phase.accuracy))", "\(decimals(phase.loss))",
        "\(decimals(phase.auc))",
      ]
    }
    return table(columns, rows, caption: "Both learning phases")
  }

  private func batchNormCharts(_ found: ReportContent.BatchNormSection) -> Markup {
    guard found.layers.count > 1 else { return "" }
    var all = [("Distance of the data from the running statistics", divergence(found))]
    if let losses = losses(found) { all.append(("Layers switched to batch statistics", losses)) }
    return charts(all.map { (title: $0.0, svg: $0.1) })
  }

  private func markers(_ found: ReportContent.BatchNormSection) -> [LineChart.Marker] {
    let suspects = found.layers.indices.filter { found.layers[$0].isSuspect }.prefix(3)
    let blamed = suspects.map {
      LineChart.Marker(x: Double($0 + 1), label: found.layers[$0].path)
    }
    return blamed
      + (found.lastFrozen.map { [.init(x: Double($0) + 1.5, label: "frozen up to here")] } ?? [])
  }

  private func divergence(_ found: ReportContent.BatchNormSection) -> Markup {
    LineChart(
      title: "Divergence of the data from the running statistics by layer",
      xAxis: .init("Batch norm, from the input on"),
      yAxis: .init("Divergence (nats, median channel)", kind: .logarithmic),
      series: [
        .init("Earlier layers set right", values: found.layers.map { max($0.divergence, 1e-4) }),
        .init(
          "As it runs", values: found.layers.map { max($0.divergenceInInference, 1e-4) },
          isFaint: true),
      ], markers: markers(found)
    ).svg
  }

  private func losses(_ found: ReportContent.BatchNormSection) -> Markup? {
    func points(_ value: (ReportContent.BatchNormSection.Layer) -> Double?)
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
    if let loss = found.inferenceLoss {
      let width = Double(found.layers.count)
      series.append(.init("None", points: [(1, loss), (width, loss)], isFaint: true))
    }
    return LineChart(
      title: "Loss when layers use batch statistics",
      xAxis: .init("Batch norm, from the input on"), yAxis: .init("Loss", including: [0]),
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
