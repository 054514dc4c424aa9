// SPDX-License-Identifier: Apache-2.0

import Network
import Tensors

/// The dropout mask of one layer as a pure function of (seed, step, layer, element).
///
/// Element i of a batch takes the i-th 16 bits of the layer's stream, so the mask depends neither on
/// threads nor on how large the batch is, and a resumed run drops what the first one did. The
/// probability is rounded to a multiple of 2^-16; the low 24 bits of the step count.
struct DropoutMask {
  /// Of dropping an element.
  let probability: Double
  private let key: UInt32

  /// The mask of the layer called `layer`.
  init(probability: Double, layer: ParameterPath) {
    precondition(
      probability >= 0 && probability <= 1, "A dropout probability cannot be \(probability).")
    self.probability = probability
    // FNV-1a, 32 bits: stable across runs, unlike Hasher.
    key = layer.description.utf8.reduce(0x811C_9DC5) { ($0 ^ UInt32($1)) &* 0x0100_0193 }
  }

  /// Writes 0 for dropped and 1 / (1 - probability) for kept elements.
  func fill<Scalar: BLASScalar>(
    _ factors: UnsafeMutablePointer<Scalar>, count: Int, identity: StepIdentity
  ) {
    let threshold = UInt64((probability * 0x1p16).rounded())
    let stream = RandomStream(
      seed: identity.seed, purpose: .dropout, epoch: identity.step, sample: Int(key))
    // Looked up, not decided: a branch on random bits is mispredicted every few elements.
    withUnsafeTemporaryAllocation(of: Scalar.self, capacity: 2) { choices in
      guard let choices = choices.baseAddress else { return }
      choices[0] = threshold >= 1 << 16 ? 0 : Scalar(1 / (1 - probability))
      choices[1] = 0
      DropoutMask.fill(
        factors, count: count, with: choices, droppingBelow: threshold, from: stream)
    }
  }

  /// factors[i] = choices[1] where the i-th 16 bits of `stream` are below `threshold`, else choices[0].
  @specialized(where Scalar == Float)
  @specialized(where Scalar == Double)
  private static func fill<Scalar: BLASScalar>(
    _ factors: UnsafeMutablePointer<Scalar>, count: Int, with choices: UnsafePointer<Scalar>,
    droppingBelow threshold: UInt64, from stream: RandomStream
  ) {
    var stream = stream
    func factor(_ bits: UInt64) -> Scalar {
      choices[Int(truncatingIfNeeded: ((bits & 0xFFFF) &- threshold) >> 63)]
    }
    let whole = count / 4 * 4
    for index in stride(from: 0, to: whole, by: 4) {
      let bits = stream.next()
      factors[index] = factor(bits)
      factors[index + 1] = factor(bits >> 16)
      factors[index + 2] = factor(bits >> 32)
      factors[index + 3] = factor(bits >> 48)
    }
    var bits = whole < count ? stream.next() : 0
    for index in whole..<count {
      factors[index] = factor(bits)
      bits >>= 16
    }
  }
}
