// SPDX-License-Identifier: Apache-2.0

extension RGBImage {
  /// Whether no pixel has more colour than compression leaves on a grey one.
  package var isGrey: Bool {
    pixels.withUnsafeBufferPointer { samples in
      for at in stride(from: 0, to: samples.count, by: 3) {
        let (red, green, blue) = (Int(samples[at]), Int(samples[at + 1]), Int(samples[at + 2]))
        if max(red, green, blue) - min(red, green, blue) > 12 { return false }
      }
      return true
    }
  }
}
