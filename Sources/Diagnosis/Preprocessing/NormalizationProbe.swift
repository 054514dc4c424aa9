// SPDX-License-Identifier: Apache-2.0

package import ThawExecution
package import ThawNetwork

/// Reads what arrives at the first batch norms of a network.
///
/// Each is reached by a plan of its own that ends before it, so that nothing is folded into the layer
/// that is looked at. All layers before it run as in inference.
package final class NormalizationProbe {
  /// One batch norm that is looked at.
  package struct Layer: Sendable {
    /// Its name.
    package let path: ParameterPath
    /// What it remembers.
    package let statistics: RunningStatistics
  }

  /// The layers, in order of computation; empty for a network without batch norms.
  package let layers: [Layer]
  /// From the pixels to the input of each layer; nil where that is the network's own input.
  private let plans: [(any InferencePlan)?]
  private let channels: [Int]
  private let elements: [Int]

  /// Compiles plans to the first `count` batch norms.
  ///
  /// - Throws: `NetworkError`, `ExecutionError`.
  package init(
    _ graph: Graph, parameters: Parameters, layers count: Int, compiler: Compiler, size: Extent2D
  ) throws {
    let shapes = try graph.shapes(batch: 1, size: size)
    let found = graph.nodes.compactMap { node -> (Node, BatchNormalization)? in
      guard case .batchNormalization(let layer) = node.operation,
        shapes[node.inputs[0].index].rank == 4
      else { return nil }
      return (node, layer)
    }.prefix(count)
    layers = try found.map { node, layer in
      Layer(
        path: node.path, statistics: try RunningStatistics(node, layer, in: parameters))
    }
    channels = found.map { $0.1.channels }
    elements = found.map { shapes[$0.0.inputs[0].index].count }
    plans = try found.map { node, _ in
      guard node.inputs[0].index > 0 else { return nil }
      return try compiler.compileInference(
        graph.ending(at: node.inputs[0]), parameters: parameters, microBatch: 8, size: size)
    }
  }

  /// The moments of photos at each layer.
  ///
  /// - Parameters:
  ///   - depth: how many of ``layers`` to look at, from the first on; all when nil.
  ///   - write: puts photos at the given positions into the buffer, one after the other.
  /// - Throws: `ExecutionError`, and what `write` throws.
  package func moments(
    photos count: Int, elementsPerPhoto: Int, depth: Int? = nil,
    write: (Range<Int>, UnsafeMutableBufferPointer<Float>) throws -> Void
  ) throws -> [PhotoMoments] {
    let depth = min(depth ?? layers.count, layers.count)
    var result = channels.prefix(depth).map(PhotoMoments.init)
    var pixels = [Float](repeating: 0, count: 8 * elementsPerPhoto)
    var activations = [Float](repeating: 0, count: 8 * (elements.max() ?? 0))
    for start in stride(from: 0, to: count, by: 8) {
      let range = start..<min(start + 8, count)
      try pixels.withUnsafeMutableBufferPointer { buffer in
        let part = UnsafeMutableBufferPointer(
          rebasing: buffer[..<(range.count * elementsPerPhoto)])
        try write(range, part)
        for (index, plan) in plans.prefix(depth).enumerated() {
          guard let plan else {
            result[index].add(
              UnsafeBufferPointer(part), elementsPerPhoto: elementsPerPhoto)
            continue
          }
          try activations.withUnsafeMutableBufferPointer { buffer in
            let output = UnsafeMutableBufferPointer(
              rebasing: buffer[..<(range.count * elements[index])])
            try plan.run(UnsafeBufferPointer(part), into: output)
            result[index].add(
              UnsafeBufferPointer(output), elementsPerPhoto: elements[index])
          }
        }
      }
    }
    return result
  }
}
