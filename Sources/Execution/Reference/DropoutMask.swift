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
  @specialized(where Scalar == Float)
  @specialized(where Scalar == Double)
  func fill<Scalar: BLASScalar>(
    _ factors: UnsafeMutablePointer<Scalar>, count: Int, identity: StepIdentity
  ) {
    let threshold = UInt64((probability * 0x1p16).rounded())
    let kept: Scalar = threshold >= 1 << 16 ? 0 : Scalar(1 / (1 - probability))
    var stream = RandomStream(
      seed: identity.seed, purpose: .dropout, epoch: identity.step, sample: Int(key))
    var bits: UInt64 = 0
    for index in 0..<count {
      if index % 4 == 0 { bits = stream.next() }
      factors[index] = bits & 0xFFFF < threshold ? 0 : kept
      bits >>= 16
    }
  }
}
