// SPDX-License-Identifier: Apache-2.0

package import ThawNetwork
package import ThawTensors

/// What follows a layer's sums on bytes: an addition at most, then one function at most.
package struct ByteEnding: Hashable, Sendable {
  /// The other operand of the addition.
  package let residual: NodeID?
  /// nil for none.
  package let function: Activation?
}

extension Activation {
  /// Whether the arithmetic on bytes has it.
  package var hasByteForm: Bool {
    switch self {
    case .relu, .relu6, .silu, .sigmoid, .hardSigmoid, .hardSwish: true
    case .gelu, .geluTanh, .quickGELU: false
    }
  }
}

extension FusedOperation {
  /// What follows its lead, as bytes know it; nil when they do not.
  package var byteEnding: ByteEnding? {
    var rest = epilogue[...]
    var residual: NodeID?
    var function: Activation?
    if case .addition(let other) = rest.first {
      residual = other
      rest = rest.dropFirst()
    }
    if case .activation(let found) = rest.first, found.hasByteForm {
      function = found
      rest = rest.dropFirst()
    }
    return rest.isEmpty ? ByteEnding(residual: residual, function: function) : nil
  }

  /// Everything it reads.
  package var operands: [NodeID] { inputs + [residual].compactMap(\.self) }

  /// Whether it has weights that can be bytes.
  package var isWeighted: Bool {
    switch lead.operation {
    case .convolution, .dense: true
    default: false
    }
  }

  /// Whether its result is its input in other places or shapes: the bytes stand for the same.
  package var keepsBytes: Bool {
    switch lead.operation {
    case .flatten, .dropout, .stochasticDepth, .pooling(.maximum, _), .globalMaximumPooling: true
    default: false
    }
  }

  /// Whether it can be computed on bytes.
  ///
  /// - Parameter shapes: of every node's result.
  package func hasByteForm(_ shapes: [Shape]) -> Bool {
    guard let ending = byteEnding else { return false }
    switch lead.operation {
    case .convolution(let layer):
      let input = shapes[inputs[0].index]
      let insets = layer.window.insets(for: Extent2D(height: input[2], width: input[3]))
      let taps = layer.window.kernel.count
      guard min(insets.top, insets.left, insets.bottom, insets.right) >= 0, taps <= 256,
        taps * layer.inputs / layer.groups <= 60_000
      else { return false }
      if layer.groups == 1 { return true }
      if layer.groups == layer.inputs && layer.outputs == layer.inputs {
        return ending.residual == nil
      }
      return layer.inputs / layer.groups % 4 == 0 && layer.outputs / layer.groups % 16 == 0
    case .dense(let layer): return layer.inputs <= 60_000
    case .activation(let function): return function.hasByteForm
    case .batchNormalization, .channelScale, .add, .gate, .concatenate, .flatten,
      .dropout, .stochasticDepth, .globalAveragePooling, .globalMaximumPooling:
      return true
    case .pooling(_, let window):
      let input = shapes[inputs[0].index]
      let insets = window.insets(for: Extent2D(height: input[2], width: input[3]))
      return min(insets.top, insets.left, insets.bottom, insets.right) >= 0
    case .adaptiveAveragePooling(let size): return size.count == 1
    case .input, .layerNormalization, .responseNormalization, .tokens, .attention,
      .attentionPooling, .selectTokens, .multiply:
      return false
    }
  }

  /// Whether `graph` has it computed on bytes.
  package func isInBytes(of graph: Graph, _ shapes: [Shape]) -> Bool {
    guard graph.precision == .int8, let bytes = graph.quantization, hasByteForm(shapes),
      operands.allSatisfy({ bytes.activations[graph[$0].path] != nil })
    else { return false }
    if isWeighted { return bytes.weights[lead.path] != nil }
    let own = bytes.activations[graph[result].path]
    if keepsBytes { return own != nil && own == bytes.activations[graph[inputs[0]].path] }
    return own != nil || lead.operation.sumsImages
  }
}

extension Window2D {
  /// How many numbers each output of an average counts, row by row.
  package func counts(
    for size: Extent2D, output: Extent2D, includesPadding: Bool
  ) -> [Int] {
    let insets = insets(for: size)
    func counts(
      _ outputs: Int, _ size: Int, _ before: Int, _ after: Int, _ kernel: Int, _ stride: Int,
      _ spacing: Int
    ) -> [Int] {
      (0..<outputs).map { output in
        (0..<kernel).count { tap in
          let place = output * stride + tap * spacing - before
          return includesPadding ? place < size + after : place >= 0 && place < size
        }
      }
    }
    let rows = counts(
      output.height, size.height, insets.top, insets.bottom, kernel.height, stride.height,
      dilation.height)
    let columns = counts(
      output.width, size.width, insets.left, insets.right, kernel.width, stride.width,
      dilation.width)
    return rows.flatMap { row in columns.map { max(row * $0, 1) } }
  }
}

extension Operation {
  /// Whether it is a mean over whole images, whose exact sum leaves the bytes for Float32.
  package var sumsImages: Bool {
    switch self {
    case .globalAveragePooling, .adaptiveAveragePooling: true
    default: false
    }
  }
}
