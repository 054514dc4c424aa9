// SPDX-License-Identifier: Apache-2.0

package import ThawTensors

extension Graph {
  /// The shape of every node's result for `batch` images of `size`.
  ///
  /// Shapes: element i belongs to `nodes[i]`; [N, C, H, W], after `flatten` and `dense` [N, F].
  ///
  /// - Throws: ``NetworkError/shapeMismatch(layer:expected:found:)`` naming the first layer that
  ///   cannot take its input, for example when the image is too small for a pooling window.
  package func shapes(batch: Int, size: Extent2D) throws -> [Shape] {
    var shapes: [Shape] = []
    shapes.reserveCapacity(nodes.count)
    for node in nodes {
      let inputs = node.inputs.map { shapes[$0.index] }
      shapes.append(try node.resultShape(inputs: inputs, batch: batch, size: size))
    }
    return shapes
  }
}

extension Node {
  /// The shape of this node's result; `batch` and `size` matter for the input node only.
  func resultShape(inputs: [Shape], batch: Int, size: Extent2D) throws -> Shape {
    switch operation {
    case .input(let channels): return [batch, channels, size.height, size.width]
    case .convolution(let layer):
      let image = try imageInput(inputs, channels: layer.inputs)
      let output = try windowed(image, layer.window)
      return [image[0], layer.outputs, output.height, output.width]
    case .batchNormalization(let layer):
      return try channelInput(inputs, channels: layer.channels)
    case .layerNormalization(let layer):
      return try channelInput(inputs, channels: layer.channels)
    case .responseNormalization(let layer):
      return try imageInput(inputs, channels: layer.channels)
    case .channelScale(let layer): return try imageInput(inputs, channels: layer.channels)
    case .activation, .dropout, .stochasticDepth: return try onlyInput(inputs)
    case .add, .multiply: return try ofOneShape(inputs)
    case .gate: return try gated(inputs)
    case .concatenate: return try concatenation(inputs)
    case .pooling(_, let window):
      let image = try imageInput(inputs, channels: nil)
      let output = try windowed(image, window)
      return [image[0], image[1], output.height, output.width]
    case .globalAveragePooling, .globalMaximumPooling:
      let image = try imageInput(inputs, channels: nil)
      return [image[0], image[1], 1, 1]
    case .adaptiveAveragePooling(let size):
      let image = try imageInput(inputs, channels: nil)
      return [image[0], image[1], size.height, size.width]
    case .flatten:
      let input = try onlyInput(inputs)
      return [input[0], input.extents.dropFirst().reduce(1, *)]
    case .dense(let layer):
      let input = try onlyInput(inputs)
      guard input.rank == 2, input[1] == layer.inputs else {
        throw mismatch("[N, \(layer.inputs)]", [input])
      }
      return [input[0], layer.outputs]
    case .tokens(let layer):
      let image = try imageInput(inputs, channels: layer.channels)
      return [image[0], image[1], 1, layer.prefix + image[2] * image[3]]
    case .attention(let layer):
      let sequence = try imageInput(inputs, channels: 3 * layer.channels)
      if let rotary = layer.rotary, sequence[2] * sequence[3] <= rotary.prefix {
        throw mismatch("more than \(rotary.prefix) tokens", inputs)
      }
      return [sequence[0], layer.channels, sequence[2], sequence[3]]
    case .attentionPooling(let layer):
      let sequence = try imageInput(inputs, channels: 2 * layer.channels)
      return [sequence[0], layer.channels, 1, 1]
    case .selectTokens(let selection): return try selected(inputs, selection)
    }
  }

  private func selected(_ inputs: [Shape], _ selection: TokenSelection) throws -> Shape {
    let sequence = try imageInput(inputs, channels: nil)
    let count = selection.count ?? sequence[3] - selection.first
    guard sequence[2] == 1, count >= 1, selection.first + count <= sequence[3] else {
      throw mismatch("[N, C, 1, at least \(selection.first + max(count, 1))]", inputs)
    }
    return [sequence[0], sequence[1], 1, count]
  }

  private func mismatch(_ expected: String, _ found: [Shape]) -> NetworkError {
    .shapeMismatch(
      layer: path, expected: expected,
      found: found.map(\.description).joined(separator: " and "))
  }

  private func onlyInput(_ inputs: [Shape]) throws -> Shape {
    guard inputs.count == 1 else { throw mismatch("one input", inputs) }
    return inputs[0]
  }

  private func imageInput(_ inputs: [Shape], channels: Int?) throws -> Shape {
    let input = try onlyInput(inputs)
    guard input.rank == 4, channels == nil || channels == input[1] else {
      throw mismatch("[N, \(channels.map(String.init) ?? "C"), H, W]", inputs)
    }
    return input
  }

  private func channelInput(_ inputs: [Shape], channels: Int) throws -> Shape {
    let input = try onlyInput(inputs)
    guard input.rank == 4 || input.rank == 2, input[1] == channels else {
      throw mismatch("[N, \(channels), H, W] or [N, \(channels)]", inputs)
    }
    return input
  }

  private func windowed(_ image: Shape, _ window: Window2D) throws -> Extent2D {
    guard let output = window.output(for: Extent2D(height: image[2], width: image[3])) else {
      throw mismatch("an image that holds a \(window.kernel) window", [image])
    }
    return output
  }

  private func ofOneShape(_ inputs: [Shape]) throws -> Shape {
    guard inputs.count == 2, inputs[0] == inputs[1] else {
      throw mismatch("two inputs of one shape", inputs)
    }
    return inputs[0]
  }

  private func gated(_ inputs: [Shape]) throws -> Shape {
    guard inputs.count == 2, inputs[0].rank == 4,
      inputs[1] == [inputs[0][0], inputs[0][1], 1, 1]
    else { throw mismatch("[N, C, H, W] and [N, C, 1, 1]", inputs) }
    return inputs[0]
  }

  private func concatenation(_ inputs: [Shape]) throws -> Shape {
    guard let first = inputs.first, first.rank == 4,
      inputs.allSatisfy({
        $0.rank == 4 && $0[0] == first[0] && $0[2] == first[2] && $0[3] == first[3]
      })
    else { throw mismatch("inputs that differ in their channels only", inputs) }
    return [first[0], inputs.map { $0[1] }.reduce(0, +), first[2], first[3]]
  }
}
