// SPDX-License-Identifier: Apache-2.0

import Foundation

/// The photos that others are compared with: the files of a folder, as they were at the start.
struct PhotoFolder: Sendable {
  /// The folder.
  let path: String
  /// Paths below it, in order.
  let files: [String]

  private static let names: Set<String> = [
    "jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "heic", "heif", "avif",
  ]
  private static let maximumBytes = 64 << 20

  /// - Throws: ``FolderError`` when no photo is there.
  init(_ path: String) throws {
    self.path = path
    guard let all = FileManager.default.enumerator(atPath: path) else {
      throw FolderError(text: "--similar: '\(path)' is no folder that can be read.")
    }
    files = all.compactMap { $0 as? String }.filter { name in
      Self.names.contains((name as NSString).pathExtension.lowercased())
        && !(name as NSString).pathComponents.contains { $0.hasPrefix(".") }
    }.sorted()
    guard !files.isEmpty else { throw FolderError(text: "--similar: no photos in '\(path)'.") }
  }

  /// Where a file lies.
  func url(_ index: Int) -> URL { URL(fileURLWithPath: path).appendingPathComponent(files[index]) }

  /// A file's bytes; nil when it is gone, or too large to be a photo.
  func bytes(_ index: Int) -> [UInt8]? {
    guard let size = size(index), size <= Self.maximumBytes,
      let data = try? Data(contentsOf: url(index))
    else { return nil }
    return Array(data)
  }

  /// Its size in bytes.
  func size(_ index: Int) -> Int? {
    let attributes = try? FileManager.default.attributesOfItem(atPath: url(index).path)
    return attributes?[.size] as? Int
  }

  /// What browsers call a file that begins so; nil for what they do not show.
  static func mediaType(_ bytes: [UInt8]) -> String? {
    func begins(_ start: [UInt8], at place: Int = 0) -> Bool {
      bytes.dropFirst(place).starts(with: start)
    }
    if begins([0xff, 0xd8, 0xff]) { return "image/jpeg" }
    if begins([0x89, 0x50, 0x4e, 0x47]) { return "image/png" }
    if begins(Array("GIF8".utf8)) { return "image/gif" }
    if begins(Array("RIFF".utf8)), begins(Array("WEBP".utf8), at: 8) { return "image/webp" }
    if begins(Array("BM".utf8)) { return "image/bmp" }
    if begins(Array("ftypavif".utf8), at: 4) { return "image/avif" }
    return nil
  }
}

/// Why photos cannot be compared with those of a folder.
struct FolderError: Error, CustomStringConvertible {
  let text: String
  var description: String { text }
}
