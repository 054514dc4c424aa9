// SPDX-License-Identifier: Apache-2.0

/// In which numbers a network is computed in inference.
///
/// It belongs to the contract of a trained head: a head made on the features of one precision is used on
/// features of the same. Sums, biases, batch-norm folding and the result of a network are Float32
/// always; in training the suffix is.
package enum Precision: String, Hashable, Sendable, Codable, CaseIterable {
  /// Weights and activations in Float32.
  case float32
  /// Weights and activations between layers in bfloat16 (8 bits of precision, Float32's range), the
  /// products of a layer summed in Float32. The network's last layer, global pooling and what has no
  /// fast kernel are Float32.
  case bfloat16
  /// Weights and most activations in eight bits, what each stands for measured on photos
  /// (``Quantization``). Products are summed in whole numbers, so every processor gives the same. A network
  /// is trained in another precision and brought to this one afterwards.
  case int8

  /// All of them, for messages.
  package static var names: String { allCases.map(\.rawValue).joined(separator: ", ") }
}
