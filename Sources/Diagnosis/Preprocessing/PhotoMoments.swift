// SPDX-License-Identifier: Apache-2.0

/// Mean and mean square of each channel of one layer's input, photo by photo: enough to have the
/// statistics of any resample of the photos without running the network again.
package struct PhotoMoments: Sendable {
  package let channels: Int
  /// [photos, channels].
  private var means: [Double] = []
  /// [photos, channels].
  private var squares: [Double] = []

  /// Moments of no photos yet.
  package init(channels: Int) { self.channels = channels }

  /// Photos added so far.
  package var count: Int { means.count / max(channels, 1) }

  /// Adds photos.
  ///
  /// - Parameter activations: whole photos, each [channels, H, W].
  package mutating func add(_ activations: UnsafeBufferPointer<Float>, elementsPerPhoto: Int) {
    let plane = elementsPerPhoto / channels
    precondition(
      plane * channels == elementsPerPhoto && activations.count % elementsPerPhoto == 0,
      "\(activations.count) elements are not whole photos of \(channels) channels.")
    for start in stride(from: 0, to: activations.count, by: plane) {
      let (sum, square) = PhotoMoments.sums(
        UnsafeBufferPointer(rebasing: activations[start..<start + plane]))
      means.append(sum / Double(plane))
      squares.append(square / Double(plane))
    }
  }

  /// The sum and the sum of squares: of eight lanes in Float over a short stretch, then in Double.
  private static func sums(_ values: UnsafeBufferPointer<Float>) -> (Double, Double) {
    var (sum, square) = (0.0, 0.0)
    for start in stride(from: 0, to: values.count, by: 1024) {
      let end = min(start + 1024, values.count)
      var (lanes, squares) = (SIMD8<Float>(), SIMD8<Float>())
      var index = start
      while index + 8 <= end {
        let part = UnsafeRawBufferPointer(values).loadUnaligned(
          fromByteOffset: index * 4, as: SIMD8<Float>.self)
        lanes += part
        squares += part * part
        index += 8
      }
      while index < end {
        lanes[0] += values[index]
        squares[0] += values[index] * values[index]
        index += 1
      }
      for lane in 0..<8 {
        sum += Double(lanes[lane])
        square += Double(squares[lane])
      }
    }
    return (sum, square)
  }

  /// Mean and (biased) variance of each channel over all pixels of the photos at `indices`, which may
  /// repeat.
  package func population(_ indices: some Collection<Int>) -> (mean: [Double], variance: [Double]) {
    var mean = [Double](repeating: 0, count: channels)
    var square = mean
    for photo in indices {
      for channel in 0..<channels {
        mean[channel] += means[photo * channels + channel]
        square[channel] += squares[photo * channels + channel]
      }
    }
    let count = Double(max(indices.count, 1))
    let variance = (0..<channels).map { channel in
      let average = mean[channel] / count
      return max(square[channel] / count - average * average, 0)
    }
    return (mean.map { $0 / count }, variance)
  }
}
