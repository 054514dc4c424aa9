// SPDX-License-Identifier: Apache-2.0

/// The inner loop of ``RGBImage/warped(by:to:fill:fillColor:)``: borrowed memory, integer
/// arithmetic.
struct WarpSampler {
  /// Interleaved RGB of the part in memory.
  let pixels: UnsafePointer<UInt8>
  /// Bytes there.
  let count: Int
  /// Extent of that part.
  let width, height: Int
  /// Position of its first pixel in the photo.
  let x, y: Int
  /// Extent of the photo.
  let size: PixelSize
  /// What lies beyond it.
  let fill: FillMode
  /// Colour of ``FillMode/constant``.
  let fillColor: RGBColor

  // Positions are in steps of 1/2048 pixel; the bias makes the conversion's truncation a floor.
  private static let one = 2048
  private static let farthest = 1e6
  private static let bias = 1 << 32

  @inline(__always)
  private static func fixed(_ coordinate: Double) -> Int {
    var bounded = coordinate - 0.5
    if !(bounded > -farthest) { bounded = -farthest }
    if bounded > farthest { bounded = farthest }
    return Int(bounded * Double(one) + (Double(bias) + 0.5)) &- bias
  }

  // Added to a number below 2^31 it leaves the nearest whole number in the low bits: cheaper than a
  // checked conversion, and the row's ends were checked.
  private static let rounding = 0x1.8p52

  @inline(__always)
  private static func rounded(_ sum: Double) -> Int { Int(sum.bitPattern & 0x7FFF_FFFF) }

  /// One row of output pixels, whose centres have the vertical coordinate `v`.
  ///
  /// The row is a straight line in the photo: with both ends well inside, all of it is.
  func row(_ map: ProjectiveMap, y v: Double, count: Int, into output: UnsafeMutablePointer<UInt8>)
  {
    let start = (x: map.xy * v + map.x0, y: map.yy * v + map.y0, d: map.py * v + map.p0)
    let isInside = isDeepInside(map, start, 0.5) && isDeepInside(map, start, Double(count) - 0.5)
    switch (isInside, map.isAffine) {
    case (true, true): insideRow(map, start, isAffine: true, count, output)
    case (true, false): insideRow(map, start, isAffine: false, count, output)
    case (false, _): anyRow(map, start, count, output)
    }
  }

  private func isDeepInside(
    _ map: ProjectiveMap, _ start: (x: Double, y: Double, d: Double), _ u: Double
  ) -> Bool {
    let d = map.px * u + start.d
    if !(d > 1e-6) { return false }
    let px = (map.xx * u + start.x) / d - 0.5 - Double(x)
    let py = (map.yx * u + start.y) / d - 0.5 - Double(y)
    return px >= 0 && px < Double(width - 2) && py >= 0 && py < Double(height - 3)
  }

  @inline(__always)
  private func insideRow(
    _ map: ProjectiveMap, _ start: (x: Double, y: Double, d: Double), isAffine: Bool, _ count: Int,
    _ output: UnsafeMutablePointer<UInt8>
  ) {
    let one = Double(WarpSampler.one)
    let (xx, yx, px) = (map.xx * one, map.yx * one, map.px)
    let (startX, startY) = (start.x * one, start.y * one)
    // Half a pixel back, in the part's own coordinates.
    let offsetX = WarpSampler.rounding - (0.5 + Double(x)) * one
    let offsetY = WarpSampler.rounding - (0.5 + Double(y)) * one
    var out = output
    for column in 0..<count {
      let u = Double(column) + 0.5
      let scale = isAffine ? 1 : 1 / (px * u + start.d)
      let fx = WarpSampler.rounded((xx * u + startX) * scale + offsetX)
      let fy = WarpSampler.rounded((yx * u + startY) * scale + offsetY)
      mix(((fy >> 11) &* width &+ fx >> 11) &* 3, fx & 2047, fy & 2047, into: out)
      out += 3
    }
  }

