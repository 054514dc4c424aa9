// SPDX-License-Identifier: Apache-2.0

import ThawNetwork
import ThawTensors

/// The matrix form of a convolution: one row a channel and tap, one column an output pixel.
enum ReferenceColumns {
  /// columns[(c, ky, kx), (oy, ox)] = image[c, iy, ix], zero where the tap falls into the padding.
  ///
  /// Shapes: image [channels, H, W]; columns [channels * taps, outH * outW].
  @specialized(where Scalar == Float)
  @specialized(where Scalar == Double)
  static func gather<Scalar: BLASScalar>(
    _ image: UnsafePointer<Scalar>, channels: Int, _ window: ReferenceWindow,
    into columns: UnsafeMutablePointer<Scalar>
  ) {
    var target = columns
    let width = window.output.width
    for channel in 0..<channels {
      let plane = image + channel * window.inputPlane
      for ky in 0..<window.kernel.height {
        let rows = window.rows(ky)
        for kx in 0..<window.kernel.width {
          let span = window.columns(kx)
          for oy in 0..<window.output.height {
            let row = target + oy * width
            guard rows.contains(oy) else {
              for ox in 0..<width { row[ox] = 0 }
              continue
            }
            let iy = oy * window.stride.height + window.rowOffset(ky)
            let source = plane + iy * window.input.width
            for ox in 0..<span.lowerBound { row[ox] = 0 }
            for ox in span { row[ox] = source[ox * window.stride.width + window.columnOffset(kx)] }
            for ox in span.upperBound..<width { row[ox] = 0 }
          }
          target += window.plane
        }
      }
    }
  }

  /// The transpose: image[c, iy, ix] += columns[(c, ky, kx), (oy, ox)].
  @specialized(where Scalar == Float)
  @specialized(where Scalar == Double)
  static func scatter<Scalar: BLASScalar>(
    _ columns: UnsafePointer<Scalar>, channels: Int, _ window: ReferenceWindow,
    addingTo image: UnsafeMutablePointer<Scalar>
  ) {
    var source = columns
    for channel in 0..<channels {
      let plane = image + channel * window.inputPlane
      for ky in 0..<window.kernel.height {
        for kx in 0..<window.kernel.width {
          let offset = window.columnOffset(kx)
          for oy in window.rows(ky) {
            let iy = oy * window.stride.height + window.rowOffset(ky)
            let target = plane + iy * window.input.width
            let row = source + oy * window.output.width
            for ox in window.columns(kx) {
              target[ox * window.stride.width + offset] += row[ox]
            }
          }
          source += window.plane
        }
      }
    }
  }
}
