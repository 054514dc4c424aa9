// SPDX-License-Identifier: Apache-2.0

extension Graph {
  /// The part of the network that `end` needs, with `end` as its output.
  package func ending(at end: NodeID) -> Graph {
    var needed: Set<NodeID> = [nodes[0].id, end]
    for node in nodes[...end.index].reversed() where needed.contains(node.id) {
      needed.formUnion(node.inputs)
    }
    var places: [NodeID: NodeID] = [:]
    var kept: [Node] = []
    for node in nodes where needed.contains(node.id) {
      let id = NodeID(kept.count)
      places[node.id] = id
      kept.append(
        Node(
          id: id, path: node.path, operation: node.operation,
          inputs: node.inputs.compactMap { places[$0] }, group: node.group))
    }
    return Graph(name: name, nodes: kept, groups: groups)
  }
}
