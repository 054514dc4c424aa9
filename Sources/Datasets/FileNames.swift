// SPDX-License-Identifier: Apache-2.0

import Files
import Glibc
import SystemPackage

/// Which names and contents can be photos.
enum FileNames {
  /// Whether a file or folder of this name belongs to the system, an editor or an archiver:
  /// anything hidden (`.DS_Store`, `.ipynb_checkpoints`, `._photo.jpg`), `__MACOSX`, `Thumbs.db`,
  /// `desktop.ini`.
  static func isIgnored(_ name: [UInt8]) -> Bool {
    if name.first == 0x2E { return true }
    let text = String(decoding: name, as: UTF8.self).lowercased()
    return ["__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini"].contains(text)
  }

  /// Whether the name promises an image. Whether there is one is decided by the content.
  static func promisesImage(_ name: [UInt8]) -> Bool {
    guard let dot = name.lastIndex(of: 0x2E), dot > 0 else { return false }
    let end = String(decoding: name[(dot + 1)...], as: UTF8.self).lowercased()
    return imageExtensions.contains(end)
  }

  private static let imageExtensions: Set<String> = [
    "jpg", "jpeg", "jpe", "jfif", "png", "apng", "gif", "webp", "bmp", "tif", "tiff", "heic",
    "heif", "avif", "jxl", "jp2", "ppm", "pgm", "pbm", "pnm", "ico", "tga",
  ]

  /// Whether the file begins like a JPEG, PNG, GIF, WebP, HEIC or AVIF image. An unreadable file
  /// does not.
  static func beginsLikeImage(_ path: FilePath) -> Bool {
    guard let file = try? OpenFile(path, O_RDONLY | O_NONBLOCK, "open") else { return false }
    defer { file.closeIgnoringErrors() }
    var start = [UInt8](repeating: 0, count: 12)
    let count = start.withUnsafeMutableBytes { (try? file.read(into: $0)) ?? 0 }
    return beginsLikeImage(start.prefix(count))
  }

  private static func beginsLikeImage(_ start: ArraySlice<UInt8>) -> Bool {
    func has(_ text: String, at offset: Int = 0) -> Bool {
      start.dropFirst(offset).starts(with: text.utf8)
    }
    return start.starts(with: [0xFF, 0xD8, 0xFF]) || start.starts(with: [0x89, 0x50, 0x4E, 0x47])
      || has("GIF8") || (has("RIFF") && has("WEBP", at: 8))
      || ["ftypheic", "ftypavif", "ftypmif1"].contains { has($0, at: 4) }
  }
}
