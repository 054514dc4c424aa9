// SPDX-License-Identifier: Apache-2.0

import ThawImages

/// Bilinear sampling in Double, written for clarity: positions in pixel indices, one walk to the
/// source for every neighbour outside.
struct WarpReference {
  let image: RGBImage
  var fill = FillMode.nearest
  var color = RGBColor.black

  /// The output of a map from output indices to input indices.
  func sampled(
    _ width: Int, _ height: Int, _ position: (Double, Double) -> (Double, Double)
  ) -> [Double] {
    var output: [Double] = []
    for row in 0..<height {
      for column in 0..<width {
        let (x, y) = position(Double(column), Double(row))
        let (x0, y0) = (x.rounded(.down), y.rounded(.down))
        let (wx, wy) = (x - x0, y - y0)
        for channel in 0..<3 {
          var sum = 0.0
          for (dx, dy) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
            let weight = (dx == 1 ? wx : 1 - wx) * (dy == 1 ? wy : 1 - wy)
            sum += weight * sample(Int(x0) + dx, Int(y0) + dy, channel)
          }
          output.append(sum)
        }
      }
    }
    return output
  }

  private func sample(_ x: Int, _ y: Int, _ channel: Int) -> Double {
    guard let x = walk(x, image.width), let y = walk(y, image.height) else {
      return Double([color.red, color.green, color.blue][channel])
    }
    return Double(image.pixels[(y * image.width + x) * 3 + channel])
  }

  private func walk(_ position: Int, _ count: Int) -> Int? {
    var at = position
    while at < 0 || at >= count {
      switch fill {
      case .nearest: at = at < 0 ? 0 : count - 1
      case .constant: return nil
      case .wrap: at += at < 0 ? count : -count
      case .reflect: at = at < 0 ? -1 - at : 2 * count - 1 - at
      case .reflect101: at = count == 1 ? 0 : at < 0 ? -at : 2 * (count - 1) - at
      }
    }
    return at
  }
}

/// The largest distance of an image from exact samples, in levels.
func largestDifference(_ image: RGBImage, _ exact: [Double]) -> Double {
  image.pixels.count == exact.count
    ? zip(image.pixels, exact).reduce(0) { max($0, abs(Double($1.0) - $1.1)) } : .infinity
}

/// A contract whose square is the photo itself, when that is a square of `side`.
func identityContract(_ side: Int) -> Preprocessing {
  Preprocessing(
    inputSize: side, scale: 1, mean: [0, 0, 0], std: [1, 1, 1], cropFraction: 1)
}

/// A decoded photo that did not come from a file.
func decoded(_ image: RGBImage) throws -> DecodedImage {
  try ImageDecoder.decode(try PNGEncoder.encode(image))
}
