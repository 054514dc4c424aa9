// SPDX-License-Identifier: Apache-2.0

import ThawTensors

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
  case .uint64: each(UInt64.self) { Float(UInt64(littleEndian: $0)) }
  case .uint32: each(UInt32.self) { Float(UInt32(littleEndian: $0)) }
  case .uint16: each(UInt16.self) { Float(UInt16(littleEndian: $0)) }
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
