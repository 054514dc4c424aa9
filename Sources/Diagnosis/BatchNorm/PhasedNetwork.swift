// SPDX-License-Identifier: Apache-2.0

package import ThawExecution
package import ThawNetwork
import ThawTensors

/// A network whose batch norms can be switched one by one between the two learning phases.
///
/// It is compiled in pieces, cut where a single value crosses. What a piece receives is kept, so that
/// a pass in which only a late layer differs need not start at the pixels again.
package final class PhasedNetwork {
  /// Its layers.
  package let graph: Graph
  /// Its batch norms, in order of computation.
  package let layers: [Layer]
  /// The most photos of a pass.
  package let batch: Int
  /// Number of outputs.
  package let classes: Int
  /// Its weights and statistics.
  package private(set) var parameters: Parameters
  private let pieces: [Piece]
  /// Photos that went through pieces so far, each time counted.
  var pieceRuns = 0

  /// A batch norm.
  package struct Layer: Sendable, Hashable {
    /// Its name.
    package let path: ParameterPath
    /// Its description.
    package let normalization: BatchNormalization
    /// Its layer group.
    package let group: Int
    /// The piece that computes it.
    let piece: Int
  }

  private struct Piece {
    let plan: any BatchNormInspectable
    let inputStride: Int
    let outputStride: Int
  }

  /// Compiles `graph`.
  ///
  /// - Parameters:
  ///   - batch: the most photos of a pass, at least 2.
  ///   - size: of the photos, in pixels.
  /// - Throws: `NetworkError`, `ExecutionError`.
  package init(
    _ graph: Graph, parameters: Parameters, compiler: Compiler, batch: Int, size: Extent2D
  ) throws {
    precondition(batch >= 2, "Batch statistics need a batch of at least 2, got \(batch).")
    guard graph.precision != .int8 else { throw ExecutionError.trainingOnBytes }
    self.graph = graph
    self.batch = batch
    self.parameters = parameters
    let cuts = PhasedNetwork.cuts(of: graph)
    let shapes = try graph.shapes(batch: 1, size: size)
    var pieces: [Piece] = []
    var start = graph.nodes[0].id
    for end in cuts {
      let plan = try compiler.compileInspection(
        graph, parameters: parameters, from: start, to: end, batch: batch, size: size)
      pieces.append(
        Piece(
          plan: plan, inputStride: shapes[start.index].count,
          outputStride: shapes[end.index].count))
      start = end
    }
    self.pieces = pieces
    classes = shapes[graph.output.id.index].count
    layers = graph.nodes.compactMap { node in
      guard case .batchNormalization(let normalization) = node.operation else { return nil }
      let piece = cuts.firstIndex { node.id <= $0 } ?? 0
      return Layer(
        path: node.path, normalization: normalization, group: node.group, piece: piece)
    }
  }

  /// Batch norms in a piece, about: few enough that a late layer's pass is short, many enough that
  /// handing values over costs little.
  private static let layersPerPiece = 6

  /// Where pieces end: after a fused operation behind which nothing but its result is needed. The last
  /// one is the output.
  private static func cuts(of graph: Graph) -> [NodeID] {
    var lastUse = [Int](repeating: 0, count: graph.nodes.count)
    for node in graph.nodes {
      for input in node.inputs { lastUse[input.index] = node.id.index }
    }
    var (cuts, normalizations, furthest): ([NodeID], Int, Int) = ([], 0, lastUse[0])
    for operation in graph.fusedOperations {
      let isClean = furthest <= operation.result.index
      for index in operation.nodes {
        furthest = max(furthest, lastUse[index])
        if case .batchNormalization = graph.nodes[index].operation { normalizations += 1 }
      }
      if operation.result == graph.output.id || (isClean && normalizations >= layersPerPiece) {
        cuts.append(operation.result)
        normalizations = 0
      }
    }
    return cuts
  }

  /// What every piece received and the logits, of one batch in one phase.
  struct Trace {
    /// Input of each piece, then the logits.
    var values: [[Float]]
    /// [photos, classes].
    var logits: [Float] { values[values.count - 1] }
  }

  /// Runs a batch through all pieces.
  func trace(_ input: [Float], _ inspection: BatchNormInspection) throws -> Trace {
    var trace = Trace(values: [input])
    for piece in pieces.indices {
      trace.values.append(try run(piece, trace.values[piece], inspection))
    }
    return trace
  }

  /// The logits when pieces before `first` are as in `trace`.
  func logits(
    from first: Int, of trace: Trace, _ inspection: BatchNormInspection
  ) throws -> [Float] {
    var value = trace.values[first]
    for piece in first..<pieces.count { value = try run(piece, value, inspection) }
    return value
  }

  /// The result of one piece.
  func run(
    _ index: Int, _ input: [Float], _ inspection: BatchNormInspection
  ) throws -> [Float] {
    let piece = pieces[index]
    let photos = input.count / piece.inputStride
    pieceRuns += photos
    return try [Float](unsafeUninitializedCapacity: photos * piece.outputStride) { output, count in
      output.initialize(repeating: 0)
      try input.withUnsafeBufferPointer { try piece.plan.inspect($0, inspection, into: output) }
      count = photos * piece.outputStride
    }
  }

  /// Number of pieces.
  var pieceCount: Int { pieces.count }

  /// Photos that were run so far, each time counted; a piece counts for its share of the network.
  package var photoPasses: Double { Double(pieceRuns) / Double(max(pieces.count, 1)) }

  /// Replaces those of one piece.
  func importParameters(_ parameters: Parameters, piece: Int) throws {
    try pieces[piece].plan.importParameters(parameters)
    self.parameters = parameters
  }

  /// Replaces the values of all parameters and statistics.
  package func importParameters(_ parameters: Parameters) throws {
    for piece in pieces { try piece.plan.importParameters(parameters) }
    self.parameters = parameters
  }
}
