// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Glibc
import ThawConsole
import ThawRanks
import ThawRuns

/// How a failed command ends: one `error:` line on stderr and an exit code.
struct ErrorReport {
  private let error: any Error

  init(_ error: any Error) { self.error = error }

  func printAndExit() -> Never {
    if error is ReaderHasGone { leave(74) }
    guard isFromParser else {
      OutputSink.standardError.write(message: "\(error)", label: "error: ")
      leave(exitCode(of: error))
    }
    let code = RootCommand.exitCode(for: error)
    // Help that was asked for is help, whatever else stands on the line.
    let given = Array(CommandLine.arguments.dropFirst())
    let message =
      code == .success
      ? RootCommand.fullMessage(for: error)
      : NearMisses(arguments: given).improve(RootCommand.fullMessage(for: error))
    if code == .success {
      do { try standardOutput(.document(message + "\n")) } catch {
        ErrorReport(error).printAndExit()
      }
    } else if !message.isEmpty {
      let lines = message.split(separator: "\n", maxSplits: 1, omittingEmptySubsequences: false)
      if message.hasPrefix("Error: ") {
        OutputSink.standardError.write(message: String(lines[0].dropFirst(7)), label: "error: ")
      }
      let rest = message.hasPrefix("Error: ") ? lines.dropFirst().first.map(String.init) : message
      if let rest { OutputSink.standardError.write(rest + "\n") }
    }
    leave(code.rawValue)
  }

  /// Ends this process, and those that a launcher started with it.
  private func leave(_ code: Int32) -> Never {
    RankGroup.current.leave(code)
    exit(code)
  }

  /// Whether ArgumentParser made it: bad usage, a request for help, or a plain exit code.
  private var isFromParser: Bool {
    error is CleanExit || error is ValidationError || error is ExitCode
      || "\(type(of: error))" == "CommandError"
  }
}
