// SPDX-License-Identifier: Apache-2.0

package import ThawNetwork
package import ThawTensors

/// Weights and bias of a convolution or dense layer with the batch norm and the channel scale behind it
/// folded in.
///
/// y = s * (w x + b - mean) + shift with s = scale / sqrt(variance + epsilon), computed in Double and
/// rounded once.
package struct FoldedParameters {
  /// In PyTorch's order.
  package let weights: Tensor<Float>
  /// One an output channel; nil when it would be all zeros by construction.
  package let bias: Tensor<Float>?

  /// Whether there will be a bias.
  package static func hasBias(_ fused: FusedOperation, _ hasBias: Bool) -> Bool {
    hasBias || !fused.affine.isEmpty
  }

  /// Reads the parameters of `fused`'s lead and batch norm.
  ///
  /// - Throws: ``NetworkError`` when one is missing or has another shape.
  package init(_ fused: FusedOperation, outputs: Int, hasBias: Bool, _ parameters: Parameters)
    throws
  {
    let weights = try parameters.checked("weight", of: fused.lead)
    let bias = hasBias ? try parameters.checked("bias", of: fused.lead) : nil
    guard let map = try ChannelAffine(fused.affine, parameters) else {
      self.weights = weights
      self.bias = bias
      return
    }
    let width = weights.count / max(outputs, 1)
    self.weights = Tensor(shape: weights.shape) { target in
      weights.withUnsafeElements { source in
        guard let from = source.baseAddress, let to = target.baseAddress else { return }
        for output in 0..<outputs {
          let (row, folded, scale) = (
            from + output * width, to + output * width, map.scale[output]
          )
          for index in 0..<width { folded[index] = Float(Double(row[index]) * scale) }
        }
      }
    }
    self.bias = Tensor(
      (0..<outputs).map { Float(Double(bias?[$0] ?? 0) * map.scale[$0] + map.shift[$0]) },
      shape: [outputs])
  }
}

/// A batch norm on its running statistics, or a channel scale: y = scale * x + shift, per channel.
package struct ChannelAffine {
  package private(set) var scale: [Double]
  package private(set) var shift: [Double]

  /// Reads the parameters of `nodes` and chains their maps; nil when there are none.
  package init?(_ nodes: [Node], _ parameters: Parameters) throws {
    let maps = try nodes.compactMap { try ChannelAffine($0, parameters) }
    guard var result = maps.first else { return nil }
    for map in maps.dropFirst() {
      for channel in result.scale.indices {
        result.scale[channel] *= map.scale[channel]
        result.shift[channel] = result.shift[channel] * map.scale[channel] + map.shift[channel]
      }
    }
    self = result
  }

  /// Reads the parameters of `node`; nil when it is neither.
  package init?(_ node: Node, _ parameters: Parameters) throws {
    switch node.operation {
    case .channelScale(let layer):
      let values = try layer.constants ?? parameters.checked(layer.name, of: node)
      scale = values.elements.map(Double.init)
      shift = scale.map { _ in 0 }
    case .batchNormalization(let layer):
      let mean = try parameters.checked("running_mean", of: node)
      let variance = try parameters.checked("running_var", of: node)
      let gamma = layer.hasScale ? try parameters.checked("weight", of: node) : nil
      let beta = layer.hasShift ? try parameters.checked("bias", of: node) : nil
      let scale = (0..<layer.channels).map { channel in
        Double(gamma?[channel] ?? 1) / (Double(variance[channel]) + layer.epsilon).squareRoot()
      }
      self.scale = scale
      shift = (0..<layer.channels).map { channel in
        Double(beta?[channel] ?? 0) - Double(mean[channel]) * scale[channel]
      }
    default: return nil
    }
  }
}

extension Parameters {
  /// The array `name` of `node`, with the shape its operation declares.
  package func checked(_ name: String, of node: Node) throws -> Tensor<Float> {
    let path = node.path.appending(name)
    let tensor = try tensor(path)
    if let declared = node.parameters.first(where: { $0.path == path }),
      declared.shape != tensor.shape
    {
      throw NetworkError.parameterShape(path, expected: declared.shape, found: tensor.shape)
    }
    return tensor
  }
}
