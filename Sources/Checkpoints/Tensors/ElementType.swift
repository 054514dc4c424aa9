// SPDX-License-Identifier: Apache-2.0

/// The type of a stored tensor's elements; little-endian. Raw values are the names in safetensors.
package enum ElementType: String, Sendable, Hashable, CaseIterable {
  /// IEEE double precision.
  case float64 = "F64"
  /// IEEE single precision.
  case float32 = "F32"
  /// IEEE half precision: 5 bits of exponent, 10 of fraction.
  case float16 = "F16"
  /// The upper half of a single precision number: 8 bits of exponent, 7 of fraction.
  case bfloat16 = "BF16"
  /// Signed, 64 bits.
  case int64 = "I64"
  /// Signed, 32 bits.
  case int32 = "I32"
  /// Unsigned, 64 bits.
  case uint64 = "U64"
  /// Unsigned, 32 bits.
  case uint32 = "U32"
  /// Unsigned, 16 bits.
  case uint16 = "U16"
  /// Signed, 16 bits.
  case int16 = "I16"
  /// Signed, 8 bits.
  case int8 = "I8"
  /// Unsigned, 8 bits.
  case uint8 = "U8"
  /// One byte, zero is false.
  case bool = "BOOL"

  /// Bytes an element.
  package var size: Int {
    switch self {
    case .float64, .int64, .uint64: 8
    case .float32, .int32, .uint32: 4
    case .float16, .bfloat16, .int16, .uint16: 2
    case .int8, .uint8, .bool: 1
    }
  }

  /// Whether it holds real numbers; weights do.
  package var isFloatingPoint: Bool {
    [.float64, .float32, .float16, .bfloat16].contains(self)
  }

  /// Place in a written safetensors file, smallest first: descending alignment, ties as the
  /// reference writer breaks them, so that both write the same bytes.
  var fileOrder: Int {
    switch self {
    case .uint64: 0
    case .int64: 1
    case .float64: 2
    case .float32: 3
    case .uint32: 4
    case .int32: 5
    case .bfloat16: 6
    case .float16: 7
    case .uint16: 8
    case .int16: 9
    case .int8: 10
    case .uint8: 11
    case .bool: 12
    }
  }
}
