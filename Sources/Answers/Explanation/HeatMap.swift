// SPDX-License-Identifier: Apache-2.0

import Glibc
package import ThawImages

/// A grid of values over a square, and how it looks.
package struct HeatMap: Sendable {
  /// [height, width], row after row.
  package let values: [Float]
  package let height: Int
  package let width: Int

  package init(_ values: [Float], height: Int, width: Int) {
    precondition(
      values.count == height * width && !values.isEmpty, "A map has height x width values.")
    (self.values, self.height, self.width) = (values, height, width)
  }

  /// What speaks for a class alone, 0...1: negative values are 0, the largest is 1.
  package var positive: HeatMap {
    let largest = values.max() ?? 0
    return HeatMap(
      values.map { largest > 0 ? max($0, 0) / largest : 0 }, height: height, width: width)
  }

  /// Brought to another size: bilinear, with the centres of the outer cells as the edge.
  package func resized(height newHeight: Int, width newWidth: Int) -> HeatMap {
    func places(_ count: Int, _ from: Int) -> [(low: Int, high: Int, share: Float)] {
      (0..<count).map { index in
        let place = (Double(index) + 0.5) * Double(from) / Double(count) - 0.5
        let inside = min(max(place, 0), Double(from - 1))
        let low = Int(inside)
        return (low, min(low + 1, from - 1), Float(inside - Double(low)))
      }
    }
    let (rows, columns) = (places(newHeight, height), places(newWidth, width))
    var result: [Float] = []
    result.reserveCapacity(newHeight * newWidth)
    for row in rows {
      for column in columns {
        func value(_ y: Int) -> Float {
          let left = values[y * width + column.low]
          return left + (values[y * width + column.high] - left) * column.share
        }
        let upper = value(row.low)
        result.append(upper + (value(row.high) - upper) * row.share)
      }
    }
    return HeatMap(result, height: newHeight, width: newWidth)
  }

  /// Where the heat is, in parts of the square: the centre of mass of the area around the hottest cell that
  /// has at least half its heat. The hottest cell alone would be a seventh of a photo wide.
  package var peak: (x: Double, y: Double) {
    let hottest = values.indices.max { values[$0] < values[$1] } ?? 0
    let half = Double(values[hottest]) / 2
    var (found, waiting) = ([hottest: true], [hottest])
    var (x, y, sum) = (0.0, 0.0, 0.0)
    while let cell = waiting.popLast() {
      let (row, column) = (cell / width, cell % width)
      // More than nothing for the hottest cell of a map without heat.
      let weight = max(Double(values[cell]) - half, 0) + (cell == hottest ? 1e-12 : 0)
      x += weight * (Double(column) + 0.5)
      y += weight * (Double(row) + 0.5)
      sum += weight
      for (down, right) in [(-1, 0), (1, 0), (0, -1), (0, 1)] {
        let (near, beside) = (row + down, column + right)
        guard (0..<height).contains(near), (0..<width).contains(beside) else { continue }
        let next = near * width + beside
        guard half > 0, found[next] == nil, Double(values[next]) >= half else { continue }
        found[next] = true
        waiting.append(next)
      }
    }
    return (x / sum / Double(width), y / sum / Double(height))
  }

  /// Pearson's correlation with another map, brought to this one's size; nil when one is flat.
  package func correlation(with other: HeatMap) -> Double? {
    let same = other.resized(height: height, width: width)
    let count = Double(values.count)
    let (a, b) = (values.map(Double.init), same.values.map(Double.init))
    let (meanA, meanB) = (a.reduce(0, +) / count, b.reduce(0, +) / count)
    var (ab, aa, bb) = (0.0, 0.0, 0.0)
    for (x, y) in zip(a, b) {
      ab += (x - meanA) * (y - meanB)
      aa += (x - meanA) * (x - meanA)
      bb += (y - meanB) * (y - meanB)
    }
    return aa > 0 && bb > 0 ? ab / (aa * bb).squareRoot() : nil
  }

  /// The map over a picture: cold places stay nearly as they are, hot ones turn yellow and red.
  package func overlay(on picture: RGBImage) -> RGBImage {
    let map = positive.resized(height: picture.height, width: picture.width)
    return RGBImage(size: picture.size) { pixels in
      for index in map.values.indices {
        let heat = map.values[index]
        let color = HeatMap.color(heat)
        let share = 0.65 * heat.squareRoot()
        for channel in 0..<3 {
          let own = Float(picture.pixels[3 * index + channel])
          pixels[3 * index + channel] = UInt8(
            min(max(own * (1 - share) + color[channel] * share, 0), 255).rounded())
        }
      }
    }
  }

  /// From dark violet over red and orange to yellow; lightness rises all the way, for eyes that tell no
  /// colours.
  private static func color(_ heat: Float) -> [Float] {
    let stops: [[Float]] = [
      [20, 11, 52], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164],
    ]
    let place = min(max(heat, 0), 1) * Float(stops.count - 1)
    let low = min(Int(place), stops.count - 2)
    let share = place - Float(low)
    return (0..<3).map { stops[low][$0] * (1 - share) + stops[low + 1][$0] * share }
  }
}
