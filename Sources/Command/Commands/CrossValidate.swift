// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import ThawConsole
import ThawReports
import ThawRuns
import ThawSearch

/// `thaw cross-validate`
struct CrossValidate: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "cross-validate",
    abstract: "Judge every photo by a head that has not seen it; what would more photos bring?",
    discussion: """
      Trains heads of the run's recipe on the frozen backbone, each without a part of the training and \
      validation photos, and judges that part; then again with half, a quarter and an eighth of the \
      photos. The model of the run stays as it is. Documentation/search.md.
      """)

  @Option(name: .customLong("run"), help: "Run directory, prepared before.")
  var directory: RunDirectory

  @Option(help: "Parts that are held out, one after the other.")
  var folds = 5

  @OptionGroup(title: "Every command") var global: GlobalOptions

  func validate() throws { try CrossValidate.check(folds) }

  /// - Throws: `ValidationError` for a number of folds that makes no sense.
  static func check(_ folds: Int) throws {
    guard (2...100).contains(folds) else {
      throw ValidationError("--folds is \(folds), expected 2 to 100.")
    }
  }

  func run() throws {
    let session = Session(global)
    let prepared = try session.open(directory)
    var recipe = prepared.recipe
    if let seed = global.seed { recipe.seed = seed }
    let result = try CrossValidationStage(prepared.with(recipe), folds: folds).judge()
    try session.print(result, text: result.text)
  }
}

extension CrossValidationResult {
  /// The accuracy, the curve and where more photos help most, for people.
  var text: String {
    let spread = foldAccuracies.map { Format.percent($0) }.joined(separator: ", ")
    var lines = [
      "\(count) photos, each judged by a head that had not seen it: accuracy"
        + " \(Format.percent(accuracy)) (\(Format.percent(lower)) to \(Format.percent(upper))), loss"
        + " \(Format.fixed(loss, 4)).",
      "Folds: \(spread).", conclusion, "",
    ]
    var curve = TextTable(">Photos", ">Accuracy", ">95 % from", ">to", "")
    for point in learningCurve + [doubled].compactMap({ $0 }) {
      curve.append([
        "\(point.photos)", Format.percent(point.accuracy), Format.percent(point.lower),
        Format.percent(point.upper), point == doubled ? "expected" : "",
      ])
    }
    lines.append(curve.text(width: OutputSink.tableColumns))
    var classes = TextTable(
      "Class", ">Photos", ">Found", ">Twice the photos would add", ">95 % from",
      ">to")
    func points(_ share: Double?) -> String { share.map { Format.fixed(100 * $0, 1) } ?? "" }
    for item in perClassByGain.prefix(10) {
      classes.append([
        item.name, "\(item.count)", Format.percent(item.recall),
        item.gain == nil ? "cannot tell" : points(item.gain), points(item.gainLower),
        points(item.gainUpper),
      ])
    }
    return (lines + [classes.text(width: OutputSink.tableColumns), "All photos: \(predictions)"])
      .joined(separator: "\n")
  }
}
