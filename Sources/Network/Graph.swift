// SPDX-License-Identifier: Apache-2.0

/// The position of a node in its ``Graph``; inputs always come before their users.
package struct NodeID: Hashable, Comparable, Sendable {
  /// 0-based position.
  package let index: Int
  package init(_ index: Int) { self.index = index }
  /// Order of computation.
  package static func < (left: NodeID, right: NodeID) -> Bool { left.index < right.index }
}

/// One operation of a network and where its inputs come from.
package struct Node: Hashable, Sendable {
  /// Position in the graph.
  package let id: NodeID
  /// Layer name; parameters are below it (`conv_stem.weight` belongs to the node `conv_stem`).
  package let path: ParameterPath
  /// What is computed.
  package let operation: Operation
  /// Producers of the inputs, in order.
  package let inputs: [NodeID]
  /// Index into ``Graph/groups``.
  package let group: Int
}

/// A named run of layers that is frozen or thawed as one and has one learning rate.
package struct LayerGroup: Hashable, Sendable {
  /// For example `stem` or `head`; unique in its graph.
  package let name: String
}

/// A network as plain values: what is computed, never how. Nodes are in order of computation, the
/// first is the input and the last one's result is the network's output.
///
/// Build one with ``GraphBuilder``. Parameters are kept apart (``Parameters``), and what is frozen is
/// not written here either: it is an input of the compiler (``FreezePlan``).
package struct Graph: Hashable, Sendable {
  /// Architecture name, for example `efficientnet_lite0`.
  package let name: String
  /// All nodes, in order of computation; group indices never decrease.
  package let nodes: [Node]
  /// Layer groups from input to head.
  package let groups: [LayerGroup]
  /// In which numbers it is computed in inference. It stands here so that nobody who compiles the network
  /// can forget it.
  package var precision: Precision
  /// What is computed on bytes; nil unless the precision is ``Precision/int8``.
  package var quantization: Quantization?

  package init(
    name: String, nodes: [Node], groups: [LayerGroup], precision: Precision = .float32,
    quantization: Quantization? = nil
  ) {
    self.name = name
    self.nodes = nodes
    self.groups = groups
    self.precision = precision
    self.quantization = quantization
  }

  /// The node at `id`.
  package subscript(id: NodeID) -> Node { nodes[id.index] }

  /// The node whose result leaves the network.
  package var output: Node { nodes[nodes.count - 1] }

  /// Channels of the input image.
  package var inputChannels: Int {
    if case .input(let channels) = nodes[0].operation { return channels }
    preconditionFailure("The first node of graph \(name) is not its input.")
  }

  /// Users of each node's result, by node index.
  package var consumers: [[NodeID]] {
    var result = [[NodeID]](repeating: [], count: nodes.count)
    for node in nodes {
      for input in node.inputs { result[input.index].append(node.id) }
    }
    return result
  }
}

/// Appends nodes one by one and checks them as they come.
///
/// ```swift
/// var builder = GraphBuilder(name: "tiny", inputChannels: 3)
/// let convolved = builder.add("conv", .convolution(c), [builder.input])
/// builder.beginGroup("head")
/// ```
package struct GraphBuilder {
  private let name: String
  private var nodes: [Node] = []
  private var groups: [LayerGroup]
  private var paths: Set<ParameterPath> = ["input"]

  /// Starts a graph whose first layer group is called `firstGroup`.
  package init(name: String, inputChannels: Int, firstGroup: String = "stem") {
    self.name = name
    groups = [LayerGroup(name: firstGroup)]
    let operation = Operation.input(channels: inputChannels)
    nodes = [Node(id: NodeID(0), path: "input", operation: operation, inputs: [], group: 0)]
  }

  /// Goes on behind nodes that were built before.
  package init(continuing nodes: [Node], groups: [LayerGroup], name: String) {
    self.name = name
    self.nodes = nodes
    self.groups = groups
    paths = Set(nodes.map(\.path))
  }

  /// The input image.
  package var input: NodeID { nodes[0].id }
  /// The node added last.
  package var last: NodeID { nodes[nodes.count - 1].id }

  /// Nodes added from here on belong to a new layer group; traps when the name is taken.
  package mutating func beginGroup(_ name: String) {
    precondition(!groups.contains { $0.name == name }, "Layer group '\(name)' exists already.")
    groups.append(LayerGroup(name: name))
  }

  /// Adds a node; its inputs default to the node added last. Traps when the path is taken.
  @discardableResult
  package mutating func add(
    _ path: ParameterPath, _ operation: Operation, _ inputs: [NodeID]? = nil
  ) -> NodeID {
    precondition(paths.insert(path).inserted, "Layer '\(path)' exists already.")
    let id = NodeID(nodes.count)
    let sources = inputs ?? [last]
    precondition(sources.allSatisfy { $0 < id }, "Layer '\(path)' uses a result made later.")
    nodes.append(
      Node(id: id, path: path, operation: operation, inputs: sources, group: groups.count - 1))
    return id
  }

  /// The finished graph.
  package func build() -> Graph { Graph(name: name, nodes: nodes, groups: groups) }
}
