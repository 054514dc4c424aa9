// SPDX-License-Identifier: Apache-2.0

/// A YAML file of ours is wrong; names the file, the line and what would be right.
package struct ConfigurationError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The file, as displayed.
  package let file: String
  /// Its line, counted from 1; nil for the whole file.
  package let line: Int?
  /// What is wrong there.
  package let reason: String

  /// For example `Pipelines/me.yml:12: unknown key 'epoch' in 'train'. Known are …`.
  package var description: String { "\(file)\(line.map { ":\($0)" } ?? ""): \(reason)" }

  /// Names a place (1-based line, nil for the whole file) and what is wrong there.
  package init(_ file: String, line: Int?, _ text: String) {
    self.file = file
    self.line = line
    reason = text
  }
}
