// SPDX-License-Identifier: Apache-2.0

import ThawConsole
import ThawTraining

/// How good the network is, as a whole and for each class.
extension HTMLReport {
  /// Above this many classes charts show the worst ones and tables are folded.
  static var manyClasses: Int { 30 }

  var headline: Markup {
    guard let evaluation = content.evaluation else { return "" }
    let (correct, interval) = (evaluation.correct, evaluation.accuracyInterval)
    let accuracy = Double(correct) / Double(evaluation.count)
    return """
      <div class="headline" id="headline"><p class="figure">\(Format.percent(accuracy))</p>\
      <div><p class="verdict">\(verdict(evaluation.matrix))</p>\
      <p class="fine">\(Format.grouped(correct)) of \(Format.grouped(evaluation.count)) \
      held-out \(evaluation.split) photos right. With this many photos the true accuracy lies \
      between \(Format.percent(interval.lowerBound)) and \(Format.percent(interval.upperBound)) \
      (95&#8239;% confidence).\(pictureLine)\(augmentationLine)</p></div></div>

      """
  }

  private func verdict(_ matrix: ConfusionMatrix) -> String {
    guard let worst = matrix.confusions(limit: 1).first else { return "No mistakes." }
    return "Most often '\(matrix.classNames[worst.truth])' was taken for"
      + " '\(matrix.classNames[worst.predicted])' (\(counted(worst.count, "photo")))."
  }

  /// Says when photos of one picture were counted once.
  private var pictureLine: Markup {
    optional(content.evaluation?.independent) {
      " The photos show \(Format.grouped($0)) different pictures; this goes by those."
    }
  }

  /// Says next to the result whether photos were varied, because few read as far as the section.
  private var augmentationLine: Markup {
    optional(content.network) {
      let state: Markup = $0.isAugmented ? "on" : "off"
      return " <a href=\"#augmentation\">Augmentation was <strong>\(state)</strong>.</a>"
    }
  }

  var evaluationSection: Section? {
    guard let evaluation = content.evaluation else { return nil }
    let columns =
      [Column("Prediction")]
      + ["Photos", "Accuracy", "95 % interval", "Loss", "Macro F1", "AUC"].map {
        Column($0, numeric: true)
      }
    let rows = content.looks.map { look -> [Markup] in
      let (result, range) = (look.evaluation, look.evaluation.accuracyInterval)
      return [
        name(look.name), "\(Format.grouped(result.count))", "\(percent(result.accuracy))",
        "\(percent(range.lowerBound)) to \(percent(range.upperBound))",
        "\(decimals(result.loss))", "\(decimals(result.macroF1))", "\(decimals(result.auc))",
      ]
    }
    let body: Markup = """
      <p>Measured on the photos of <em>\(name(evaluation.split))</em>.</p>
      \(table(columns, rows, caption: "Metrics"))\(perClass(evaluation.matrix.classMetrics))
      """
    return Section(id: "evaluation", title: "Evaluation", body: body)
  }

  private func perClass(_ classes: [ConfusionMatrix.ClassMetrics]) -> Markup {
    let table = perClassTable(classes)
    guard classes.count > Self.manyClasses else {
      return """
        <div class="charts"><div><h3>Each class</h3>\(table)</div>\
        <div><h3>Recall, precision, F1</h3>\(perClassChart(classes))</div></div>

        """
    }
    let worst = classes.enumerated().sorted {
      ($0.element.f1 ?? 2, $0.offset) < ($1.element.f1 ?? 2, $1.offset)
    }.prefix(Self.manyClasses).map(\.element)
    return folded("All \(classes.count) classes as a table", table)
      + halves("The \(worst.count) classes with the lowest F1", worst, perClassChart)
  }

  private func perClassTable(_ classes: [ConfusionMatrix.ClassMetrics]) -> Markup {
    let columns =
      [Column("Class")]
      + ["Photos", "Recall", "Precision", "F1"].map { Column($0, numeric: true) }
    let rows = classes.map { metrics -> [Markup] in
      [
        name(metrics.name), "\(Format.grouped(metrics.count))", "\(percent(metrics.recall))",
        "\(percent(metrics.precision))", "\(percent(metrics.f1))",
      ]
    }
    return table(columns, rows, caption: "Metrics of each class")
  }

  private func perClassChart(_ classes: [ConfusionMatrix.ClassMetrics]) -> Markup {
    BarChart(
      title: "Recall, precision and F1 of each class", categories: classes.map(\.name),
      series: [
        ("Recall", classes.map { $0.recall ?? .nan }),
        ("Precision", classes.map { $0.precision ?? .nan }),
        ("F1", classes.map { $0.f1 ?? .nan }),
      ], arrangement: .grouped, maximum: 1, isPercent: true
    ).svg
  }
}
