// SPDX-License-Identifier: Apache-2.0

import Foundation
package import SystemPackage

/// A fresh directory that is removed with everything in it when the value goes away.
package final class TemporaryDirectory: Sendable {
  /// Where it is.
  package let path: FilePath

  /// Creates the directory below the system's temporary one.
  package init() throws {
    let url = FileManager.default.temporaryDirectory.appendingPathComponent(
      "thaw-tests-" + UUID().uuidString)
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    path = FilePath(url.path)
  }

  deinit { try? FileManager.default.removeItem(atPath: path.string) }
}
