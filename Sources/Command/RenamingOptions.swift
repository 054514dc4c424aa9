// SPDX-License-Identifier: Apache-2.0

import ArgumentParser

/// Folders of photos that have other names than the classes of a model.
struct RenamingOptions: ParsableArguments {
  @Option(help: "With --model: FOLDER=CLASS where a folder has another name than the class.")
  var rename: [String] = []

  func validate() throws { _ = try names() }

  /// Classes by the folders' names.
  func names() throws -> [String: String] {
    var names: [String: String] = [:]
    for pair in rename {
      guard let sign = pair.firstIndex(of: "=") else {
        throw ValidationError("--rename is '\(pair)', expected FOLDER=CLASS.")
      }
      names[String(pair[..<sign])] = String(pair[pair.index(after: sign)...])
    }
    return names
  }
}
