// SPDX-License-Identifier: Apache-2.0

import Foundation
import ThawNetwork

/// The layer groups of a graph as a text that travels in an ONNX file: a JSON list of the groups, each
/// with its name and the first layer that belongs to it.
enum LayerGroups {
  /// The entry in the metadata.
  static let key = "thaw.layer_groups"

  struct Entry: Codable, Equatable {
    var group: String
    var first: String
  }

  /// The text for `graph`; groups without a layer of their own are left out.
  static func text(of graph: Graph) -> String {
    let entries = graph.groups.enumerated().compactMap { index, group in
      graph.nodes.dropFirst().first { $0.group == index }.map {
        Entry(group: group.name, first: $0.path.description)
      }
    }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let data = (try? encoder.encode(entries)) ?? Data("[]".utf8)
    return String(decoding: data, as: UTF8.self)
  }

  /// The groups that a text names; nil when it is none.
  static func entries(_ text: String) -> [Entry]? {
    try? JSONDecoder().decode([Entry].self, from: Data(text.utf8))
  }
}
