// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import SystemPackage
import ThawInference
import ThawTraining

/// From which probability on a photo is called what, and what mistakes cost.
struct ThresholdOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      """
      Answer CLASS from this probability on; may be repeated, 0 takes a threshold away. A photo whose most \
      probable class misses its threshold is 'undecided'.
      """, valueName: "CLASS=P"))
  var threshold: [String] = []

  @Option(
    help: ArgumentHelp(
      """
      Choose the threshold of CLASS by the validation photos so that this share of its answers is right, \
      with as many of its photos found as possible; may be repeated.
      """, valueName: "CLASS=SHARE"))
  var precision: [String] = []

  @Option(
    help: ArgumentHelp(
      """
      Choose the threshold of CLASS so that this share of its photos is found, with as few others as \
      possible; may be repeated.
      """, valueName: "CLASS=SHARE"))
  var recall: [String] = []

  @Flag(help: "Write the thresholds into the model: predictions use them from now on.")
  var storeThresholds = false

  @Option(
    help: """
      Table of what each answer costs, CSV: a column for each answer and a row for each true class, by their \
      names; a column 'undecided' for giving no answer. Says the cost of a photo, and the cheapest answers.
      """, completion: .file(extensions: ["csv", "tsv"]))
  var costs: FilePath?

  func validate() throws {
    let request = try request()
    guard !storeThresholds || !request.isEmpty else {
      throw ValidationError(
        "--store-thresholds has no effect without --threshold, --precision or --recall.")
    }
  }

  func request() throws -> ThresholdRequest {
    var request = ThresholdRequest()
    request.given = try Self.given(threshold)
    for (texts, measure) in [
      (precision, ChosenThreshold.Measure.precision), (recall, ChosenThreshold.Measure.recall),
    ] {
      request.wanted += try texts.map { text in
        let (name, value) = try Self.pair(text, option: measure.rawValue)
        guard value > 0, value <= 1 else {
          throw ValidationError(
            "--\(measure.rawValue) \(text): expected a share above 0 and up to 1, such as 0.95.")
        }
        return (name, measure, value)
      }
    }
    return request
  }

  /// `CLASS=P` of each text.
  static func given(_ texts: [String]) throws -> [(name: String, threshold: Float)] {
    try texts.map { text in
      let (name, value) = try pair(text, option: "threshold")
      guard (0...1).contains(value) else {
        throw ValidationError("--threshold \(text): expected a probability from 0 to 1.")
      }
      return (name, Float(value))
    }
  }

  /// The last `=` divides: names may have some.
  private static func pair(_ text: String, option: String) throws -> (String, Double) {
    guard let sign = text.lastIndex(of: "="), sign != text.startIndex,
      let value = Double(text[text.index(after: sign)...]), value.isFinite
    else {
      throw ValidationError("--\(option) is '\(text)', expected CLASS=NUMBER, such as cat=0.9.")
    }
    return (String(text[..<sign]), value)
  }
}
