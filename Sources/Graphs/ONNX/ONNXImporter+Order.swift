// SPDX-License-Identifier: Apache-2.0

import ThawCheckpoints

extension ONNXImporter {
  /// The nodes so that each comes after those it needs; files should be in such an order already.
  func sorted() throws -> [ONNXNode] {
    let nodes = model.graph.nodes
    var producers: [String: Int] = [:]
    for (index, node) in nodes.enumerated() {
      for name in node.outputs where !name.isEmpty {
        guard values[name] == nil, producers.updateValue(index, forKey: name) == nil else {
          throw failure(node, "its result '\(Printable(name))' is the name of another value")
        }
      }
    }
    var waiting = [Int](repeating: 0, count: nodes.count)
    var users = [[Int]](repeating: [], count: nodes.count)
    for (index, node) in nodes.enumerated() {
      for name in node.inputs where !name.isEmpty {
        if let producer = producers[name] {
          users[producer].append(index)
          waiting[index] += 1
        } else if values[name] == nil {
          throw failure(node, "nothing makes its input '\(Printable(name))'")
        }
      }
    }
    var ready = nodes.indices.filter { waiting[$0] == 0 }
    var order: [Int] = []
    var position = 0
    while position < ready.count {
      let index = ready[position]
      position += 1
      order.append(index)
      for user in users[index] {
        waiting[user] -= 1
        if waiting[user] == 0 { ready.append(user) }
      }
    }
    guard order.count == nodes.count else {
      let stuck = nodes.indices.first { waiting[$0] > 0 } ?? 0
      throw failure(nodes[stuck], "it needs its own result: the graph has a cycle")
    }
    // The file's own order keeps what belongs together beside each other.
    let isSorted = nodes.enumerated().allSatisfy { index, node in
      node.inputs.allSatisfy { (producers[$0] ?? -1) < index }
    }
    return isSorted ? nodes : order.map { nodes[$0] }
  }
}
