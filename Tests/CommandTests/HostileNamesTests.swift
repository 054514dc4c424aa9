// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing
import ThawCheckpoints
import ThawFiles

/// Names from a model file that would act on a terminal, through every way out.
@Suite struct HostileNamesTests {
  /// Clears the screen, turns text round, forges an error; the same by the one-character C1 control.
  private static let names = [
    "\u{1B}[2Jblue\u{202E}\nerror: forged", "\u{9B}2Jred\r\t\u{2066}=1+1",
  ]

  private let workspace: Workspace

  /// `hostile.safetensors`: a trained model whose classes were renamed.
  init() throws {
    workspace = try Workspace(count: 6)
    try workspace.fit().succeeded()
    let (record, parameters) = try ModelFile.read(workspace.file("run/model.safetensors"))
    var hostile = record
    hostile.classNames = Self.names
    try ModelFile.write(workspace.file("hostile.safetensors"), hostile, parameters)
  }

  private let predict = ["predict", "--model", "hostile.safetensors", "photos/blue/0.png"]
  private let renamed = zip(["blue", "red"], names).flatMap { ["--rename", "\($0)=\($1)"] }

  /// Scalars that act on a terminal or reorder text.
  private static func acting(in text: String) -> [Unicode.Scalar] {
    text.unicodeScalars.filter { scalar in
      scalar != "\n"
        && (scalar.properties.generalCategory == .control
          || (0x2028...0x202E).contains(scalar.value) || (0x2066...0x2069).contains(scalar.value))
    }
  }

  private func run(_ arguments: [String], shell: String? = nil) throws -> Outcome {
    let outcome = try workspace.start(arguments, shell: shell).wait()
    #expect(Self.acting(in: outcome.stderr) == [], "\(outcome.stderr.debugDescription)")
    #expect(!outcome.stderr.split(separator: "\n").contains("error: forged"))
    return outcome
  }

  @Test func predictionsAsTextAreOneHarmlessLineAPhoto() throws {
    let outcome = try run(predict)
    outcome.succeeded()
    #expect(Self.acting(in: outcome.stdout) == [])
    #expect(outcome.stdout.split(separator: "\n").count == 1)
    #expect(outcome.stdout.contains("\\x1b[2Jblue\\u{202e}\\nerror: forged "))
  }

  @Test func documentsKeepTheNamesExactly() throws {
    let json = try run(predict + ["--json"])
    #expect(Self.acting(in: json.stdout) == [])
    #expect(
      Set(try json.json()[0]["top"].array.compactMap { $0["label"].string }) == Set(Self.names))
    let csv = try run(predict + ["--format", "csv"])
    csv.succeeded()
    #expect(Self.names.contains { csv.stdout.contains($0) })
    try run(predict + ["--format", "csv", "--output", "predictions.csv"]).succeeded()
    #expect(try workspace.text("predictions.csv") == csv.stdout)
  }

  /// `script` runs a command on a terminal of its own and writes down what that shows.
  @Test(arguments: ["csv", "json", "text"])
  func nothingActsOnATerminal(format: String) throws {
    let shown = try run(
      predict + ["--quiet", "--format", format], shell: #"script -qec "$*" /dev/null"#)
    shown.succeeded()
    // The terminal itself puts a carriage return before each line feed.
    #expect(Self.acting(in: shown.stdout.replacing("\r\n", with: "\n")) == [])
    #expect(shown.stdout.contains("2Jblue") || shown.stdout.contains("2Jred"))
  }

  @Test func evaluationsAndDiagnosesAreHarmless() throws {
    let subject = ["--model", "hostile.safetensors", "--data", "photos"] + renamed
    let evaluation = try run(["evaluate"] + subject)
    evaluation.succeeded()
    #expect(Self.acting(in: evaluation.stdout) == [])
    #expect(evaluation.stdout.contains("\\x1b[2Jblue"))
    let json = try run(["evaluate"] + subject + ["--json"])
    #expect(Self.acting(in: json.stdout) == [])
    #expect(try json.json()["per_class"].array.map { $0["name"].string } == Self.names)
    let diagnosis = try run(["diagnose", "batchnorm", "--quick", "--no-fixes"] + subject)
    diagnosis.succeeded()
    #expect(Self.acting(in: diagnosis.stdout) == [])
  }

  @Test func errorsQuoteNamesWithoutObeyingThem() throws {
    let outcome = try run(["evaluate", "--model", "hostile.safetensors", "--data", "photos"])
    #expect(outcome.status == 65 && outcome.errors.count == 1)
    #expect(outcome.stderr.contains("It knows \\x1b[2Jblue\\u{202e}\n       error: forged"))
    let usage = try run(["evaluate", "--model", "m", "--data", "d", "--rename", "\u{1B}[2J"])
    #expect(usage.status == 64 && usage.stderr.contains("--rename is '\\x1b[2J'"))
  }
}
