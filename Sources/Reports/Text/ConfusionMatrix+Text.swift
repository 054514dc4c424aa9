// SPDX-License-Identifier: Apache-2.0

import ThawConsole
package import ThawTraining

extension ConfusionMatrix {
  /// Recall, precision and F1 of each class as a table for a terminal.
  package func metricsText(width: Int = 80) -> String {
    var table = TextTable("Class", ">Photos", ">Recall", ">Precision", ">F1")
    for metrics in classMetrics {
      table.append([
        metrics.name, "\(metrics.count)", Self.percent(metrics.recall),
        Self.percent(metrics.precision), Self.percent(metrics.f1),
      ])
    }
    return table.text(width: width)
  }

  private static func percent(_ value: Double?) -> String {
    value.map { Format.percent($0, separator: " ") } ?? "-"
  }

  /// The counts as a table for a terminal, confused classes next to each other.
  ///
  /// Rows are true classes; columns are predictions, numbered like the rows. When that is wider than
  /// `width` (about 15 classes on 80 columns) the most frequent confusions are listed instead.
  package func text(width: Int = 80) -> String {
    let ordered = restricted(to: seriation)
    let digits = max(2, ordered.counts.joined().map { String($0).count }.max() ?? 1)
    let numbers = ordered.classNames.indices.map { ">\($0 + 1)" }
    guard 16 + ordered.classNames.count * (max(digits, String(numbers.count).count) + 2) <= width
    else { return confusionsText(width: width) }
    var table = TextTable(
      columns: [(title: "True class", alignment: .left)]
        + numbers.map { (title: String($0.dropFirst()), alignment: .right) })
    for (index, row) in ordered.counts.enumerated() {
      table.append(
        ["\(index + 1) \(ordered.classNames[index])"] + row.map { $0 == 0 ? "." : "\($0)" })
    }
    return table.text(width: width)
  }

  /// The ten most frequent confusions as a table for a terminal.
  package func confusionsText(width: Int = 80) -> String {
    let pairs = confusions(limit: 10)
    guard !pairs.isEmpty else { return "No photo was taken for another class.\n" }
    var table = TextTable("True class", "Taken for", ">Photos", ">Share")
    for pair in pairs {
      table.append([
        classNames[pair.truth], classNames[pair.predicted], "\(pair.count)",
        Self.percent(pair.share),
      ])
    }
    return table.text(width: width)
  }
}
