// SPDX-License-Identifier: Apache-2.0

import Tensors

/// The elements of a strided view in row-major order.
///
/// - Parameter span: from the view's first element to its last.
func gathered(_ span: [UInt8], _ shape: Shape, _ strides: [Int], _ size: Int) -> [UInt8] {
  [UInt8](unsafeUninitializedCapacity: shape.count * size) { target, count in
    let target = UnsafeMutableRawBufferPointer(target)
    span.withUnsafeBytes { source in
      switch size {
      case 1: gather(UInt8.self, source, shape, strides, into: target)
      case 2: gather(UInt16.self, source, shape, strides, into: target)
      case 4: gather(UInt32.self, source, shape, strides, into: target)
      default: gather(UInt64.self, source, shape, strides, into: target)
      }
    }
    count = shape.count * size
  }
}

private func gather<Word: BitwiseCopyable>(
  _: Word.Type, _ source: UnsafeRawBufferPointer, _ shape: Shape, _ strides: [Int],
  into target: UnsafeMutableRawBufferPointer
) {
  let size = MemoryLayout<Word>.size
  guard let inner = shape.extents.last, let step = strides.last, shape.count > 0 else { return }
  var index = [Int](repeating: 0, count: shape.rank)
  var row = 0
  for written in stride(from: 0, to: shape.count, by: inner) {
    for column in 0..<inner {
      let word = source.loadUnaligned(fromByteOffset: (row + column * step) * size, as: Word.self)
      target.storeBytes(of: word, toByteOffset: (written + column) * size, as: Word.self)
    }
    // The next row: count up the outer axes like an odometer.
    for axis in (0..<shape.rank - 1).reversed() {
      index[axis] += 1
      row += strides[axis]
      if index[axis] < shape[axis] { break }
      row -= shape[axis] * strides[axis]
      index[axis] = 0
    }
  }
}

/// Turns stored elements into Float32.
func convert(
  _ bytes: UnsafeRawBufferPointer, _ type: ElementType,
  into target: UnsafeMutableBufferPointer<Float>
) {
  func each<Stored: BitwiseCopyable>(_: Stored.Type, _ transform: (Stored) -> Float) {
    let size = MemoryLayout<Stored>.size
    for index in target.indices {
      target[index] = transform(bytes.loadUnaligned(fromByteOffset: index * size, as: Stored.self))
    }
  }
  switch type {
  case .float64: each(UInt64.self) { Float(Double(bitPattern: UInt64(littleEndian: $0))) }
  case .float32: each(UInt32.self) { Float(bitPattern: UInt32(littleEndian: $0)) }
  case .float16: each(UInt16.self) { singlePrecision(half: UInt16(littleEndian: $0)) }
  case .bfloat16:
    each(UInt16.self) { Float(bitPattern: UInt32(UInt16(littleEndian: $0)) << 16) }
  case .int64: each(Int64.self) { Float(Int64(littleEndian: $0)) }
  case .int32: each(Int32.self) { Float(Int32(littleEndian: $0)) }
  case .int16: each(Int16.self) { Float(Int16(littleEndian: $0)) }
  case .int8: each(Int8.self) { Float($0) }
  case .uint8: each(UInt8.self) { Float($0) }
  case .bool: each(UInt8.self) { $0 == 0 ? 0 : 1 }
  }
}

/// The value of a half precision number, exact; NaN keeps its payload.
///
/// Integer arithmetic, because `Float16` is not available on every platform.
///
/// - Source: IEEE 754-2019, section 3.4.
func singlePrecision(half bits: UInt16) -> Float {
  let sign = UInt32(bits & 0x8000) << 16
  let exponent = UInt32(bits >> 10) & 0x1F
  let fraction = UInt32(bits & 0x3FF)
  switch exponent {
  case 0:  // Zero and subnormal: fraction * 2^-24.
    let magnitude = Float(fraction) * 0x1p-24
    return Float(bitPattern: magnitude.bitPattern | sign)
  case 0x1F: return Float(bitPattern: sign | 0x7F80_0000 | fraction << 13)
  default: return Float(bitPattern: sign | (exponent + 112) << 23 | fraction << 13)
  }
}
