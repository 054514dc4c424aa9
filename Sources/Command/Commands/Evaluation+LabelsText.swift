// SPDX-License-Identifier: Apache-2.0

import ThawConsole
import ThawRecipes
import ThawReports
import ThawTraining

extension Evaluation {
  /// A summary and the numbers of each class where photos may have several labels, for people.
  ///
  /// - Parameters:
  ///   - look: how each photo was looked at.
  ///   - caution: what speaks against the number; nil when nothing does.
  func labelsText(_ look: Recipe.TestTime, caution: String?) -> String {
    let interval = accuracyInterval
    let words = ResultWords(self)
    var lines = [
      "mean average precision "
        + (meanAveragePrecision.map { Format.fixed($0, 3) } ?? "-")
        + (look.count > 1 ? ", \(look.name)" : ""),
      words.sentence + " (95 % interval \(Format.percent(interval.lowerBound)) to"
        + " \(Format.percent(interval.upperBound)))",
      "loss \(Format.fixed(loss, 4)), macro F1 \(Format.fixed(macroF1, 3)), micro F1"
        + " \(Format.fixed(microF1 ?? 0, 3))" + (auc.map { ", AUC \(Format.fixed($0, 3))" } ?? ""),
    ]
    if let pictures = words.pictures { lines.append(pictures) }
    lines += ["", labelsTable] + decisionLines
    if let caution { lines.append(caution + "\n") }
    return lines.joined(separator: "\n")
  }

  private var labelsTable: String {
    var table = TextTable(
      "Class", ">Photos", ">AP", ">F1", ">Precision", ">Recall", ">Threshold")
    func fixed(_ value: Double?, _ decimals: Int = 3) -> String {
      value.map { Format.fixed($0, decimals) } ?? "-"
    }
    for result in perClass {
      table.append([
        result.name, "\(result.count)", fixed(result.averagePrecision),
        fixed(result.counts?.f1), fixed(result.counts?.precision),
        fixed(result.counts?.recall), fixed(result.threshold.map(Double.init), 2),
      ])
    }
    return table.text(width: OutputSink.tableColumns)
  }
}
