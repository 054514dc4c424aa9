// SPDX-License-Identifier: Apache-2.0

import Foundation

/// Another program, found on the path, that we wait for but can stop.
///
/// Foundation starts it and waits for it on threads of its own. (swift-subprocess needs a thread of
/// the pool that runs Swift's tasks; when all of them wait here, as on a machine with two processors
/// and two callers, it never goes on.)
package enum ChildProgram {
  /// How it ended.
  package struct Outcome: Sendable {
    /// Exit status; 128 and the signal's number when a signal ended it.
    package let status: Int32
    /// The end of what it wrote to stderr, at most 4 kB, without white space around it.
    package let messages: String
    /// What it wrote to stdout, if that is kept, in the same way.
    package var output = ""
  }

  /// How much of its stderr is kept, bytes.
  private static let keptMessages = 4096
  /// How long it may take to end by itself once it is told to.
  private static let grace = Duration.seconds(5)

  /// Runs `command` without input and waits for it, blocking the thread.
  ///
  /// - Parameter keepsOutput: whether the end of its stdout is kept, which otherwise goes nowhere.
  /// - Parameter checkpoint: called fifty times a second; when it throws, the program is told to end,
  ///   and killed when it has not after five seconds.
  /// - Throws: what `checkpoint` throws, ``BackboneError/fetchFailed(source:reason:)`` when there is
  ///   no such program or it cannot be started.
  package static func run(
    _ command: [String], keepsOutput: Bool = false, checkpoint: () throws -> Void
  ) throws -> Outcome {
    try checkpoint()
    let (errors, output) = (Pipe(), keepsOutput ? Pipe() : nil)
    let process = try start(command, errors, output)
    var (kept, written): ([UInt8], [UInt8]) = ([], [])
    func drainBoth() {
      drain(errors, into: &kept)
      if let output { drain(output, into: &written) }
    }
    do {
      while process.isRunning {
        usleep(20_000)
        drainBoth()
        try checkpoint()
      }
    } catch {
      stop(process)
      throw error
    }
    process.waitUntilExit()
    drainBoth()
    let isSignal = process.terminationReason == .uncaughtSignal
    return Outcome(
      status: process.terminationStatus + (isSignal ? 128 : 0),
      messages: text(kept), output: text(written))
  }

  private static func text(_ bytes: [UInt8]) -> String {
    String(decoding: bytes, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
  }

  private static func start(
    _ command: [String], _ errors: Pipe, _ output: Pipe?
  ) throws -> Process {
    guard let program = find(command[0]) else {
      throw BackboneError.fetchFailed(
        source: command[0],
        reason: "the program '\(command[0])' is not installed. Install it, on Debian with:"
          + " apt-get install \(command[0]).")
    }
    let process = Process()
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments = Array(command.dropFirst())
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = output ?? FileHandle.nullDevice
    process.standardError = errors
    do { try process.run() } catch {
      throw BackboneError.fetchFailed(source: command[0], reason: "\(error).")
    }
    return process
  }

  /// Tells it to end, and kills it when it does not.
  private static func stop(_ process: Process) {
    process.terminate()
    let deadline = ContinuousClock.now + grace
    while process.isRunning, ContinuousClock.now < deadline { usleep(20_000) }
    if process.isRunning { kill(process.processIdentifier, SIGKILL) }
    process.waitUntilExit()
  }

  private static func drain(_ pipe: Pipe, into kept: inout [UInt8]) {
    let descriptor = pipe.fileHandleForReading.fileDescriptor
    // Read without waiting: a grandchild may hold the pipe open for longer than the program lives.
    _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
    withUnsafeTemporaryAllocation(byteCount: 1 << 16, alignment: 1) { buffer in
      while true {
        let count = read(descriptor, buffer.baseAddress, buffer.count)
        guard count > 0 else { return }
        kept += buffer[..<count]
        kept.removeFirst(max(kept.count - keptMessages, 0))
      }
    }
  }

  /// Whether there is a program of this name.
  package static func isInstalled(_ name: String) -> Bool { find(name) != nil }

  private static func find(_ name: String) -> String? {
    if name.contains("/") { return access(name, X_OK) == 0 ? name : nil }
    let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/local/bin:/usr/bin:/bin"
    return path.split(separator: ":").map { "\($0)/\(name)" }
      .first { access($0, X_OK) == 0 }
  }
}
