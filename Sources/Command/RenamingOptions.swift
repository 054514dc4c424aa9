// SPDX-License-Identifier: Apache-2.0

import ArgumentParser

/// Folders of photos whose names are not those of the model's classes.
struct RenamingOptions: ParsableArguments {
  @Option(
    help: "With --model: FOLDER=CLASS where a folder has another name than the class.",
    completion: Completions.renamings)
  var rename: [String] = []

  func validate() throws { _ = try names() }

  /// The class by the folder's name.
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
