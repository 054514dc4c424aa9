// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import ThawFiles

/// Another program, found on the path, that we wait for but can stop.
enum Subprocess {
  /// How it ended.
  struct Outcome {
    /// Exit status; 128 and the signal's number when a signal ended it.
    let status: Int32
    /// What it wrote to stderr, without white space around it, at most 4 kB.
    let messages: String
  }

  /// Runs `command` without input or output and waits for it.
  ///
  /// - Parameter messages: file for its stderr; a pipe could fill up and block it.
  /// - Parameter checkpoint: called every tenth of a second; when it throws, the program is
  ///   terminated first.
  /// - Throws: what `checkpoint` throws, ``BackboneError/fetchFailed(source:reason:)`` when there is
  ///   no such program, `FileError`.
  static func run(
    _ command: [String], messages: FilePath, checkpoint: () throws -> Void
  ) throws -> Outcome {
    guard let program = find(command[0]) else {
      throw BackboneError.fetchFailed(
        source: command[0], reason: "the program '\(command[0])' is not installed. Run: make setup")
    }
    try AtomicFile.write(messages, text: "")
    let process = Process()
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments = Array(command.dropFirst())
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = FileHandle.nullDevice
    process.standardError = try FileHandle(
      forWritingTo: URL(fileURLWithPath: messages.string))
    try checkpoint()
    try process.run()
    do {
      while process.isRunning {
        usleep(20_000)
        try checkpoint()
      }
    } catch {
      process.terminate()
      process.waitUntilExit()
      throw error
    }
    process.waitUntilExit()
    let text = String(decoding: try FileSystem.read(messages).suffix(4096), as: UTF8.self)
    let isSignal = process.terminationReason == .uncaughtSignal
    return Outcome(
      status: process.terminationStatus + (isSignal ? 128 : 0),
      messages: text.trimmingCharacters(in: .whitespacesAndNewlines))
  }

  private static func find(_ name: String) -> String? {
    let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/local/bin:/usr/bin:/bin"
    return path.split(separator: ":").map { "\($0)/\(name)" }
      .first { access($0, X_OK) == 0 }
  }
}
