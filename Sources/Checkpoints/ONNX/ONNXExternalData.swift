// SPDX-License-Identifier: Apache-2.0

import Glibc
import SystemPackage
import ThawArchives
import ThawFiles

/// Whether the tensors of an ONNX file may lie in other files.
package enum ONNXExternalData: Sendable, Hashable {
  /// Such a file is an error.
  case refused
  /// In files of the same folder, named without a path. A symbolic link, a file with a second name
  /// (hard link) and anything that is not a regular file are refused, so that a model cannot make
  /// the reader open what lies elsewhere.
  case besideTheModel
}

/// The files that the tensors of one ONNX file lie in, each opened once.
struct ONNXExternalFiles {
  typealias Failure = (String, CheckpointError.Kind, String?) -> CheckpointError

  private let policy: ONNXExternalData
  private let folder: FilePath
  private var open: [String: ByteSource] = [:]

  init(_ policy: ONNXExternalData, beside path: FilePath) {
    self.policy = policy
    folder = path.removingLastComponent()
  }

  /// The file that holds a tensor, and where in it the elements begin.
  ///
  /// - Parameter entries: `location`, and perhaps `offset` and `length`, as the model says.
  mutating func place(
    _ entries: [String: String], _ label: String, byteCount: Int, error: Failure
  ) throws(CheckpointError) -> (ByteSource, Int) {
    guard policy == .besideTheModel else {
      throw error(
        "refuses \(label): its elements lie in another file", .refused,
        "Allow it with --external-data, or save the model in one file.")
    }
    let location = entries["location"] ?? ""
    guard let offset = Int(entries["offset"] ?? "0"), offset >= 0,
      let length = Int(entries["length"] ?? "\(byteCount)"), length == byteCount
    else {
      throw error(
        "\(label) needs \(byteCount) bytes, offset \(quoted(entries["offset"] ?? "0")) and length"
          + " \(quoted(entries["length"] ?? "")) are given", .malformed, nil)
    }
    let file = try source(location, label, error)
    guard offset <= file.count, byteCount <= file.count - offset else {
      throw error(
        "\(label) needs \(byteCount) bytes from \(offset) of \(quoted(location)), which has"
          + " \(file.count)", .truncated, nil)
    }
    return (file, offset)
  }

  private mutating func source(
    _ location: String, _ label: String, _ error: Failure
  ) throws(CheckpointError) -> ByteSource {
    if let known = open[location] { return known }
    guard let name = FilePath.Component(location), name.kind == .regular,
      name.string == location
    else {
      throw error(
        "refuses \(label): \(quoted(location)) is not the plain name of a file", .refused,
        "Save the model in one file.")
    }
    guard open.count < 1000 else {
      throw error("the tensors lie in more than 1000 files", .tooLarge, nil)
    }
    let file = try ByteSource(folder.appending(name), flags: O_NOFOLLOW)
    guard file.kind == .regular, file.linkCount == 1 else {
      throw error(
        "refuses \(label): \(quoted(location)) is a link or no regular file", .refused,
        "Copy the file itself into the model's folder.")
    }
    open[location] = file
    return file
  }
}
