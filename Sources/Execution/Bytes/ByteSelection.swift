// SPDX-License-Identifier: Apache-2.0

package import ThawNetwork
package import ThawTensors

/// Which results of a network are bytes when all layers but some are computed on them.
///
/// A result is bytes where somebody computes on them who reads it, or where it comes from bytes by an
/// operation without weights; what nobody reads as bytes keeps its 24 bits.
package struct ByteSelection {
  /// The layers with weights that are computed on bytes, in order of computation.
  package let layers: [FusedOperation]
  /// The nodes whose results are bytes, in order of computation.
  package let results: [NodeID]
  /// Of results that are another one's bytes in other places: the first of them.
  package let origins: [NodeID: NodeID]

  /// Chooses among the operations of `graph`.
  ///
  /// - Parameters:
  ///   - shapes: of every node's result.
  ///   - keeping: layers with weights that stay in Float32, by the path of their lead.
  package init(_ graph: Graph, shapes: [Shape], keeping floats: Set<ParameterPath>) {
    let operations = graph.fusedOperations
    var layers: [FusedOperation] = []
    var onBytes: Set<NodeID> = []
    var results: Set<NodeID> = []
    for fused in operations where fused.hasByteForm(shapes) {
      if fused.isWeighted {
        guard !floats.contains(fused.lead.path) else { continue }
        layers.append(fused)
        if fused.isDepthwise { results.insert(fused.result) }
      } else {
        guard fused.operands.contains(where: onBytes.contains) else { continue }
        if !fused.lead.operation.sumsImages { results.insert(fused.result) }
      }
      // The mean of an image leaves the bytes.
      if !fused.lead.operation.sumsImages { onBytes.insert(fused.result) }
      results.formUnion(fused.operands)
    }
    var origins: [NodeID: NodeID] = [:]
    for fused in operations where fused.keepsBytes {
      guard let input = fused.inputs.first, results.contains(fused.result), results.contains(input)
      else { continue }
      origins[fused.result] = origins[input] ?? input
    }
    self.layers = layers
    self.results = results.sorted()
    self.origins = origins
  }
}

extension FusedOperation {
  /// Whether each channel has a window of its own.
  package var isDepthwise: Bool {
    guard case .convolution(let layer) = lead.operation else { return false }
    return layer.groups > 1 && layer.groups == layer.inputs && layer.outputs == layer.inputs
  }
}
