// SPDX-License-Identifier: Apache-2.0

/// What a byte between two layers stands for: scale * (byte - zero).
package struct ByteScale: Hashable, Sendable, Codable {
  /// Positive and finite.
  package let scale: Float
  /// The byte that stands for 0, in 0...255.
  package let zero: Int

  /// Describes bytes; nil unless the numbers are possible ones.
  package init?(scale: Float, zero: Int) {
    guard scale.isFinite, scale > 0, (1 / scale).isFinite, (0...255).contains(zero) else {
      return nil
    }
    self.scale = scale
    self.zero = zero
  }
}

/// Which parts of a network are computed on bytes, and what their bytes stand for.
///
/// It belongs to ``Precision/int8`` and stands in the graph beside it. A layer with weights is computed on bytes
/// when it is named in ``weights``; anything else when both its inputs and its result are named in
/// ``activations``. Whatever computes a result that is named there, it is rounded to bytes.
package struct Quantization: Hashable, Sendable {
  /// By the path of a node: the bytes of its result.
  package var activations: [ParameterPath: ByteScale]
  /// By the path of a convolution or dense layer: one weight step an output channel; weights are whole
  /// multiples of it in -127...127.
  package var weights: [ParameterPath: [Float]]

  /// Collects the fields.
  package init(
    activations: [ParameterPath: ByteScale] = [:], weights: [ParameterPath: [Float]] = [:]
  ) {
    self.activations = activations
    self.weights = weights
  }
}
