// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import ThawConfiguration

/// What people call a command or an option that has another name here.
///
/// Words of other programs (Keras, fastai, timm, Ultralytics, PyTorch's examples) come first, then
/// names that are a letter or two away. The parser's own suggestions are not used: it takes
/// `--labels` for `--label-smoothing`.
struct NearMisses {
  private let arguments: [String]

  /// - Parameter arguments: the command line without the program's name.
  init(arguments: [String]) { self.arguments = arguments }

  /// The parser's message; where a command or an option was given that does not exist, a message about
  /// that one instead, with the name it has here.
  func improve(_ message: String) -> String {
    let (message, usage) = parts(of: message)
    if let found = unknownCommand { return "Error: \(found)\(usage)" }
    let known = Self.options(of: path)
    guard let option = given.first(where: { !known.contains($0) && !Self.always.contains($0) })
    else { return (negativeValue(message) ?? message) + usage }
    let advice = advice(on: option, known)
    return "Error: Unknown option '\(option)'.\(advice.isEmpty ? "" : " \(advice)")\(usage)"
  }

  /// For an option whose value begins with a minus, so that the parser takes it for another option.
  private func negativeValue(_ message: String) -> String? {
    guard message.hasPrefix("Error: Missing value for "),
      let place = arguments.indices.dropLast().first(where: {
        message.contains("'\(arguments[$0]) ") && Double(arguments[$0 + 1]) != nil
      })
    else { return nil }
    let (option, value) = (arguments[place], arguments[place + 1])
    return "Error: \(option): the value '\(value)' begins like an option. If it is meant, write"
      + " \(option)=\(value)"
  }

  /// The message and the usage of the command that the line names; what is refused only when a command
  /// runs, the parser takes for a matter of the outermost one.
  private func parts(of message: String) -> (message: String, usage: String) {
    guard let start = message.range(of: "\nUsage:")?.lowerBound else { return (message, "") }
    let own = String(message[..<start])
    guard let command = path.last else { return (own, String(message[start...])) }
    let name = path.map(Self.name).joined(separator: " ")
    return (
      own,
      "\nUsage: \(RootCommand.usageString(for: command))\n"
        + "  See 'thaw \(name) --help' for more information."
    )
  }

  /// What to give in place of `option`; empty when nobody knows.
  private func advice(on option: String, _ known: Set<String>) -> String {
    if let parent = path.last, !parent.configuration.subcommands.isEmpty {
      let commands = parent.configuration.subcommands.map {
        "'thaw \(Self.name(parent)) \(Self.name($0))'"
      }
      return "Say which: \(list(commands, "or"))."
    }
    let word = option.dropFirst(2).lowercased().replacing("_", with: "-")
    let meant = ([word] + (Self.names[word] ?? [])).filter { !isOfAnotherMeaning($0, for: word) }
    if let name = meant.first(where: { known.contains("--\($0)") }) {
      return "Did you mean '--\(name)'?"
    }
    for name in meant {
      let owners = Self.commands.filter { Self.options(of: $0).contains("--\(name)") }
      if !owners.isEmpty { return "'--\(name)' belongs to \(few(owners))." }
    }
    let names = known.map { String($0.dropFirst(2)) }.sorted()
    let near = Suggestions.of(word, among: names).map { "'--\($0)'" }
    return near.isEmpty ? "" : "Did you mean \(list(near, "or"))?"
  }

  /// `--output` of a command that makes one file is that file; only where a whole run is made is it
  /// the run.
  private func isOfAnotherMeaning(_ name: String, for word: String) -> Bool {
    name == "run" && word != "run"
      && !["fit", "prepare"].contains(path.last.map(Self.name) ?? "")
  }

  /// Commands, the first of them where there are many.
  private func few(_ owners: [[Command]]) -> String {
    let names = owners.map { "thaw " + $0.map(Self.name).joined(separator: " ") }
    guard names.count > 4 else { return list(names) }
    return "other commands, \(list(Array(names.prefix(3)))) among them"
  }

  private func list(_ items: [String], _ word: String = "and") -> String {
    guard items.count > 1, let last = items.last else { return items.first ?? "" }
    return "\(items.dropLast().joined(separator: ", ")) \(word) \(last)"
  }

  /// A sentence about the first word that is no command where one is expected.
  private var unknownCommand: String? {
    let place = path
    let parent = place.last ?? RootCommand.self
    guard arguments.count > place.count, !parent.configuration.subcommands.isEmpty else {
      return nil
    }
    let word = arguments[place.count]
    guard !word.hasPrefix("-"), word != "help" else { return nil }
    let names = parent.configuration.subcommands.map(Self.name)
    let usual = place.isEmpty ? Self.commandWords[word.lowercased()] : nil
    let near = usual.map { [$0] } ?? Suggestions.of(word, among: names)
    let before = place.map { " " + Self.name($0) }.joined()
    return "There is no command 'thaw\(before) \(word)'."
      + (near.isEmpty ? "" : " Did you mean \(list(near.map { "'thaw\(before) \($0)'" }, "or"))?")
      + " All of them: thaw\(before) --help"
  }

  /// The options on the command line, without their values.
  private var given: [String] {
    arguments.prefix { $0 != "--" }.filter { $0.hasPrefix("--") }.map {
      String($0.prefix { $0 != "=" })
    }
  }

  /// What the parser takes for every command and does not list.
  private static let always: Set = [
    "--help", "--help-all", "--help-hidden", "--version", "--generate-completion-script",
    "--experimental-dump-help",
  ]

  private typealias Command = any ParsableCommand.Type

  /// The commands that the line names, from the outermost in.
  private var path: [Command] {
    var path: [Command] = []
    for argument in arguments {
      let parent = path.last ?? RootCommand.self
      guard let next = parent.configuration.subcommands.first(where: { Self.name($0) == argument })
      else { break }
      path.append(next)
    }
    return path
  }

  /// Every command that does something.
  private static var commands: [[Command]] {
    func leaves(_ path: [Command]) -> [[Command]] {
      let parent = path.last ?? RootCommand.self
      let parts = parent.configuration.subcommands
      return parts.isEmpty ? [path] : parts.flatMap { leaves(path + [$0]) }
    }
    return leaves([])
  }

  /// The names of the options of a command, hidden ones among them.
  private static func options(of path: [Command]) -> Set<String> {
    let help = RootCommand.helpMessage(
      for: path.last ?? RootCommand.self, includeHidden: true, columns: 1000)
    // Where an option is declared, not where a text speaks of one.
    let declared = help.split(separator: "\n").filter { $0.hasPrefix("  -") }
      .compactMap { $0.dropFirst(2).components(separatedBy: "  ").first }
    return Set(declared.flatMap { $0.matches(of: /--[a-z][a-z-]*/).map { String($0.output) } })
  }

  private static func name(_ command: Command) -> String {
    command.configuration.commandName ?? String(describing: command).lowercased()
  }
}
