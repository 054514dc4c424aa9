// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

/// The program that uses the library in a process of its own.
enum TestTool {
  /// Runs it to its end and returns what it wrote to stdout and stderr.
  static func run(
    _ arguments: [String], _ environment: [String: String] = [:]
  ) throws -> (output: String, errors: String) {
    let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    let process = Process()
    process.executableURL = URL(fileURLWithPath: own).deletingLastPathComponent()
      .appendingPathComponent("thaw-test-tool")
    process.arguments = arguments
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    let (output, errors) = (Pipe(), Pipe())
    (process.standardOutput, process.standardError) = (output, errors)
    try process.run()
    let texts = [output, errors].map {
      String(decoding: $0.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    }
    process.waitUntilExit()
    #expect(process.terminationStatus == 0, "\(texts[1])")
    return (texts[0], texts[1])
  }
}
