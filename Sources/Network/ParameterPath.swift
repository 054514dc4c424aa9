// SPDX-License-Identifier: Apache-2.0

/// The name of a layer, or of one of its parameters, as PyTorch writes it: `layer4.1.bn2.running_mean`.
package struct ParameterPath: Hashable, Comparable, Sendable, Codable, CustomStringConvertible,
  ExpressibleByStringInterpolation
{
  /// The dotted name; empty for the network itself.
  package let description: String

  /// Wraps a dotted name.
  package init(_ name: String) { description = name }
  /// Wraps a literal dotted name.
  package init(stringLiteral value: String) { description = value }

  /// The path of `name` inside this one.
  package func appending(_ name: String) -> ParameterPath {
    ParameterPath(description.isEmpty ? name : description + "." + name)
  }

  /// The last component: `weight` of `fc.weight`.
  package var leaf: Substring {
    description[(description.lastIndex(of: ".").map(after) ?? description.startIndex)...]
  }
  /// Everything before the last component: `layer1.0.bn1` of `layer1.0.bn1.weight`, empty if there is none.
  package var parent: ParameterPath {
    ParameterPath(description.lastIndex(of: ".").map { String(description[..<$0]) } ?? "")
  }

  /// Byte order of the names, so that listings do not depend on a locale.
  package static func < (left: ParameterPath, right: ParameterPath) -> Bool {
    left.description.utf8.lexicographicallyPrecedes(right.description.utf8)
  }

  /// Reads a plain string.
  package init(from decoder: any Decoder) throws {
    description = try decoder.singleValueContainer().decode(String.self)
  }
  /// Writes a plain string.
  package func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }

  private func after(_ index: String.Index) -> String.Index { description.index(after: index) }
}
