// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import ThawConsole
import ThawFiles

/// Whether a file that was asked for can be written, before anything is computed for it.
enum OutputCheck {
  /// - Parameter inputs: files and folders that are read.
  /// - Throws: ``PipelineError/usage(_:)`` when `output` is one of them, by whatever name, or lies in a folder
  ///   that is not there.
  static func check(_ output: FilePath, inputs: [FilePath]) throws(PipelineError) {
    let folder = output.removingLastComponent()
    guard folder.isEmpty || FileSystem.exists(folder) else {
      throw .usage("\(output.displayed): there is no folder \(folder.displayed). Make it first.")
    }
    guard let there = try? FileStatus(of: output) else { return }
    guard there.kind != .directory else {
      throw .usage("\(output.displayed) is a folder. Give --output the name of a file.")
    }
    for input in inputs {
      guard let status = try? FileStatus(of: input),
        (status.device, status.inode) == (there.device, there.inode), there.kind == .regular
      else { continue }
      throw .usage(
        "\(output.displayed) is \(input.displayed) itself, which would be lost. Give --output another name."
      )
    }
  }
}
