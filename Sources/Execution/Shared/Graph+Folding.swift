// SPDX-License-Identifier: Apache-2.0

package import ThawNetwork
import ThawTensors

extension Graph {
  /// The same function without the batch norms and channel scales that inference folds into the convolutions
  /// before them, which then have a bias.
  ///
  /// A network that is folded already comes out as it is.
  package var folded: Graph {
    var operations: [NodeID: Operation] = [:]
    var left: Set<NodeID> = []
    for fused in fusedOperations where !fused.affine.isEmpty {
      guard case .convolution(var layer) = fused.lead.operation else { continue }
      layer.hasBias = true
      operations[fused.lead.id] = .convolution(layer)
      left.formUnion(fused.affine.map(\.id))
    }
    return changing(operations, leavingOut: left)
  }
}

extension Parameters {
  /// The parameters of `graph.folded` from those of `graph`.
  ///
  /// - Throws: ``NetworkError`` when one is missing or has another shape.
  package func folded(_ graph: Graph) throws -> Parameters {
    var result = self
    for fused in graph.fusedOperations where !fused.affine.isEmpty {
      guard case .convolution(let layer) = fused.lead.operation else { continue }
      let folded = try FoldedParameters(
        fused, outputs: layer.outputs, hasBias: layer.hasBias, self)
      result[fused.lead.path.appending("weight")] = folded.weights
      result[fused.lead.path.appending("bias")] = folded.bias
      for node in fused.affine {
        for parameter in node.parameters { result[parameter.path] = nil }
      }
    }
    return result
  }
}
