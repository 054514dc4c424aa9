// SPDX-License-Identifier: Apache-2.0

import ThawNetwork
import ThawTensors

/// Pooling loops over one plane.
enum ReferenceWindows {
  /// output[o] = largest input under window o; `winners` gets its position.
  @specialized(where Scalar == Float)
  @specialized(where Scalar == Double)
  static func maximum<Scalar: BLASScalar>(
    _ input: UnsafePointer<Scalar>, _ window: ReferenceWindow,
    into output: UnsafeMutablePointer<Scalar>, winners: UnsafeMutablePointer<Int32>?
  ) {
    for oy in 0..<window.output.height {
      for ox in 0..<window.output.width {
        var best = -Scalar.infinity
        var winner = -1
        for ky in 0..<window.kernel.height {
          let iy = oy * window.stride.height + window.rowOffset(ky)
          guard iy >= 0 && iy < window.input.height else { continue }
          for kx in 0..<window.kernel.width {
            let ix = ox * window.stride.width + window.columnOffset(kx)
            guard ix >= 0 && ix < window.input.width else { continue }
            let value = input[iy * window.input.width + ix]
            // The first pixel always wins against nothing, so that a plane of -infinity has a winner.
            if value > best || value.isNaN || winner < 0 {
              best = value
              winner = iy * window.input.width + ix
            }
          }
        }
        output[oy * window.output.width + ox] = best
        winners?[oy * window.output.width + ox] = Int32(winner)
      }
    }
  }

  /// gradient[winner of o] += outer[o].
  @specialized(where Scalar == Float)
  @specialized(where Scalar == Double)
  static func addWinners<Scalar: BLASScalar>(
    _ outer: UnsafePointer<Scalar>, _ winners: UnsafePointer<Int32>, count: Int,
    to gradient: UnsafeMutablePointer<Scalar>
  ) {
    for index in 0..<count where winners[index] >= 0 {
      gradient[Int(winners[index])] += outer[index]
    }
  }

  /// Taps of window `output` along one axis: those in the image, and the divisor's share, which counts
  /// padding too but never what a rounded-up window has beyond it.
  private static func taps(
    _ output: Int, kernel: Int, stride: Int, dilation: Int, before: Int, after: Int, size: Int
  ) -> (inside: Range<Int>, padded: Int) {
    let origin = output * stride - before
    var first = kernel
    var last = -1
    var padded = 0
    for tap in 0..<kernel {
      let position = origin + tap * dilation
      if position < size + after { padded += 1 }
      if position >= 0 && position < size {
        first = min(first, tap)
        last = tap
      }
    }
    return (first <= last ? first..<(last + 1) : 0..<0, padded)
  }

  /// Rows and columns of taps of window (oy, ox), and its divisor.
  private static func taps(
    _ window: ReferenceWindow, _ oy: Int, _ ox: Int, _ includesPadding: Bool
  ) -> (rows: Range<Int>, columns: Range<Int>, divisor: Int) {
    let rows = taps(
      oy, kernel: window.kernel.height, stride: window.stride.height,
      dilation: window.dilation.height, before: window.insets.top, after: window.insets.bottom,
      size: window.input.height)
    let columns = taps(
      ox, kernel: window.kernel.width, stride: window.stride.width,
      dilation: window.dilation.width, before: window.insets.left, after: window.insets.right,
      size: window.input.width)
    let divisor =
      includesPadding ? rows.padded * columns.padded : rows.inside.count * columns.inside.count
    return (rows.inside, columns.inside, max(divisor, 1))
  }

  /// output[o] = mean of the input under window o.
  @specialized(where Scalar == Float)
  @specialized(where Scalar == Double)
  static func average<Scalar: BLASScalar>(
    _ input: UnsafePointer<Scalar>, _ window: ReferenceWindow, _ includesPadding: Bool,
    into output: UnsafeMutablePointer<Scalar>
  ) {
    for oy in 0..<window.output.height {
      for ox in 0..<window.output.width {
        let taps = taps(window, oy, ox, includesPadding)
        var sum: Scalar = 0
        for ky in taps.rows {
          let row = (oy * window.stride.height + window.rowOffset(ky)) * window.input.width
          for kx in taps.columns {
            sum += input[row + ox * window.stride.width + window.columnOffset(kx)]
          }
        }
        output[oy * window.output.width + ox] = sum / Scalar(taps.divisor)
      }
    }
  }

  /// gradient[i] += outer[o] / divisor for every window o over pixel i.
  @specialized(where Scalar == Float)
  @specialized(where Scalar == Double)
  static func spreadAverage<Scalar: BLASScalar>(
    _ outer: UnsafePointer<Scalar>, _ window: ReferenceWindow, _ includesPadding: Bool,
    to gradient: UnsafeMutablePointer<Scalar>
  ) {
    for oy in 0..<window.output.height {
      for ox in 0..<window.output.width {
        let taps = taps(window, oy, ox, includesPadding)
        let share = outer[oy * window.output.width + ox] / Scalar(taps.divisor)
        for ky in taps.rows {
          let row = (oy * window.stride.height + window.rowOffset(ky)) * window.input.width
          for kx in taps.columns {
            gradient[row + ox * window.stride.width + window.columnOffset(kx)] += share
          }
        }
      }
    }
  }

  /// means[p] = mean of plane p.
  @specialized(where Scalar == Float)
  @specialized(where Scalar == Double)
  static func means<Scalar: BLASScalar>(
    _ values: UnsafePointer<Scalar>, into means: UnsafeMutablePointer<Scalar>, planes: Int,
    plane: Int
  ) {
    for index in 0..<planes {
      var sum = 0.0
      for element in 0..<plane { sum += Double(values[index * plane + element]) }
      means[index] = Scalar(sum / Double(plane))
    }
  }

  /// gradient[p, i] += outer[p] / plane.
  @specialized(where Scalar == Float)
  @specialized(where Scalar == Double)
  static func spreadMeans<Scalar: BLASScalar>(
    _ outer: UnsafePointer<Scalar>, to gradient: UnsafeMutablePointer<Scalar>, planes: Int,
    plane: Int
  ) {
    for index in 0..<planes {
      let share = outer[index] / Scalar(plane)
      for element in 0..<plane { gradient[index * plane + element] += share }
    }
  }
}
