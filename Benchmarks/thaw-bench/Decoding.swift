// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import ThawImages
import ThawTensors

/// Files of one format to pixels.
struct Decoding: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "decoding",
    abstract: "Files of the format --variant below --photos or --work to pixels.")

  @OptionGroup var options: WorkloadOptions

  func run() throws { try options.measure("decoding") { try DecodingWorkload(options) } }
}

/// Every file of one format read and decoded in full, one after the other.
struct DecodingWorkload: Workload {
  private let files: [String]
  private let kind: String

  init(_ options: WorkloadOptions) throws {
    kind = options.variant
    let folder = options.work.map { "\($0)/decoding" } ?? options.photos ?? "."
    files = MakePhotos.files(below: folder, withExtension: kind)
    guard !files.isEmpty else { throw ValidationError("There are no .\(kind) files in \(folder).") }
  }

  var description: String { "Thaw's decoder, \(kind), one file after the other" }

  func round() throws -> Int {
    for file in files {
      _ = try ImageDecoder.decode([UInt8](Data(contentsOf: URL(fileURLWithPath: file))))
    }
    return files.count
  }
}
