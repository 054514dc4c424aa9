// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import Testing
import ThawFiles
import ThawTestSupport

/// How a command ended and what it wrote.
struct Outcome: Sendable {
  /// Exit code; the number of the signal when one ended it.
  let status: Int32
  let wasKilled: Bool
  let stdout: String
  let stderr: String

  /// Expects the exit code 0.
  func succeeded(sourceLocation: SourceLocation = #_sourceLocation) {
    #expect(status == 0 && !wasKilled, "\(stderr)", sourceLocation: sourceLocation)
  }

  /// Stdout as one JSON document.
  func json(sourceLocation: SourceLocation = #_sourceLocation) throws -> JSON {
    succeeded(sourceLocation: sourceLocation)
    return try JSON(stdout)
  }

  /// The lines of stderr that begin with `error:`.
  var errors: [String] { stderr.split(separator: "\n").map(String.init).filter(\.isError) }
}

extension String {
  fileprivate var isError: Bool { hasPrefix("error: ") }
}

/// The built command, started as a user starts it.
final class ThawProcess {
  /// The program beside the test bundle.
  static let program: FilePath = {
    var place = FilePath(
      (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? "")
    place.removeLastComponent()
    return place.appending("thaw")
  }()

  private let process = Process()
  private let output: TemporaryDirectory
  var identifier: Int32 { process.processIdentifier }

  /// Starts it.
  ///
  /// - Parameters:
  ///   - shell: a shell's command line that contains `"$@"` where the command is to be started.
  ///   - environment: added to the tests' own.
  init(
    _ arguments: [String], in directory: FilePath, environment: [String: String] = [:],
    shell: String? = nil
  ) throws {
    output = try TemporaryDirectory()
    let command = [ThawProcess.program.string] + arguments
    process.executableURL = URL(fileURLWithPath: shell == nil ? command[0] : "/bin/sh")
    process.arguments =
      shell.map { ["-c", $0, "sh"] + command } ?? Array(command.dropFirst())
    process.currentDirectoryURL = URL(fileURLWithPath: directory.string)
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = try handle("stdout")
    process.standardError = try handle("stderr")
    try process.run()
  }

  private func handle(_ name: String) throws -> FileHandle {
    let path = output.path.appending(name).string
    _ = FileManager.default.createFile(atPath: path, contents: nil)
    return try #require(FileHandle(forWritingAtPath: path))
  }

  /// What it has written to stdout so far.
  var stdout: String { text("stdout") }

  /// What it has written to stderr so far.
  var stderr: String { text("stderr") }

  private func text(_ name: String) -> String {
    let bytes = (try? FileSystem.read(output.path.appending(name))) ?? []
    return String(decoding: bytes, as: UTF8.self)
  }

  func send(_ signal: Int32) { kill(identifier, signal) }

  /// Waits for its end.
  func wait() -> Outcome {
    process.waitUntilExit()
    return Outcome(
      status: process.terminationStatus,
      wasKilled: process.terminationReason == .uncaughtSignal,
      stdout: text("stdout"), stderr: text("stderr"))
  }

  /// Waits until `condition` holds; returns false when the process ended or a minute passed first.
  func wait(until condition: () -> Bool) -> Bool {
    for _ in 0..<30_000 {
      if condition() { return true }
      if !process.isRunning { return condition() }
      usleep(2000)
    }
    return false
  }
}

/// A JSON document, read by path.
struct JSON {
  let value: Any?

  init(_ text: String) throws {
    value = try JSONSerialization.jsonObject(with: Data(text.utf8), options: .fragmentsAllowed)
  }

  private init(value: Any?) { self.value = value }

  subscript(key: String) -> JSON { JSON(value: (value as? [String: Any])?[key]) }
  subscript(index: Int) -> JSON {
    let list = array
    return list.indices.contains(index) ? list[index] : JSON(value: nil)
  }

  var keys: [String] { (value as? [String: Any])?.keys.sorted() ?? [] }
  var array: [JSON] { (value as? [Any])?.map { JSON(value: $0) } ?? [] }
  var string: String? { value as? String }
  var int: Int? { (value as? NSNumber)?.intValue }
  var double: Double? { (value as? NSNumber)?.doubleValue }
  var bool: Bool? { value as? Bool }
  var isThere: Bool { value != nil && !(value is NSNull) }
}
