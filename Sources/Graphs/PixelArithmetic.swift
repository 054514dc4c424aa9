// SPDX-License-Identifier: Apache-2.0

package import ThawImages

/// What a network computes with the samples of a photo before its first layer: a factor and a shift for
/// each channel, and the order of the channels.
///
/// value[c] = scale[c] * x[c] + offset[c], where c counts in ``order`` and x are the samples it is given.
package struct PixelArithmetic: Hashable, Sendable {
  /// Order of the values, when the samples come red first.
  package private(set) var order = Preprocessing.ChannelOrder.rgb
  /// Factors in the order of the values.
  package private(set) var scale = [1.0, 1.0, 1.0]
  /// Shifts in the order of the values.
  package private(set) var offset = [0.0, 0.0, 0.0]

  /// Leaves the samples as they are.
  package init() {}

  /// Whether it changes nothing.
  package var isNone: Bool { self == PixelArithmetic() }

  /// - Parameter factors: one for each channel.
  package mutating func multiply(by factors: [Double]) {
    scale = zip(scale, factors).map { $0 * $1 }
    offset = zip(offset, factors).map { $0 * $1 }
  }

  /// - Parameter shifts: one for each channel.
  package mutating func add(_ shifts: [Double]) {
    offset = zip(offset, shifts).map { $0 + $1 }
  }

  package mutating func reverseChannels() {
    order = order == .rgb ? .bgr : .rgb
    scale.reverse()
    offset.reverse()
  }

  /// What `contract` and then this arithmetic make of a photo, as one contract.
  ///
  /// - Returns: nil when no contract says that: a factor that is not positive, numbers that are not finite.
  package func after(_ contract: Preprocessing) -> Preprocessing? {
    let isReversed = order == .bgr
    var scales = contract.std.map { contract.scale / $0 }
    var offsets = zip(contract.mean, contract.std).map { -$0 / $1 }
    if isReversed {
      scales.reverse()
      offsets.reverse()
    }
    offsets = zip(zip(scale, offset), offsets).map { $0.0 * $1 + $0.1 }
    scales = zip(scale, scales).map { $0 * $1 }
    guard (scales + offsets).allSatisfy(\.isFinite), scales.allSatisfy({ $0 > 0 }) else {
      return nil
    }
    // (x * s - mean) / std with s = 1/255, or what all channels share.
    let isShared = scales.allSatisfy { abs($0 - scales[0]) <= 1e-12 * scales[0] }
    let common = isShared ? scales[0] : 1.0 / 255
    let other: Preprocessing.ChannelOrder = contract.channelOrder == .rgb ? .bgr : .rgb
    return Preprocessing(
      inputSize: contract.inputSize, scale: common,
      channelOrder: isReversed ? other : contract.channelOrder,
      mean: zip(scales, offsets).map { -$1 * common / $0 },
      std: isShared ? [1, 1, 1] : scales.map { common / $0 },
      interpolation: contract.interpolation, cropFraction: contract.cropFraction,
      resizeRule: contract.resizeRule, background: contract.background)
  }

  /// This arithmetic as a 1x1 convolution of values that `other` was applied to already.
  ///
  /// - Returns: nine weights, [outputs, inputs], and three biases; nil when `other` cannot be undone.
  func convolution(behind other: PixelArithmetic) -> (weights: [Double], biases: [Double])? {
    guard other.scale.allSatisfy({ $0 != 0 }) else { return nil }
    var weights = [Double](repeating: 0, count: 9)
    var biases = [0.0, 0.0, 0.0]
    for channel in 0..<3 {
      let source = order == other.order ? channel : 2 - channel
      let factor = scale[channel] / other.scale[source]
      weights[channel * 3 + source] = factor
      biases[channel] = offset[channel] - factor * other.offset[source]
    }
    guard (weights + biases).allSatisfy(\.isFinite) else { return nil }
    return (weights, biases)
  }
}
