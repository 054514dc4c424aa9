// SPDX-License-Identifier: Apache-2.0

import Glibc
import SystemPackage
import ThawFiles
import ThawImages

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
    promisesPhoto(name) || otherImageExtensions.contains(extensionText(name))
  }

  /// Whether the name promises a photo in a format that is decoded.
  static func promisesPhoto(_ name: [UInt8]) -> Bool {
    ["jpg", "jpeg", "jpe", "jfif", "png"].contains(extensionText(name))
  }

  private static func extensionText(_ name: [UInt8]) -> String {
    guard let dot = name.lastIndex(of: 0x2E), dot > 0 else { return "" }
    return String(decoding: name[(dot + 1)...], as: UTF8.self).lowercased()
  }

  private static let otherImageExtensions: Set<String> = [
    "apng", "gif", "webp", "bmp", "tif", "tiff", "heic",
    "heif", "avif", "jxl", "jp2", "ppm", "pgm", "pbm", "pnm", "ico", "tga",
  ]

  /// The format that the file's first bytes say it has; nil for one that cannot be read.
  static func format(of path: FilePath) -> ImageFormat? {
    guard let file = try? OpenFile(path, O_RDONLY | O_NONBLOCK, "open") else { return nil }
    defer { file.closeIgnoringErrors() }
    var start = [UInt8](repeating: 0, count: 32)
    guard let count = try? start.withUnsafeMutableBytes({ try file.read(into: $0) }) else {
      return nil
    }
    return start.withUnsafeBytes {
      ImageFormat.detect(UnsafeRawBufferPointer(rebasing: $0[..<count]))
    }
  }
}