  private func anyRow(
    _ map: ProjectiveMap, _ start: (x: Double, y: Double, d: Double), _ count: Int,
    _ output: UnsafeMutablePointer<UInt8>
  ) {
    var out = output
    for column in 0..<count {
      let u = Double(column) + 0.5
      let d = map.px * u + start.d
      let scale = 1 / (d > 1e-9 ? d : 1e-9)
      let fx = WarpSampler.fixed((map.xx * u + start.x) * scale)
      let fy = WarpSampler.fixed((map.yx * u + start.y) * scale)
      let (x0, y0) = ((fx >> 11) &- x, (fy >> 11) &- y)
      let upper = (y0 &* width &+ x0) &* 3
      // Eight bytes are read where six are needed, so the last pixels take the slow way too.
      if x0 >= 0, y0 >= 0, x0 &+ 1 < width, y0 &+ 1 < height,
        upper &+ width &* 3 &+ 8 <= self.count
      {
        mix(upper, fx & 2047, fy & 2047, into: out)
      } else {
        edge(fx >> 11, fy >> 11, fx & 2047, fy & 2047, into: out)
      }
      out += 3
    }
  }

  // The three channels are mixed at once, in lanes of 21 bits of a word. Across: 8 bits of sample
  // and 11 of weight, rounded to 10 bits (a quarter level); down: those and 11 bits of weight
  // again, at most 1020 * 2048 + 4096 < 2^21, so no lane spills into the next. a * (2048 - w) + b *
  // w is computed as a * 2048 + (b - a) * w: the same modulo 2^64.
  private static let lanes: UInt64 = 1 | 1 << 21 | 1 << 42

  @inline(__always)
  private func mix(
    _ upper: Int, _ wx: Int, _ wy: Int, into out: UnsafeMutablePointer<UInt8>
  ) {
    let down = UInt64(truncatingIfNeeded: wy)
    let top = across(upper, wx)
    let bottom = across(upper &+ width &* 3, wx)
    let sum = top &<< 11 &+ (bottom &- top) &* down &+ WarpSampler.lanes &<< 12
    out[0] = UInt8(truncatingIfNeeded: sum &>> 13)
    out[1] = UInt8(truncatingIfNeeded: sum &>> 34)
    out[2] = UInt8(truncatingIfNeeded: sum &>> 55)
  }

  // Two neighbours mixed, in quarter levels.
  @inline(__always)
  private func across(_ offset: Int, _ weight: Int) -> UInt64 {
    let raw = UnsafeRawPointer(pixels + offset)
    let two = UInt64(littleEndian: raw.loadUnaligned(as: UInt64.self))
    let left = (two & 0xFF) | (two & 0xFF00) &<< 13 | (two & 0xFF_0000) &<< 26
    let right =
      (two &>> 24 & 0xFF) | (two & 0xFF_0000_0000) &>> 11 | (two & 0xFF00_0000_0000) &<< 2
    let wx = UInt64(truncatingIfNeeded: weight)
    let sum = left &<< 11 &+ (right &- left) &* wx &+ WarpSampler.lanes &<< 8
    return sum &>> 9 & (WarpSampler.lanes &* 0x3FF)
  }

  // A pixel with at least one neighbour outside the part in memory.
  private func edge(
    _ x0: Int, _ y0: Int, _ wx: Int, _ wy: Int, into out: UnsafeMutablePointer<UInt8>
  ) {
    var (red, green, blue) = (1 << 21, 1 << 21, 1 << 21)
    for tap in 0..<4 {
      let (dx, dy) = (tap & 1, tap >> 1)
      let weight =
        (dx == 1 ? wx : WarpSampler.one - wx) * (dy == 1 ? wy : WarpSampler.one - wy)
      if weight == 0 { continue }
      let color = color(x: x0 + dx, y: y0 + dy)
      red += weight * Int(color.red)
      green += weight * Int(color.green)
      blue += weight * Int(color.blue)
    }
    out[0] = UInt8(truncatingIfNeeded: red >> 22)
    out[1] = UInt8(truncatingIfNeeded: green >> 22)
    out[2] = UInt8(truncatingIfNeeded: blue >> 22)
  }

  @inline(__always)
  private func color(x column: Int, y row: Int) -> RGBColor {
    guard let sourceX = fill.source(of: column, count: size.width),
      let sourceY = fill.source(of: row, count: size.height)
    else { return fillColor }
    // Everything that a map reads is in memory, but for points behind a perspective's viewer.
    let x = min(max(sourceX - x, 0), width - 1)
    let y = min(max(sourceY - y, 0), height - 1)
    let pixel = pixels + (y * width + x) * 3
    return RGBColor(red: pixel[0], green: pixel[1], blue: pixel[2])
  }
}
