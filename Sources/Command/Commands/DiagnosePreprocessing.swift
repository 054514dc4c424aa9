// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import SystemPackage
import ThawConsole
import ThawDiagnosis
import ThawRuns

/// `thaw diagnose preprocessing`
struct DiagnosePreprocessing: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "preprocessing",
    abstract: "Is the network fed what it was trained on? Needs photos, no labels.",
    discussion: """
      Prepares the same photos in every usual way (channel order, range, centring) and compares what \
      arrives at the first batch norms with what they remember. Networks without batch norm are \
      judged by the range and the confidence of their answers.
      """)

  @OptionGroup var subject: SubjectOptions

  @Option(help: "Photos to look at, at most.")
  var photos = 128

  @Option(help: "Write the model with the better contract to this file, when the verdict is sure.")
  var apply: FilePath?

  @OptionGroup(title: "Every command") var global: GlobalOptions

  func validate() throws {
    guard (1...10_000).contains(photos) else {
      throw ValidationError("--photos is \(photos), expected 1 to 10000.")
    }
  }

  func run() throws {
    let session = Session(global)
    let stage = DiagnosePreprocessingStage(context: try session.context())
    let result = try stage.diagnose(
      try subject.subject(), photos: photos, seed: global.seed ?? 0, applyingTo: apply)
    try session.print(result, text: result.text)
  }
}

extension PreprocessingDiagnosis {
  /// The verdict, the advice, the best contracts and the declared one, for people.
  var text: String {
    var table = TextTable("Contract", ">Divergence", ">Confidence", ">Entropy", ">Accuracy", "")
    let shown = ranking.enumerated().filter { $0.offset < 8 || $0.element.isDeclared }
    for (_, rank) in shown {
      table.append([
        rank.name, Format.significant(rank.divergence, 3),
        rank.head.map { Format.fixed($0.confidence, 3) } ?? "",
        rank.head.map { Format.fixed($0.entropy, 2) } ?? "",
        rank.accuracy.map { Format.percent($0) } ?? "", rank.isDeclared ? "declared" : "",
      ])
    }
    var lines = [verdict]
    if let gain { lines.append("To be won: \(gain)") }
    if let recommendation { lines.append("To do: \(recommendation)") }
    if let applied { lines.append("Written: \(applied)") }
    lines += [
      "", "\(photos) photos, declared: \(declaredContract)", "",
      table.text(width: OutputSink.tableColumns),
    ]
    if !geometries.isEmpty {
      let list = geometries.map { "\($0.name) \(Format.significant($0.divergence, 3))" }
      lines.append("Resizing: " + list.joined(separator: ", "))
    }
    return (lines + notes).joined(separator: "\n")
  }
}
