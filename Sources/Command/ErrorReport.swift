// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Glibc
import ThawConsole
import ThawRuns

/// How a failed command ends: one `error:` line on stderr and an exit code.
struct ErrorReport {
  private let error: any Error

  init(_ error: any Error) { self.error = error }

  func printAndExit() -> Never {
    if error is ReaderHasGone { exit(74) }
    guard isFromParser else {
      OutputSink.standardError.write(message: "\(error)", label: "error: ")
      exit(exitCode(of: error))
    }
    let code = RootCommand.exitCode(for: error)
    let message = NearMisses(arguments: Array(CommandLine.arguments.dropFirst())).improve(
      RootCommand.fullMessage(for: error))
    if code == .success {
      do { try standardOutput(.document(message + "\n")) } catch {
        ErrorReport(error).printAndExit()
      }
    } else if !message.isEmpty {
      OutputSink.standardError.write(
        (message.hasPrefix("Error: ") ? "error: " + message.dropFirst(7) : message) + "\n")
    }
    exit(code.rawValue)
  }

  /// Whether ArgumentParser made it: bad usage, a request for help, or a plain exit code.
  private var isFromParser: Bool {
    error is CleanExit || error is ValidationError || error is ExitCode
      || "\(type(of: error))" == "CommandError"
  }
}
