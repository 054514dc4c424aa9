// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
package import ThawImages

/// Which names and contents can be photos.
package enum FileNames {
  /// Whether a file or folder of this name belongs to the system, an editor, a download or an archiver:
  /// anything hidden (`.DS_Store`, `.ipynb_checkpoints`, `._photo.jpg`), `__MACOSX`, `Thumbs.db`,
  /// `desktop.ini`, `photo.jpg~`, `photo.jpg.part`.
  package static func isIgnored(_ name: [UInt8]) -> Bool {
    if name.first == 0x2E || name.last == 0x7E { return true }
    let text = String(decoding: name, as: UTF8.self).lowercased()
    return [
      "__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir", "$recycle.bin",
      "system volume information",
    ].contains(text) || text.hasPrefix("#") && text.hasSuffix("#") && text.count > 1
      || ["part", "crdownload", "swp", "tmp"].contains(extensionText(name))
  }

  /// Whether the name promises an image. Whether there is one is decided by the content.
  static func promisesImage(_ name: [UInt8]) -> Bool {
    imageExtensions.contains(extensionText(name))
  }

  /// Whether a file is named as an image or begins like one.
  package static func isPhoto(_ path: FilePath) -> Bool {
    if promisesImage(BytePath(path).lastComponent) { return true }
    switch format(of: path) {
    // Texts may begin like a PNM.
    case .none, .some(.unknown), .some(.pdf), .some(.pnm): return false
    case .some: return true
    }
  }

  private static func extensionText(_ name: [UInt8]) -> String {
    guard let dot = name.lastIndex(of: 0x2E), dot > 0 else { return "" }
    return String(decoding: name[(dot + 1)...], as: UTF8.self).lowercased()
  }

  private static let imageExtensions: Set<String> = [
    "jpg", "jpeg", "jpe", "jfif", "jif", "jfi", "pjpeg", "pjp", "mpo", "png", "apng", "gif", "webp",
    "bmp", "dib", "tif", "tiff", "heic", "heif", "hif", "avif", "jxl", "jp2", "j2k", "jpx", "ppm",
    "pgm", "pbm", "pnm", "ico", "tga", "psd", "exr", "dng", "cr2", "cr3", "nef", "arw", "orf",
    "rw2",
    "raf",
  ]

  /// The format that the file's first bytes say it has; nil for one that cannot be read.
  package static func format(of path: FilePath) -> ImageFormat? {
    guard let start = try? PhotoFiles.start(of: path, count: 32) else { return nil }
    return start.withUnsafeBytes { ImageFormat.detect($0) }
  }
}
