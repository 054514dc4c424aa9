// SPDX-License-Identifier: Apache-2.0

import CThawOneDNN
import ThawExecution
import ThawNetwork
import ThawTensors

/// Translates fused operations into kernel calls on virtual buffers; layouts follow what the kernels want,
/// and a reorder is inserted only where two disagree.
struct ChainBuilder {
  let graph: Graph
  let parameters: Parameters
  /// Shape of every node's result for the batch of one pass.
  let shapes: [Shape]
  private(set) var instructions: [ChainInstruction] = []
  private(set) var buffers: [(bytes: Int, place: BufferPlace)] = []
  private var values: [NodeID: ChainTensor] = [:]
  /// Results that are bytes; of these ``values`` has a copy in Float32 where somebody wants one.
  var bytes: [NodeID: ByteTensor] = [:]
  private let lastUses: LastUses
  /// What fills constants.
  private var work: [() throws -> Void] = []
  private let inputBuffer = 0
  /// What lies between two layers where their kernels are fast for it.
  let element: thaw_dnnl_element
  /// Whether layers that mix the channels of a pixel make channels-last images the better order.
  let prefersChannelsLast: Bool

  /// Prepares a chain that reads `source`.
  init(
    _ graph: Graph, operations: [FusedOperation], from source: NodeID, parameters: Parameters,
    shapes: [Shape]
  ) throws {
    element =
      graph.precision == .bfloat16 && OneDNNEngine.hasBFloat16
      ? THAW_DNNL_BFLOAT16 : THAW_DNNL_FLOAT32
    self.graph = graph
    self.parameters = parameters
    self.shapes = shapes
    prefersChannelsLast = operations.contains { fused in
      if case .layerNormalization = fused.lead.operation {
        let shape = shapes[fused.result.index]
        return shape.rank == 4 && shape[2] * shape[3] > 1
      }
      return false
    }
    lastUses = LastUses(graph, operations: operations, source: source)
    let layout = try OneDNNLayout(shapes[source.index], THAW_DNNL_DENSE, graph[source].path)
    buffers.append((layout.bytes, .input))
    values[source] = ChainTensor(buffer: inputBuffer, layout: layout)
  }

  /// Shape of a node's result.
  func shape(of node: NodeID) -> Shape { shapes[node.index] }

  /// The tensor that holds a node's result.
  func tensor(of node: NodeID) -> ChainTensor {
    guard let tensor = values[node] else {
      preconditionFailure("Input '\(graph[node].path)' is neither the source nor made before.")
    }
    return tensor
  }

  /// Records where the result of `node` is.
  mutating func define(_ node: NodeID, as tensor: ChainTensor) { values[node] = tensor }

  /// Records that the result of `node` is bytes.
  mutating func define(_ node: NodeID, as tensor: ByteTensor) {
    bytes[node] = tensor
    values[node] = nil
  }

  /// Whether the result of `node` is there in Float32.
  func hasFloats(_ node: NodeID) -> Bool { values[node] != nil }

  /// A tensor in a buffer of its own.
  mutating func makeTensor(_ layout: OneDNNLayout) -> ChainTensor {
    buffers.append((layout.bytes, .arena))
    return ChainTensor(buffer: buffers.count - 1, layout: layout)
  }

  /// Adds a kernel call.
  mutating func append(_ instruction: ChainInstruction) { instructions.append(instruction) }

  /// Whether nothing after operation `index` reads the result of `node`, so its memory may be written.
  func mayOverwrite(_ node: NodeID, at index: Int) -> Bool {
    tensor(of: node).buffer != inputBuffer && lastUses.isLast(node, operation: index)
  }

  /// `tensor` in another layout; itself where the bytes already agree.
  mutating func reordered(
    _ tensor: ChainTensor, to layout: OneDNNLayout, _ layer: ParameterPath
  ) throws -> ChainTensor {
    if tensor.layout.matches(layout) { return tensor }
    let isSame = tensor.layout.element == layout.element
    if isSame && tensor.layout.isDense && layout.isDense {
      return ChainTensor(buffer: tensor.buffer, layout: layout)
    }
    let result = makeTensor(layout)
    try appendReorder(tensor, into: result, layer)
    return result
  }

  /// `tensor` in the same order, its elements another type; itself where they are of that type.
  mutating func converted(
    _ tensor: ChainTensor, to element: thaw_dnnl_element, _ layer: ParameterPath
  ) throws -> ChainTensor {
    if tensor.layout.element == element { return tensor }
    return try reordered(tensor, to: try OneDNNLayout(tensor.layout, of: element), layer)
  }

  private mutating func appendReorder(
    _ source: ChainTensor, into result: ChainTensor, _ layer: ParameterPath
  ) throws {
    let primitive = try OneDNNPrimitive("reorder", layer) {
      thaw_dnnl_reorder($0, source.layout.handle, result.layout.handle)
    }
    append(
      ChainInstruction(
        "reorder", layer, primitive,
        [
          (THAW_DNNL_SOURCE, 0, .tensor(source)), (THAW_DNNL_DESTINATION, 0, .tensor(result)),
        ]))
  }

  /// `values` in the layout a kernel wants, as a constant.
  func constant(
    _ values: Tensor<Float>, as shape: Shape, in layout: OneDNNLayout, _ layer: ParameterPath
  ) throws -> ChainOperand {
    let block = try OneDNNBlock(bytes: layout.bytes, layer)
    try block.fill(values, as: shape, in: layout, layer)
    return .constant(block, layout)
  }

  /// Puts off what can be done by several threads at once.
  mutating func doLater(_ body: @escaping () throws -> Void) { work.append(body) }

  /// Does what was put off; the first error, in the order of the layers, is thrown.
  func doWork(threads: Int) throws {
    try ComputeThreads.forEach(work, threads: threads) { try $0() }
  }

  /// Makes the result of `node` the chain's output, row major, and returns the finished parts.
  mutating func finish(
    _ node: NodeID
  ) throws -> (instructions: [ChainInstruction], buffers: [(bytes: Int, place: BufferPlace)]) {
    try requireFloats(node)
    let result = tensor(of: node)
    let isFloat32 = result.layout.element == THAW_DNNL_FLOAT32
    if isFloat32 && result.layout.isDense && result.buffer != inputBuffer {
      buffers[result.buffer].place = .output
    } else {
      let dense = try OneDNNLayout(shape(of: node), THAW_DNNL_DENSE, graph[node].path)
      buffers.append((dense.bytes, .output))
      let output = ChainTensor(buffer: buffers.count - 1, layout: dense)
      try appendReorder(result, into: output, graph[node].path)
    }
    return (instructions, buffers)
  }
}

/// Which operation reads each node's result last; a result that dropout, stochastic depth or flatten pass on
/// in the same memory lives as long as theirs.
private struct LastUses {
  private var lastOperation: [NodeID: Int] = [:]
  private var root: [NodeID: NodeID] = [:]

  init(_ graph: Graph, operations: [FusedOperation], source: NodeID) {
    for (index, fused) in operations.enumerated() {
      for input in fused.inputs + [fused.residual].compactMap(\.self) {
        lastOperation[find(input)] = index
      }
      switch fused.lead.operation {
      case .dropout, .stochasticDepth, .flatten: root[fused.result] = fused.inputs.first.map(find)
      default: break
      }
    }
    lastOperation[find(operations.last?.result ?? source)] = .max
  }

  func isLast(_ node: NodeID, operation: Int) -> Bool {
    lastOperation[find(node), default: -1] <= operation
  }

  private func find(_ node: NodeID) -> NodeID { root[node] ?? node }
}
