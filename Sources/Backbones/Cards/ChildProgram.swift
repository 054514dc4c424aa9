// SPDX-License-Identifier: Apache-2.0

import Foundation
import Subprocess

/// Another program, found on the path, that we wait for but can stop.
///
/// swift-subprocess starts and stops it. Its interface is asynchronous and that of a download is not:
/// the two meet in ``run(_:checkpoint:)`` and nowhere else. The asynchronous side has a queue of its
/// own (``ChildProgramQueue``), so that it goes on even when every thread of Swift's pool is blocked
/// by somebody who waits here.
package enum ChildProgram {
  /// How it ended.
  package struct Outcome: Sendable {
    /// Exit status; 128 and the signal's number when a signal ended it.
    package let status: Int32
    /// The end of what it wrote to stderr, at most 4 kB, without white space around it.
    package let messages: String
  }

  /// How much of its stderr is kept, bytes.
  private static let keptMessages = 4096
  /// How long it may take to end by itself once it is told to.
  private static let grace = Duration.seconds(5)

  /// Runs `command` without input or output and waits for it, blocking the thread.
  ///
  /// - Parameter checkpoint: called fifty times a second; when it throws, the program is told to end,
  ///   and killed when it has not after five seconds.
  /// - Throws: what `checkpoint` throws, ``BackboneError/fetchFailed(source:reason:)`` when there is
  ///   no such program or it cannot be started.
  package static func run(
    _ command: [String], checkpoint: () throws -> Void
  ) throws -> Outcome {
    try checkpoint()
    let program = RunningProgram()
    let task = Task.detached(executorPreference: ChildProgramQueue.shared) {
      program.end(await Result { try await outcome(of: command, program) })
    }
    var stop: (reason: any Error, deadline: ContinuousClock.Instant)?
    while true {
      if let result = program.result(within: .milliseconds(20)) {
        if let stop { throw stop.reason }
        return try result.get()
      }
      if let stop {
        let isLate = ContinuousClock.now > stop.deadline
        // Without anybody to send it to, cancelling has the library end what it has started.
        if !program.send(isLate ? .kill : .terminate), isLate { task.cancel() }
      } else {
        do { try checkpoint() } catch { stop = (error, .now + grace) }
      }
    }
  }

  private static func outcome(
    of command: [String], _ program: RunningProgram
  ) async throws -> Outcome {
    do {
      let result = try await Subprocess.run(
        .name(command[0]), arguments: Arguments(Array(command.dropFirst())),
        input: .none, output: .discarded, error: .sequence
      ) { execution in
        program.begin { try? execution.send(signal: $0) }
        defer { program.begin(nil) }
        var kept: [UInt8] = []
        for try await piece in execution.standardError {
          piece.withUnsafeBytes { kept += $0 }
          kept = kept.suffix(keptMessages)
        }
        return String(decoding: kept, as: UTF8.self)
      }
      return Outcome(
        status: result.terminationStatus.number,
        messages: result.closureResult.trimmingCharacters(in: .whitespacesAndNewlines))
    } catch let error as SubprocessError where error.code == .executableNotFound {
      throw BackboneError.fetchFailed(
        source: command[0],
        reason: "the program '\(command[0])' is not installed. Install it, on Debian with:"
          + " apt-get install \(command[0]).")
    } catch let error as SubprocessError {
      throw BackboneError.fetchFailed(source: command[0], reason: "\(error).")
    }
  }
}

extension TerminationStatus {
  /// The exit status; 128 and the signal's number when a signal ended the program.
  fileprivate var number: Int32 {
    switch self {
    case .exited(let code): code
    case .signaled(let signal): signal + 128
    }
  }
}

extension Result where Failure == any Error {
  /// What `body` returns or throws.
  fileprivate init(_ body: () async throws -> Success) async {
    do { self = .success(try await body()) } catch { self = .failure(error) }
  }
}
