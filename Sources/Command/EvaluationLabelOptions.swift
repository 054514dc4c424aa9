// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import ThawDatasets
import ThawRecipes

/// Where the labels of photos are that a model is judged by; the settings of a recipe's `data`.
struct EvaluationLabelOptions: ParsableArguments {
  @Option(help: "With --model: a table of labels in place of class folders.")
  var labels: String?

  @Option(help: "Its columns where their names do not tell: path=A,label=B,split=C.")
  var tableColumns: String?

  @Option(help: "Whether a photo may have several labels: yes, no or auto (as the table says).")
  var severalLabels: LabelCount?

  @Option(help: "What stands between several labels in one cell: one character, or space.")
  var labelSeparator: String?

  /// Whether nothing was said.
  var isEmpty: Bool {
    labels == nil && tableColumns == nil && severalLabels == nil && labelSeparator == nil
  }

  /// What was said.
  func settings() throws -> Recipe.Data {
    var data = Recipe.Data()
    guard labels != nil || isEmpty else {
      throw ValidationError(
        "--table-columns, --several-labels and --label-separator need --labels.")
    }
    data.labels = labels ?? data.labels
    data.tableColumns = tableColumns ?? data.tableColumns
    data.severalLabels = severalLabels ?? data.severalLabels
    data.labelSeparator = labelSeparator ?? data.labelSeparator
    return data
  }
}

extension LabelCount: ExpressibleByArgument {}
