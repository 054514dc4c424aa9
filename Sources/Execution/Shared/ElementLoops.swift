// SPDX-License-Identifier: Apache-2.0

package import ThawTensors

/// Loops over plain arrays that several layers share.
package enum ElementLoops {
  /// target[i] = source[i] in another precision; both have as many elements.
  package static func convert<From: BLASScalar, To: BLASScalar>(
    _ source: UnsafeBufferPointer<From>, to target: UnsafeMutableBufferPointer<To>
  ) {
    precondition(target.count >= source.count, "The target of a conversion is too small.")
    guard let from = source.baseAddress, let to = target.baseAddress else { return }
    convert(from, to: to, count: source.count)
  }

  /// target[i] = source[i] in another precision.
  @specialized(where From == Float, To == Float)
  @specialized(where From == Float, To == Double)
  @specialized(where From == Double, To == Float)
  @specialized(where From == Double, To == Double)
  package static func convert<From: BLASScalar, To: BLASScalar>(
    _ source: UnsafePointer<From>, to target: UnsafeMutablePointer<To>, count: Int
  ) {
    for index in 0..<count { target[index] = To(source[index]) }
  }

  /// target[i] += source[i].
  @specialized(where Scalar == Float)
  @specialized(where Scalar == Double)
  package static func add<Scalar: BLASScalar>(
    _ source: UnsafePointer<Scalar>, to target: UnsafeMutablePointer<Scalar>, count: Int
  ) {
    for index in 0..<count { target[index] += source[index] }
  }

  /// target[i] = left[i] + right[i].
  @specialized(where Scalar == Float)
  @specialized(where Scalar == Double)
  package static func sum<Scalar: BLASScalar>(
    _ left: UnsafePointer<Scalar>, _ right: UnsafePointer<Scalar>,
    into target: UnsafeMutablePointer<Scalar>, count: Int
  ) {
    for index in 0..<count { target[index] = left[index] + right[index] }
  }

  /// target[i] = left[i] * right[i], added to the old value when `accumulating`.
  @specialized(where Scalar == Float)
  @specialized(where Scalar == Double)
  package static func product<Scalar: BLASScalar>(
    _ left: UnsafePointer<Scalar>, _ right: UnsafePointer<Scalar>,
    into target: UnsafeMutablePointer<Scalar>, count: Int, accumulating: Bool
  ) {
    if accumulating {
      for index in 0..<count { target[index] += left[index] * right[index] }
    } else {
      for index in 0..<count { target[index] = left[index] * right[index] }
    }
  }

  /// Sets `count` elements to zero.
  package static func clear<Scalar: BLASScalar>(_ target: UnsafeMutablePointer<Scalar>, count: Int)
  {
    UnsafeMutableRawPointer(target).initializeMemory(
      as: UInt8.self, repeating: 0, count: count * MemoryLayout<Scalar>.stride)
  }

  /// values[r, c, i] += bias[c], values [rows, channels, plane].
  @specialized(where Scalar == Float)
  @specialized(where Scalar == Double)
  package static func addBias<Scalar: BLASScalar>(
    _ bias: UnsafePointer<Scalar>, to values: UnsafeMutablePointer<Scalar>, rows: Int,
    channels: Int, plane: Int
  ) {
    for row in 0..<rows {
      for channel in 0..<channels {
        let start = values + (row * channels + channel) * plane
        for index in 0..<plane { start[index] += bias[channel] }
      }
    }
  }

  /// bias[c] += sum over r and i of gradient[r, c, i]; each sum is taken in Double.
  @specialized(where Scalar == Float)
  @specialized(where Scalar == Double)
  package static func addBiasGradient<Scalar: BLASScalar>(
    of gradient: UnsafePointer<Scalar>, to bias: UnsafeMutablePointer<Scalar>, rows: Int,
    channels: Int, plane: Int
  ) {
    for channel in 0..<channels {
      var sum = 0.0
      for row in 0..<rows {
        let start = gradient + (row * channels + channel) * plane
        for index in 0..<plane { sum += Double(start[index]) }
      }
      bias[channel] += Scalar(sum)
    }
  }
}

extension UnsafeBufferPointer where Element: BinaryFloatingPoint {
  /// Whether no element is NaN or infinite.
  package var areFinite: Bool { allSatisfy(\.isFinite) }
}
