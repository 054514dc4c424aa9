// SPDX-License-Identifier: Apache-2.0

import Glibc
import SystemPackage
import ThawConsole
import ThawFiles

/// Where an exported file and what belongs to it go: together, once all of it is written and checked.
struct ExportPlaces {
  private let output: FilePath
  private let isONNX: Bool
  private let withReadme: Bool

  init(_ output: FilePath, format: ExportStage.Format, withReadme: Bool) {
    self.output = output
    self.withReadme = withReadme
    isONNX = format == .onnx
  }

  /// The file's own name.
  var name: String { output.lastComponent?.string ?? "model" }
  var readme: String { name + ".README.md" }
  var python: String { name + ".predict.py" }
  var javaScript: String { name + ".predict.mjs" }

  private var folder: FilePath { output.removingLastComponent() }

  /// The files beside it.
  var beside: [FilePath] {
    guard withReadme else { return [] }
    return (isONNX ? [readme, python, javaScript] : [readme]).map { folder.appending($0) }
  }

  /// - Throws: ``PipelineError/usage(_:)`` when something else has one of the names.
  func validate() throws {
    for file in beside {
      guard let there = try? FileStatus(of: file) else { continue }
      let start = there.kind == .regular ? try FileSystem.read(file).prefix(4096) : []
      guard String(decoding: start, as: UTF8.self).contains("`thaw export`") else {
        throw PipelineError.usage(
          "\(file.displayed) is there and was not written by thaw export, which would write one of that name. Give"
            + " --output another name, or --no-readme.")
      }
    }
  }

  /// Has `body` write into an empty folder beside the output, and puts what is wanted in place when it
  /// returns. On any error nothing is left, and what was there stays.
  func write<Result>(_ body: (FilePath) throws -> Result) throws -> Result {
    clearLeftovers()
    let random = String(UInt32.random(in: 0 ... .max), radix: 16)
    let staging = folder.appending("\(name).tmp.\(getpid()).\(random)")
    let status = staging.withPlatformString { mkdir($0, 0o777) }
    guard status == 0 else { throw FileError(output, "create", .system(errno)) }
    defer { clear(staging) }
    let result: Result
    do { result = try body(staging) } catch let error as FileError
      where error.path.starts(with: staging)
    {
      // The staging folder means nothing to anybody.
      throw FileError(output, error.operation, error.reason)
    }
    for file in beside {
      try FileSystem.move(staging.appending(file.lastComponent?.string ?? ""), to: file)
    }
    try FileSystem.move(staging.appending(name), to: output)
    return result
  }

  /// Removes what exports of this name that were killed had begun: no process has the number in its name
  /// any more.
  private func clearLeftovers() {
    for entry in (try? FileSystem.list(folder.isEmpty ? "." : folder)) ?? [] {
      guard let origin = AtomicFile.origin(ofTemporary: entry.string), origin.finalName == name,
        kill(origin.process, 0) != 0, errno == ESRCH
      else { continue }
      clear(folder.appending(entry))
    }
  }

  private func clear(_ staging: FilePath) {
    for file in (try? FileSystem.list(staging)) ?? [] {
      try? FileSystem.remove(staging.appending(file))
    }
    _ = staging.withPlatformString { rmdir($0) }
  }
}
