// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
package import SystemPackage
import ThawFiles

extension Manifest {
  /// The JSON text: indented, keys sorted, one line feed at the end. Equal manifests give equal
  /// bytes.
  package var json: [UInt8] {
    get throws {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
      return Array(try encoder.encode(self)) + [0x0A]
    }
  }

  /// Reads a manifest and checks that it holds together.
  ///
  /// - Throws: `FileError`; ``DatasetError/invalidManifest(_:key:problem:)`` with the place in the
  ///   file and what is wrong there.
  package init(contentsOf path: FilePath) throws {
    let bytes = try FileSystem.read(path)
    do {
      self = try JSONDecoder().decode(Manifest.self, from: Data(bytes))
    } catch let error as DecodingError {
      let (key, problem) = error.place
      throw DatasetError.invalidManifest(path, key: key, problem: problem)
    }
    if let (key, problem) = flaw {
      throw DatasetError.invalidManifest(path, key: key, problem: problem)
    }
  }

  /// The first thing that does not hold together: where and what.
  private var flaw: (String, String)? {
    let known = [Manifest.currentVersion, Manifest.severalLabelsVersion]
    if !known.contains(version) {
      return ("version", "\(version), this program reads \(known[0]) and \(known[1])")
    }
    if classes.isEmpty || Set(classes).count != classes.count {
      return ("classes", "empty or with a name twice")
    }
    if let fractions, !SplitFractions.areUsable(fractions.valid, fractions.test) {
      return ("fractions", "valid \(fractions.valid) and test \(fractions.test) do not fit")
    }
    let classes = Set(classes)
    var last: BytePath?
    for (index, record) in records.enumerated() {
      if let (key, problem) = record.flaw(classes, after: last, severalLabels: severalLabels) {
        return ("records[\(index)].\(key)", problem)
      }
      last = record.path
    }
    return nil
  }
}

extension Manifest.Record {
  fileprivate func flaw(
    _ classes: Set<String>, after last: BytePath?, severalLabels: Bool
  ) -> (String, String)? {
    if !path.isContained { return ("path", "'\(path)' does not lie below the root") }
    if let last, !(last < path) { return ("path", "'\(path)' is not behind '\(last)'") }
    if severalLabels != (labels != nil) {
      return ("labels", severalLabels ? "missing" : "unexpected in a manifest of one label a photo")
    }
    let names = classNames + (labels?.unknown ?? [])
    if let name = names.first(where: { !classes.contains($0) }) {
      return (labels == nil ? "class" : "labels", "'\(name)' is not in the classes")
    }
    if let labels, LabelSet(present: labels.present, unknown: labels.unknown) != labels {
      return ("labels", "a name twice, or not in order")
    }
    let isHash =
      sha256.utf8.count == 64 && sha256.utf8.allSatisfy { "0123456789abcdef".utf8.contains($0) }
    if !isHash { return ("sha256", "'\(sha256)' is not 64 hexadecimal digits") }
    if size < 1 { return ("size", "\(size) bytes") }
    if width < 1 || height < 1 { return ("width", "\(width) x \(height) pixels") }
    return nil
  }
}

extension DecodingError {
  /// The place in the document and what is wrong there.
  fileprivate var place: (String, String) {
    switch self {
    case .keyNotFound(let key, let context):
      (context.codingPath.joined(with: key), "missing")
    case .typeMismatch(_, let context), .valueNotFound(_, let context):
      (context.codingPath.joined(), context.debugDescription)
    case .dataCorrupted(let context):
      (
        context.codingPath.isEmpty ? "JSON" : context.codingPath.joined(),
        context.underlyingError.map { "\($0)" } ?? context.debugDescription
      )
    @unknown default: ("JSON", "\(self)")
    }
  }
}

extension [any CodingKey] {
  fileprivate func joined(with last: (any CodingKey)? = nil) -> String {
    (self + (last.map { [$0] } ?? [])).reduce("") { text, key in
      if let index = key.intValue { return text + "[\(index)]" }
      return text + (text.isEmpty ? "" : ".") + key.stringValue
    }
  }
}
