// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import SystemPackage
import ThawBackbones
import ThawCheckpoints
import ThawImages
import ThawTensors

/// The command, started for one photo: from nothing to an answer.
struct Cold: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "`thaw predict` of one photo, started anew each time.")

  @OptionGroup var options: WorkloadOptions

  func run() throws { try options.measure("cold \(options.network)") { try ColdWorkload(options) } }
}

/// `thaw predict` as a process of its own, once a photo.
struct ColdWorkload: Workload {
  private let options: WorkloadOptions
  private let command: URL
  private let model: String
  private let photos: [String]

  init(_ options: WorkloadOptions) throws {
    self.options = options
    command = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
      .appending(path: "thaw")
    guard FileManager.default.isExecutableFile(atPath: command.path) else {
      throw ValidationError("\(command.path) is missing: swift build -c release --product thaw")
    }
    guard let folder = options.photos else {
      throw ValidationError("This workload needs --photos FOLDER.")
    }
    photos = MakePhotos.files(below: folder, withExtension: "jpg", "jpeg")
    guard !photos.isEmpty else { throw ValidationError("There are no JPEG files in \(folder).") }
    let folderOfModel = options.work ?? NSTemporaryDirectory()
    model = folderOfModel + "/cold-\(options.network).safetensors"
    let network = try BenchmarkNetwork(options)
    let record = ModelRecord(
      thawVersion: "0.1.0", architecture: options.network,
      classNames: (0..<BenchmarkNetwork.classes).map { "class \($0)" },
      preprocessing: Preprocessing.efficientNetLite().json, precision: options.precision)
    try ModelFile.write(FilePath(model), record, network.parameters)
  }

  var description: String {
    "thaw predict --threads \(options.threads), a process for each photo"
  }

  func round() throws -> Int {
    for index in 0..<options.images {
      let process = Process()
      process.executableURL = command
      process.arguments = [
        "predict", "--model", model, "--threads", "\(options.threads)",
        photos[index % photos.count],
      ]
      process.standardOutput = FileHandle.nullDevice
      try process.run()
      process.waitUntilExit()
      guard process.terminationStatus == 0 else {
        throw ValidationError("thaw predict ended with \(process.terminationStatus)")
      }
    }
    return options.images
  }
}
