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
    guard folder.isEmpty || (try? FileStatus(of: folder))?.kind == .directory else {
      throw .usage("\(output.displayed): there is no folder \(folder.displayed). Make it first.")
    }
    guard let there = try? FileStatus(of: output) else { return }
    guard there.kind != .directory else {
      throw .usage("\(output.displayed) is a folder. Give the name of a file.")
    }
    for input in inputs where there.kind == .regular && isSame(output, input) {
      throw .usage(
        "\(output.displayed) is \(input.displayed) itself, which would be lost. Give another name.")
    }
  }

  /// - Parameter photos: files and folders of photos, among which no image is to be written: it would lie
  ///   among them the next time, or replace one.
  /// - Throws: ``PipelineError/usage(_:)`` when `folder` is one of those folders, or below one.
  static func check(folder: FilePath, isApartFrom photos: [FilePath]) throws(PipelineError) {
    guard let place = (folder.isEmpty ? "." : folder).canonical else { return }
    for input in photos {
      guard let other = input.canonical, place.starts(with: other) else { continue }
      throw .usage(
        "\(folder.isEmpty ? "." : folder.displayed) is where the photos of \(input.displayed) are: what is"
          + " written would lie among them, or over them. Give another folder.")
    }
  }

  private static func isSame(_ one: FilePath, _ other: FilePath) -> Bool {
    guard let first = try? FileStatus(of: one), let second = try? FileStatus(of: other) else {
      return false
    }
    return (first.device, first.inode) == (second.device, second.inode)
  }
}
