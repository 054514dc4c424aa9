// SPDX-License-Identifier: Apache-2.0

import ThawCheckpoints
import ThawNetwork
import ThawTensors

/// A network on bytes as ONNX writes it: what is rounded passes a `QuantizeLinear` and a `DequantizeLinear`,
/// between which runtimes compute in eight bits.
extension ONNXExporter {
  /// What bytes stand for; nil of a network in Float32.
  private var bytes: Quantization? { graph.precision == .int8 ? graph.quantization : nil }

  /// The result of `node` rounded to its bytes; itself where it is not rounded.
  mutating func rounded(_ result: String, of node: Node) -> String {
    guard let scale = bytes?.activations[node.path] else { return result }
    let inputs = byteConstants("\(node.path)", scale)
    let quantized = emit("QuantizeLinear", "\(node.path).to_bytes", [result] + inputs)
    return emit("DequantizeLinear", "\(node.path).from_bytes", [quantized] + inputs)
  }

  private mutating func byteConstants(_ name: String, _ scale: ByteScale) -> [String] {
    [
      constant("\(name).scale", Double(scale.scale)),
      constant("\(name).zero", .uint8, [], bytes: [UInt8(scale.zero)]),
    ]
  }

  /// Weight and bias of a layer that is computed on bytes, as whole numbers behind a `DequantizeLinear` each;
  /// nil for a layer in Float32.
  mutating func byteParameters(
    _ node: Node, outputs: Int, hasBias: Bool, shape: Shape? = nil
  ) throws -> [String]? {
    guard let steps = bytes?.weights[node.path], steps.count == outputs,
      let input = bytes?.activations[graph[node.inputs[0]].path]
    else { return nil }
    let path = "\(node.path)"
    let weights = try parameters.tensor(node.path.appending("weight"))
    let width = weights.count / max(outputs, 1)
    let units = steps.map { $0 > 0 ? $0 : 0x1p-20 }
    let multiples = weights.elements.enumerated().map { index, value -> UInt8 in
      let step = steps[index / max(width, 1)]
      let multiple = step > 0 ? (value / step).rounded(.toNearestOrEven) : 0
      return UInt8(bitPattern: Int8(min(max(multiple, -127), 127)))
    }
    let scale = constant("\(path).weight_scale", Tensor(units, shape: [outputs]))
    let weight = emit(
      "DequantizeLinear", "\(path).weight_from_bytes",
      [
        constant("\(path).weight", .int8, shape ?? weights.shape, bytes: multiples), scale,
        constant(
          "\(path).weight_zero", .int8, [outputs], bytes: [UInt8](repeating: 0, count: outputs)),
      ], ["axis": .integer(0)])
    guard hasBias else { return [weight] }
    let bias = try parameters.tensor(node.path.appending("bias"))
    // In steps of the sums, as both engines here have it.
    let factors = units.map { input.scale * $0 }
    let sums = bias.elements.enumerated().flatMap { channel, value -> [UInt8] in
      let unit = Double(input.scale) * Double(units[channel])
      let number = Int32(clamping: Int((Double(value) / unit).rounded(.toNearestOrEven)))
      return (0..<4).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) }
    }
    let shift = emit(
      "DequantizeLinear", "\(path).bias_from_sums",
      [
        constant("\(path).bias", .int32, [outputs], bytes: sums),
        constant("\(path).bias_scale", Tensor(factors, shape: [outputs])),
        constant(
          "\(path).bias_zero", .int32, [outputs], bytes: [UInt8](repeating: 0, count: 4 * outputs)),
      ], ["axis": .integer(0)])
    return [weight, shift]
  }
}
