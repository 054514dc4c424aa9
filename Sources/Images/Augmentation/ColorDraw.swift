// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Changes of colour of one photo; by default none. Applied to the 8-bit square in this order.
package struct ColorDraw: Codable, Hashable, Sendable {
  /// Levels added to red, green and blue, the sums clipped to the smallest and largest sample of
  /// the square (Keras `channel_shift`; the source truncates to whole levels later, this rounds).
  package var channelShift = [0.0, 0, 0]
  /// Factor on every sample, in single precision, cut off to a whole level at once (Pillow's
  /// `ImageEnhance.Brightness`, which Keras calls; Keras 2.1 also stretched the contrast to 0...255
  /// on the way, by mistake, which is not offered).
  package var brightness = 1.0
  /// Logit-space brightness, 0.5 for none: x becomes sigmoid(logit(x) + logit(b)).
  package var lightingBrightness = 0.5
  /// Logit-space contrast: x becomes sigmoid(logit(x) * c), so black, grey and white stay.
  ///
  /// - Source: fastai 2 `Brightness` and `Contrast`; the logit is clamped to 1e-7 from both ends.
  package var lightingContrast = 1.0
  /// Factor on the distance from grey (0.299, 0.587, 0.114), as torchvision's `adjust_saturation`.
  package var saturation = 1.0

  /// No change.
  package init() {}

  /// Whether nothing changes.
  package var isIdentity: Bool { self == ColorDraw() }

  private var isPointwiseIdentity: Bool {
    channelShift == [0, 0, 0] && brightness == 1 && lightingBrightness == 0.5
      && lightingContrast == 1
  }

  /// The image with the colours changed.
  package func applied(to image: RGBImage) -> RGBImage {
    if isIdentity { return image }
    let low = channelShift == [0, 0, 0] ? 0 : Double(image.pixels.min() ?? 0)
    let high = channelShift == [0, 0, 0] ? 255 : Double(image.pixels.max() ?? 255)
    let table = isPointwiseIdentity ? [] : levels(low: low, high: high)
    return RGBImage(size: image.size) { output in
      image.pixels.withUnsafeBufferPointer { input in
        if table.isEmpty {
          _ = output.update(fromContentsOf: input)
        } else {
          for index in stride(from: 0, to: input.count, by: 3) {
            output[index] = table[Int(input[index])]
            output[index + 1] = table[256 + Int(input[index + 1])]
            output[index + 2] = table[512 + Int(input[index + 2])]
          }
        }
        if saturation != 1 { saturate(output) }
      }
    }
  }

  /// The new level of each of 256 levels in each channel, rounded once at the end.
  func levels(low: Double, high: Double) -> [UInt8] {
    (0..<768).map { index in
      var level = Double(index % 256)
      let shift = channelShift[index / 256]
      if shift != 0 { level = min(max(level + shift, low), high) }
      if brightness != 1 {
        let product = Float(level.rounded()) * Float(brightness)
        level = Double(min(max(product, 0), 255).rounded(.down))
      }
      if lightingBrightness != 0.5 || lightingContrast != 1 { level = lit(level / 255) * 255 }
      return UInt8(min(max(level.rounded(), 0), 255))
    }
  }

  private func lit(_ value: Double) -> Double {
    let logit = (ColorDraw.logit(value) + ColorDraw.logit(lightingBrightness)) * lightingContrast
    return 1 / (1 + exp(-logit))
  }

  private static func logit(_ value: Double) -> Double {
    let inside = min(max(value, 1e-7), 1 - 1e-7)
    return log(inside / (1 - inside))
  }

  private func saturate(_ samples: UnsafeMutableBufferPointer<UInt8>) {
    let factor = Float(saturation)
    for index in stride(from: 0, to: samples.count, by: 3) {
      let (r, g, b) = (
        Float(samples[index]), Float(samples[index + 1]), Float(samples[index + 2])
      )
      let grey = 0.299 * r + 0.587 * g + 0.114 * b
      samples[index] = ColorDraw.level(grey + (r - grey) * factor)
      samples[index + 1] = ColorDraw.level(grey + (g - grey) * factor)
      samples[index + 2] = ColorDraw.level(grey + (b - grey) * factor)
    }
  }

  @inline(__always)
  private static func level(_ value: Float) -> UInt8 { UInt8(min(max(value + 0.5, 0), 255)) }
}
