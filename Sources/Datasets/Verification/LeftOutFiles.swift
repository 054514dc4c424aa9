// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import ThawImages

/// Files of one class and one format that cannot be used.
package struct LeftOutFiles: Encodable, Sendable {
  /// The class; nil for files outside of any.
  package let className: String?
  /// By content, such as `JPEG XL`.
  package let format: String
  /// How many.
  package let count: Int
  /// A command that makes usable files of them; nil when it is no matter of the format.
  package let convert: String?

  private enum CodingKeys: String, CodingKey {
    case format, count, convert
    case className = "class"
  }

  /// The bad files of a verification, counted.
  package static func count(_ verification: DatasetVerification) -> [LeftOutFiles] {
    let scan = verification.scan
    let classes = scan.classesOfBad.merging(scan.files.map { ($0.path, $0.className) }) { $1 }
    var counts: [String: [String: (count: Int, convert: String?)]] = [:]
    for file in verification.bad {
      let (format, convert) = kind(file, in: scan.root)
      let className = classes[file.path] ?? ""
      counts[className, default: [:]][format, default: (0, convert)].count += 1
    }
    return counts.sorted { $0.key < $1.key }.flatMap { name, formats in
      formats.sorted { $0.key < $1.key }.map {
        LeftOutFiles(
          className: name.isEmpty ? nil : name, format: $0.key, count: $0.value.count,
          convert: $0.value.convert)
      }
    }
  }

  private static func kind(_ file: BadFile, in root: FilePath) -> (String, String?) {
    let path = file.path.resolved(in: root)
    return switch FileNames.format(of: path) {
    case .none: (PhotoFiles.exists(path) ? "unreadable" : "missing", nil)
    case .some(.unknown): ("no image", nil)
    case .some(let format):
      (format.description, file.reason.contains("not supported") ? format.conversion : nil)
    }
  }
}

extension [LeftOutFiles] {
  /// One line a class, for people.
  package var lines: [String] {
    let classes = Dictionary(grouping: self) { $0.className ?? "" }
    return classes.sorted { $0.key < $1.key }.map { name, files in
      let kinds = files.map { "\($0.count) \($0.format)" }.joined(separator: ", ")
      let commands = files.compactMap { file in file.convert.map { "\(file.format): \($0)" } }
      let place = name.isEmpty ? "outside of the classes" : "of class '\(name)'"
      return "files \(place) left out: \(kinds)"
        + (commands.isEmpty ? "" : ". To convert them: \(commands.joined(separator: "; "))")
    }
  }
}
