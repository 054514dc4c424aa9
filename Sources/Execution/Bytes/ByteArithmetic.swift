// SPDX-License-Identifier: Apache-2.0

package import ThawNetwork

/// The arithmetic on bytes in plain words, one IEEE 754 operation on Float32 after the other: the kernels
/// do the same operations in the same order, so their results are the same to the bit.
package enum ByteArithmetic {
  /// The byte that a real number becomes: round(clamp(v * (1 / scale))) + zero, to nearest even.
  package static func byte(_ value: Float, _ scale: ByteScale) -> UInt8 {
    let low = Float(-scale.zero)
    let high = Float(255 - scale.zero)
    var scaled = value * (1 / scale.scale)
    scaled = scaled > low ? scaled : low
    scaled = scaled < high ? scaled : high
    return UInt8(Int(scaled.rounded(.toNearestOrEven)) + scale.zero)
  }

  /// What a byte stands for.
  package static func value(_ byte: UInt8, _ scale: ByteScale) -> Float {
    Float(Int(byte) - scale.zero) * scale.scale
  }

  /// A function behind a layer's sums.
  package static func applied(_ function: Activation?, to value: Float) -> Float {
    switch function {
    case .relu: return value > 0 ? value : 0
    case .relu6:
      let positive: Float = value > 0 ? value : 0
      return positive < 6 ? positive : 6
    case .silu: return value * logistic(value)
    case .sigmoid: return logistic(value)
    case .hardSigmoid: return hardGate(value)
    case .hardSwish: return value * hardGate(value)
    case .gelu, .geluTanh, .quickGELU:
      preconditionFailure("\(String(describing: function)) has no form on bytes.")
    case nil: return value
    }
  }

  /// For each byte of one meaning that of another, with a function between them.
  package static func table(
    from source: ByteScale, to target: ByteScale, _ function: Activation?
  ) -> [UInt8] {
    if source == target && function == nil { return (0...255).map { UInt8($0) } }
    return (0...255).map { byte(applied(function, to: value(UInt8($0), source)), target) }
  }

  private static func hardGate(_ value: Float) -> Float {
    var gate = value + 3
    gate = gate > 0 ? gate : 0
    gate = gate < 6 ? gate : 6
    return gate / 6
  }

  /// 1 / (1 + exp(-v)); the exponential by a polynomial (Cephes' `expf`).
  private static func logistic(_ value: Float) -> Float {
    var x = -value
    x = x > -80 ? x : -80
    x = x < 80 ? x : 80
    let n = (x * 1.44269504).rounded(.toNearestOrEven)
    let r = (x - n * 0.693359375) - n * -2.12194440e-4
    var p = r * 1.9875691e-4 + 1.3981999e-3
    p = p * r + 8.3334519e-3
    p = p * r + 4.1665796e-2
    p = p * r + 1.6666665e-1
    p = p * r + 0.5
    p = (p * (r * r) + r) + 1
    return 1 / (1 + p * Float(bitPattern: UInt32(Int32(n) + 127) << 23))
  }
}
