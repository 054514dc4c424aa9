// SPDX-License-Identifier: Apache-2.0

import CThawKernels
package import ThawNetwork
package import ThawTensors

/// The dropout mask of one layer as a pure function of (seed, step, layer, element).
///
/// Element i of a batch takes the i-th 16 bits of the layer's stream, so the mask depends neither on
/// threads nor on how large the batch is, and a resumed run drops what the first one did. The
/// probability is rounded to a multiple of 2^-16.
package struct DropoutMask {
  /// Of dropping an element.
  package let probability: Double
  private let key: UInt32

  /// The mask of the layer called `layer`.
  package init(probability: Double, layer: ParameterPath) {
    precondition(
      probability >= 0 && probability <= 1, "A dropout probability cannot be \(probability).")
    self.probability = probability
    // FNV-1a, 32 bits: stable across runs, unlike Hasher.
    key = layer.description.utf8.reduce(0x811C_9DC5) { ($0 ^ UInt32($1)) &* 0x0100_0193 }
  }

  /// Writes 0 for dropped and 1 / (1 - probability) for kept elements, from element `first` on.
  package func fill(
    _ factors: UnsafeMutablePointer<Float>, from first: Int = 0, count: Int,
    identity: StepIdentity
  ) {
    fill(factors, from: first, count: count, kept: Float(keptFactor), identity)
  }

  /// The same for any scalar, through Float.
  package func fill<Scalar: BLASScalar>(
    _ factors: UnsafeMutablePointer<Scalar>, count: Int, identity: StepIdentity
  ) {
    let kept = Scalar(keptFactor)
    withUnsafeTemporaryAllocation(of: Float.self, capacity: DropoutMask.chunk) { chunk in
      guard let marks = chunk.baseAddress else { return }
      for first in stride(from: 0, to: count, by: DropoutMask.chunk) {
        let length = min(DropoutMask.chunk, count - first)
        fill(marks, from: first, count: length, kept: 1, identity)
        for index in 0..<length { factors[first + index] = marks[index] == 0 ? 0 : kept }
      }
    }
  }

  private static let chunk = 4096

  private var threshold: UInt32 { UInt32((probability * 0x1p16).rounded()) }
  private var keptFactor: Double { threshold >= 1 << 16 ? 0 : 1 / (1 - probability) }

  /// The stream is that of ``RandomStream`` for this purpose, layer and ``StepIdentity/epochBits``, from its
  /// block ``StepIdentity/era`` * 2^32 on.
  private func fill(
    _ factors: UnsafeMutablePointer<Float>, from first: Int, count: Int, kept: Float,
    _ identity: StepIdentity
  ) {
    let seed = [
      UInt32(truncatingIfNeeded: identity.seed), UInt32(truncatingIfNeeded: identity.seed >> 32),
    ]
    let domain = [RandomPurpose.dropout.rawValue << 24 | identity.epochBits, key]
    thaw_keep_mask(
      seed, domain, identity.era, Int64(first), Int64(count), threshold, kept, factors)
  }
}
