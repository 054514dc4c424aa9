// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Pipeline
import Reports
import Training

/// `thaw find-lr`
struct FindLearningRate: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "find-lr",
    abstract: "Sweep the learning rate of the head on cached features and suggest one.",
    discussion: "Weights, statistics and the model stay as they are; the report shows the curve.")

  @Option(name: .customLong("run"), help: "Run directory.")
  var directory: RunDirectory

  @Option(help: "First learning rate.")
  var start = 1e-5

  @Option(help: "Last learning rate.")
  var end = 10.0

  @Option(help: "Steps of the sweep.")
  var iterations = 100

  @OptionGroup(title: "Every command") var global: GlobalOptions

  func run() throws {
    let session = Session(global)
    let stage = FindLearningRateStage(directory, context: try session.context())
    let search = try stage.find(from: start, to: end, iterations: iterations)
    try session.print(search, text: search.text)
  }
}

extension LearningRateSearch {
  /// The suggestions, for people.
  var text: String {
    let named: [(String, Double?, String)] = [
      ("valley", suggestions.valley, "in the longest fall of the loss; the usual choice"),
      ("steep", suggestions.steep, "where the loss falls fastest"),
      ("minimum", suggestions.minimum, "a tenth of the rate with the lowest loss"),
      ("slide", suggestions.slide, "the largest rate before the loss climbs"),
    ]
    var table = TextTable("rule", ">learning rate", "what it is")
    for (name, rate, meaning) in named {
      table.append([name, rate.map { Format.significant($0) } ?? "-", meaning])
    }
    return "\(rates.count) steps, ended because: \(stopReason.rawValue)\n" + table.text()
      + "Use one: thaw train --run RUN --learning-rate RATE"
  }
}
