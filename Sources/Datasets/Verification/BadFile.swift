// SPDX-License-Identifier: Apache-2.0

import ThawFiles

#if canImport(Glibc)
  import Glibc
#endif

/// A file that should be a photo and cannot be used.
package struct BadFile: Sendable, Hashable, Codable, CustomStringConvertible {
  /// Below the dataset's root.
  package let path: BytePath
  /// Why, as one line.
  package let reason: String

  /// Names a bad file.
  package init(path: BytePath, reason: String) {
    self.path = path
    self.reason = reason
  }

  init(path: BytePath, error: FileError) {
    self.init(path: path, reason: error.photoReason)
  }

  /// `PATH: REASON`.
  package var description: String { "\(path): \(reason)" }
}

/// What bad files do to a dataset. They are all listed first, whatever the policy.
package enum BadFilePolicy: Sendable, Equatable {
  /// Any bad file stops.
  case stop
  /// Bad files are left out, unless they are more than `limit` of all (a fraction) or a class
  /// becomes empty. They are never replaced by others.
  case skip(limit: Double)

  /// Skips at most every tenth file.
  package static let skip = BadFilePolicy.skip(limit: 0.1)

  /// Whether so many bad files of `total` may be left out.
  func allows(_ count: Int, of total: Int) -> Bool {
    switch self {
    case .stop: count == 0
    case .skip(let limit): Double(count) <= limit * Double(total)
    }
  }
}

extension [BadFile] {
  /// A table with the columns path and reason, one line a file, for `bad_files.tsv`.
  ///
  /// Paths are escaped as in messages. One that a spreadsheet would run as a formula begins with
  /// `./`, which names the same file.
  package var tabSeparated: String {
    map { file in
      let path = file.path.description
      let isFormula = path.first.map { "=+-@".contains($0) } ?? false
      return (isFormula ? "./" : "") + path + "\t" + VisibleText.escape(fileName: file.reason.utf8)
        + "\n"
    }.reduce("path\treason\n", +)
  }
}

extension FileError {
  /// Why a photo cannot be read, in the words of a person who looks for it.
  package var photoReason: String {
    switch reason {
    case .system(EACCES), .system(EPERM): "permission denied"
    case .system(ENOENT): "gone, or a link to nothing"
    case .system(ELOOP): "a link that leads to itself"
    case .notRegular: "not a regular file"
    default: reason.text(operation)
    }
  }

  /// Whether the machine, not the file, is at fault: no descriptors or memory left.
  package var isExhaustion: Bool {
    [.system(EMFILE), .system(ENFILE), .system(ENOMEM)].contains(reason)
  }
}
