// SPDX-License-Identifier: Apache-2.0

/// A YAML file of ours is wrong; names the file, the line and what would be right.
public struct ConfigurationError: Error, Sendable, Equatable, CustomStringConvertible {
  /// For example `Pipelines/me.yml:12: unknown key 'epoch' in 'train'. Known are …`.
  public let description: String

  /// Names a place (1-based line, nil for the whole file) and what is wrong there.
  public init(_ file: String, line: Int?, _ text: String) {
    description = "\(file)\(line.map { ":\($0)" } ?? ""): \(text)"
  }
}
