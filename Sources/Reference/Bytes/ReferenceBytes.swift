// SPDX-License-Identifier: Apache-2.0

import ThawExecution
import ThawNetwork
import ThawTensors

/// Which nodes of a program are computed on bytes, and how.
///
/// Values stay in `Scalar`: a result that is rounded to bytes holds scale * (byte - zero), from which the byte
/// follows. An operation on bytes is computed where its last node is; the others of it do nothing.
struct ReferenceBytes {
  private enum Role {
    /// Part of an operation that is computed at its end.
    case nothing
    case operation(FusedOperation, ByteLayer?)
  }

  private let graph: Graph
  private let parameters: Parameters
  private var roles: [NodeID: Role] = [:]

  init(
    _ graph: Graph, operations: [FusedOperation], from source: NodeID, parameters: Parameters,
    shapes: [Shape]
  ) throws {
    self.graph = graph
    self.parameters = parameters
    for fused in operations where fused.isInBytes(of: graph, shapes) {
      for node in fused.nodes { roles[NodeID(node)] = .nothing }
      var layer: ByteLayer?
      if let input = scale(of: graph[fused.inputs[0]]),
        let steps = graph.quantization?.weights[fused.lead.path]
      {
        let (outputs, hasBias) =
          switch fused.lead.operation {
          case .convolution(let layer): (layer.outputs, layer.hasBias)
          case .dense(let layer): (layer.outputs, layer.hasBias)
          default: (0, false)
          }
        layer = try ByteLayer(
          fused, outputs: outputs, hasBias: hasBias, input: input, steps: steps, parameters)
      }
      roles[fused.result] = .operation(fused, layer)
    }
  }

  /// The bytes that a node's result is rounded to.
  func scale(of node: Node) -> ByteScale? {
    graph.precision == .int8 ? graph.quantization?.activations[node.path] : nil
  }

  /// What computes `node` where bytes have to do with it; nil elsewhere.
  func layer<Scalar: BLASScalar>(
    of node: Node, _ context: ReferenceContext<Scalar>,
    _ value: (NodeID) -> ReferenceValue<Scalar>?
  ) -> (any ReferenceLayer)? {
    guard !context.trains else { return nil }
    switch roles[node.id] {
    case .nothing: return ReferenceNothing()
    case .operation(let fused, let layer):
      let operands = fused.operands.compactMap { operand in
        value(operand).flatMap { value in
          scale(of: graph[operand]).map { ReferenceByteValue(value: value, scale: $0) }
        }
      }
      return ReferenceByteOperation(
        fused: fused, layer: layer, operands: operands, output: context.output,
        scale: scale(of: node), map: try? ChannelAffine(fused.lead, parameters))
    case nil:
      guard let scale = scale(of: node) else { return nil }
      return ReferenceRounded(
        layer: context.makeLayer(ReferenceScratch()), output: context.output, scale: scale)
    }
  }

  /// Rounds values to those that bytes stand for.
  static func round<Scalar: BLASScalar>(
    _ values: UnsafeMutablePointer<Scalar>, count: Int, to scale: ByteScale
  ) {
    for index in 0..<count {
      let byte = ByteArithmetic.byte(Float(values[index]), scale)
      values[index] = Scalar(ByteArithmetic.value(byte, scale))
    }
  }
}

/// Part of an operation that its last node computes.
private final class ReferenceNothing: ReferenceLayer {
  func forward(_ pass: ReferencePass) {}
  func backward(_ pass: ReferencePass) {}
}

/// A layer in real numbers whose result is rounded to bytes.
private final class ReferenceRounded<Scalar: BLASScalar>: ReferenceLayer {
  private let layer: any ReferenceLayer
  private let output: ReferenceValue<Scalar>
  private let scale: ByteScale

  init(layer: any ReferenceLayer, output: ReferenceValue<Scalar>, scale: ByteScale) {
    self.layer = layer
    self.output = output
    self.scale = scale
  }

  func forward(_ pass: ReferencePass) {
    layer.forward(pass)
    ReferenceBytes.round(output.values, count: pass.count * output.stride, to: scale)
  }

  func backward(_ pass: ReferencePass) {}
}

/// An operand that holds what bytes stand for.
struct ReferenceByteValue<Scalar: BLASScalar> {
  let value: ReferenceValue<Scalar>
  let scale: ByteScale

  var channels: Int { value.shape[1] }
  var pixels: Int { value.stride / value.shape[1] }

  /// The bytes of one sample less their zero.
  func differences(_ sample: Int) -> [Int] {
    (0..<value.stride).map { index in
      let real = Double(Float(value.values[sample * value.stride + index]))
      return Int((real / Double(scale.scale)).rounded(.toNearestOrEven))
    }
  }
}
