// SPDX-License-Identifier: Apache-2.0

extension YAMLFields {
  /// The mapping under `name`, for reading some of its keys; nil when it is not there.
  ///
  /// Unlike in ``section(_:_:)``, keys that nobody asks for are no errors: for files of other
  /// versions, of which only a part is needed.
  ///
  /// - Throws: ``ConfigurationError`` when there is something else than a mapping.
  package func part(_ name: String) throws -> YAMLFields? {
    guard let node = values[name] else { return nil }
    return try YAMLFields(file: file, section: path(of: name), node: node)
  }
}
