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
    return Graph(
      name: name, nodes: kept, groups: groups, precision: precision, quantization: quantization)
  }
}

extension Graph {
  /// The layers up to `cut`, flattened where they end in images, and one dense layer as the last
  /// group.
  ///
  /// - Parameter size: of the photos, in pixels.
  /// - Throws: ``NetworkError`` when the layers do not fit that size.
  package func withDenseHead(behind cut: NodeID, classes: Int, size: Extent2D) throws -> Graph {
    let shapes = try shapes(batch: 1, size: size)
    let body = ending(at: cut)
    let head = groups.count - 1
    var nodes = body.nodes
    func add(_ path: ParameterPath, _ operation: Operation) {
      let id = NodeID(nodes.count)
      nodes.append(
        Node(
          id: id, path: path, operation: operation, inputs: [nodes[id.index - 1].id], group: head))
    }
    if shapes[cut.index].rank == 4 { add("new_head.flatten", .flatten) }
    add("new_head", .dense(Dense(inputs: shapes[cut.index].count, outputs: classes)))
    return Graph(
      name: name, nodes: nodes, groups: groups, precision: precision, quantization: quantization)
  }
}

extension Graph {
  /// The same network with another number of outputs; nil when its last layer is no dense one.
  package func withDenseOutputs(_ count: Int) -> Graph? {
    guard case .dense(var layer) = output.operation else { return nil }
    layer.outputs = count
    var nodes = nodes
    let last = output
    nodes[last.id.index] = Node(
      id: last.id, path: last.path, operation: .dense(layer), inputs: last.inputs,
      group: last.group)
    return Graph(
      name: name, nodes: nodes, groups: groups, precision: precision, quantization: quantization)
  }
}

extension Graph {
  /// The same nodes with other operations in the places of some; what is left out hands on its first input.
  package func changing(
    _ operations: [NodeID: Operation], leavingOut left: Set<NodeID>
  ) -> Graph {
    var places: [NodeID: NodeID] = [:]
    var kept: [Node] = []
    for node in nodes {
      guard !left.contains(node.id) else {
        places[node.id] = node.inputs.first.flatMap { places[$0] }
        continue
      }
      let id = NodeID(kept.count)
      places[node.id] = id
      kept.append(
        Node(
          id: id, path: node.path, operation: operations[node.id] ?? node.operation,
          inputs: node.inputs.compactMap { places[$0] }, group: node.group))
    }
    return Graph(
      name: name, nodes: kept, groups: groups, precision: precision, quantization: quantization)
  }
}
