// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import Testing
import ThawFiles
import ThawRecipes

/// Messages name commands and options as the way out: all of them must be there.
///
/// The texts are taken from the sources, so that advice which is written tomorrow is tried too.
struct AdviceTests {
  /// What a word after "thaw" may be when it is the verb of a sentence.
  private static let verbs: Set = [
    "does", "fewer", "more", "split", "layer", "layers", "for", "nor", "on",
  ]
  /// Files that start other programs, whose options are not ours, and style sheets.
  private static let foreign: Set = [
    "AddressDownload.swift", "WeightsSource.swift", "PretrainedStore+Reachability.swift",
    "ReportStyle.swift", "ReviewPage.swift", "MPITransport.swift", "ChartPalette.swift",
    "NearMisses.swift", "RootCommand.swift",
  ]

  /// The strings of the sources by file, comments left out and pieces that are added joined.
  private static func texts() throws -> [(file: String, text: String)] {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("Sources")
    let files = FileManager.default.enumerator(at: root, includingPropertiesForKeys: nil)
    var texts: [(String, String)] = []
    for case let file as URL in try #require(files) where file.pathExtension == "swift" {
      let lines = try String(contentsOf: file, encoding: .utf8).split(separator: "\n")
      let code = lines.filter { !$0.drop(while: { $0 == " " }).hasPrefix("//") }
        .joined(separator: "\n")
      texts.append(
        (file.lastPathComponent, code.replacing(/"\s*\n\s*\+ "/, with: "")))
    }
    return texts
  }

  /// Every command with the options it has.
  private static func commands() throws -> [String: Set<String>] {
    let workspace = try Workspace(classes: [])
    var found: [String: Set<String>] = [:]
    func collect(_ path: [String]) throws {
      let help = try workspace.start(path + ["--help-all"]).wait().stdout
      let parts = help.components(separatedBy: "SUBCOMMANDS:\n")
      guard parts.count == 2 else {
        found[path.joined(separator: " ")] = Set(
          help.matches(of: /--[a-z][a-z-]+/).map { String($0.output) })
        return
      }
      for line in parts[1].split(separator: "\n")
      where line.hasPrefix("  ") && !line.hasPrefix("   ") && !line.contains("See '") {
        try collect(path + [String(line.split(separator: " ")[0])])
      }
    }
    try collect([])
    return found
  }

  @Test func everyAdvisedCommandAndOptionExists() throws {
    let commands = try Self.commands()
    #expect(commands.count > 15)
    let known = commands.values.reduce(into: Set<String>()) { $0.formUnion($1) }
    var tried = 0
    for (file, text) in try Self.texts() where !Self.foreign.contains(file) {
      for match in text.matches(of: /\bthaw ([a-z-]+)(?: ([a-z]+))?((?: [^".;,\n]*)?)/) {
        let names = [String(match.1), match.2.map { "\(match.1) \($0)" }].compactMap { $0 }
        guard let command = names.last(where: { commands[$0] != nil }) else {
          #expect(
            Self.verbs.contains(names[0]),
            "\(file) advises '\(match.output.0)', which is no command")
          continue
        }
        // As far as the command goes: what follows may be the rest of the sentence.
        let options = String(match.3).matches(of: /--[a-z][a-z-]+/).map { String($0.output) }
        for option in options where !match.3.contains("thaw") {
          #expect(
            commands[command]?.contains(option) == true,
            "\(file) advises \(option) with thaw \(command), which has no such option")
        }
        tried += 1
      }
      // An option by itself: "Use --on-bad-image skip". Style sheets and programs in Python have their own.
      for match in text.matches(of: /[ (']--([a-z][a-z-]+)/)
      where !["HTML", "SearchPage", "ReportStyle", "PythonProgram"].contains(where: file.hasPrefix)
      {
        #expect(known.contains("--\(match.1)"), "\(file) speaks of --\(match.1)")
        tried += 1
      }
    }
    #expect(tried > 80)
  }

  /// What is to be written into a recipe can be: "augmentation: {preset: photo, horizontal_flip: false}".
  @Test func everyAdvisedKeyOfARecipeExists() throws {
    var tried = 0
    for (file, text) in try Self.texts() {
      for match in text.matches(of: /(data|image|train|fine_tune|augmentation): (\{[^}\\]*\})/)
      where !match.2.contains("…") {
        let part = "\(match.1): \(match.2)\n"
        let yaml = match.1 == "augmentation" ? "train:\n  \(part)" : part
        #expect(throws: Never.self, "\(file) advises \(part)") {
          _ = try Recipe(yaml: yaml, file: file)
        }
        tried += 1
      }
    }
    #expect(tried > 1)
  }
}
