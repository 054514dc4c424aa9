// SPDX-License-Identifier: Apache-2.0

import ThawCheckpoints
import ThawTensors

/// Queries, keys and values that a library stores apart, put together as the others have them: `qkv`, the
/// queries' rows first.
enum JoinedAttention {
  /// The three names of a layer, in the order of the rows.
  ///
  /// - Source: transformers before and since its version 5.
  private static let triples = [
    ["query", "key", "value"], ["q_proj", "k_proj", "v_proj"],
  ]
  /// What stands in their place.
  private static let joined = "qkv"

  /// `tensors` with each complete triple as one tensor, in the place of its first; nothing is read yet.
  static func joining(_ tensors: [StoredTensor]) -> [StoredTensor] {
    let byName = Dictionary(
      tensors.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    var replaced: [String: StoredTensor?] = [:]
    for tensor in tensors {
      guard let names = siblings(of: tensor.name), names[0] == tensor.name else { continue }
      let parts = names.compactMap { byName[$0] }
      guard parts.count == 3, parts.allSatisfy({ $0.shape == tensor.shape }),
        parts.allSatisfy({ $0.elementType.isFloatingPoint }), tensor.shape.rank >= 1,
        let name = joinedName(of: tensor.name)
      else { continue }
      for part in parts { replaced.updateValue(nil, forKey: part.name) }
      replaced.updateValue(join(parts, name), forKey: tensor.name)
    }
    guard !replaced.isEmpty else { return tensors }
    return tensors.compactMap { tensor in
      guard let other = replaced[tensor.name] else { return tensor }
      return other
    }
  }

  /// The stored names of the three parts of a tensor that ``joining(_:)`` has made; nil when
  /// `checkpoint` has none of them.
  static func parts(of name: String, in checkpoint: Checkpoint) -> [StoredTensor]? {
    let components = name.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    guard let place = components.lastIndex(of: joined) else { return nil }
    for triple in triples {
      let found = triple.compactMap { part in
        var components = components
        components[place] = part
        return checkpoint[components.joined(separator: ".")]
      }
      if found.count == 3 { return found }
    }
    return nil
  }

  /// The three names of the layer that `name` is of; nil when it is of no such layer.
  private static func siblings(of name: String) -> [String]? {
    var components = name.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    guard components.count >= 2 else { return nil }
    let place = components.count - 2
    guard let triple = triples.first(where: { $0.contains(components[place]) }) else { return nil }
    return triple.map { part in
      components[place] = part
      return components.joined(separator: ".")
    }
  }

  private static func joinedName(of name: String) -> String? {
    var components = name.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    guard components.count >= 2 else { return nil }
    components[components.count - 2] = joined
    return components.joined(separator: ".")
  }

  private static func join(_ parts: [StoredTensor], _ name: String) -> StoredTensor {
    let shape = Shape([3 * parts[0].shape[0]] + parts[0].shape.extents.dropFirst())
    return StoredTensor(name, .float32, shape) { (body) throws(CheckpointError) in
      for (index, part) in parts.enumerated() {
        let values = try part.floats()
        values.withUnsafeElements {
          let bytes = UnsafeRawBufferPointer($0)
          body(bytes, index * bytes.count)
        }
      }
    }
  }
}
