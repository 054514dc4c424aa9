// SPDX-License-Identifier: Apache-2.0

import ThawNetwork
import ThawTensors

/// The definitions of the layers, written as sums over indices in Double: slow and obvious.
enum Naive {
  /// The value of `input` [N, C, H, W] at a place, `outside` beyond the image.
  static func at(
    _ input: Tensor<Float>, _ n: Int, _ c: Int, _ y: Int, _ x: Int, outside: Double = 0
  ) -> Double {
    let shape = input.shape
    guard y >= 0, y < shape[2], x >= 0, x < shape[3] else { return outside }
    return Double(input[((n * shape[1] + c) * shape[2] + y) * shape[3] + x])
  }

  /// Calls `body` for every element of a result [N, C, H, W] and collects what it returns.
  static func build(_ shape: Shape, _ body: (Int, Int, Int, Int) -> Double) -> [Double] {
    var result: [Double] = []
    for n in 0..<shape[0] {
      for c in 0..<shape[1] {
        for y in 0..<shape[2] {
          for x in 0..<shape[3] { result.append(body(n, c, y, x)) }
        }
      }
    }
    return result
  }

  /// The places (tap, y, x) under a window, padding included.
  static func places(
    _ window: Window2D, _ size: Extent2D, _ oy: Int, _ ox: Int
  ) -> [(tap: Int, y: Int, x: Int)] {
    let insets = window.insets(for: size)
    var result: [(tap: Int, y: Int, x: Int)] = []
    for ky in 0..<window.kernel.height {
      for kx in 0..<window.kernel.width {
        result.append(
          (
            ky * window.kernel.width + kx,
            oy * window.stride.height - insets.top + ky * window.dilation.height,
            ox * window.stride.width - insets.left + kx * window.dilation.width
          ))
      }
    }
    return result
  }

  static func convolution(
    _ layer: Convolution2D, _ input: Tensor<Float>, weight: Tensor<Float>, bias: Tensor<Float>?,
    output: Shape
  ) -> [Double] {
    let size = Extent2D(height: input.shape[2], width: input.shape[3])
    let (inputs, outputs) = (layer.inputs / layer.groups, layer.outputs / layer.groups)
    return build(output) { n, o, y, x in
      var sum = bias.map { Double($0[o]) } ?? 0
      for c in 0..<inputs {
        for place in places(layer.window, size, y, x) {
          let taps = layer.window.kernel.height * layer.window.kernel.width
          sum +=
            Double(weight[(o * inputs + c) * taps + place.tap])
            * at(input, n, o / outputs * inputs + c, place.y, place.x)
        }
      }
      return sum
    }
  }

  static func pooling(
    _ kind: PoolingKind, _ window: Window2D, _ input: Tensor<Float>, output: Shape
  ) -> [Double] {
    let size = Extent2D(height: input.shape[2], width: input.shape[3])
    let insets = window.insets(for: size)
    return build(output) { n, c, y, x in
      let places = places(window, size, y, x)
      let inside = places.filter {
        $0.y >= 0 && $0.y < size.height && $0.x >= 0 && $0.x < size.width
      }
      let values = inside.map { at(input, n, c, $0.y, $0.x) }
      switch kind {
      case .maximum: return values.max() ?? -.infinity
      case .average(false): return values.reduce(0, +) / Double(values.count)
      case .average(true):
        let counted = places.filter {
          $0.y < size.height + insets.bottom && $0.x < size.width + insets.right
        }
        return values.reduce(0, +) / Double(counted.count)
      }
    }
  }
}
