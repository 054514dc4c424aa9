// SPDX-License-Identifier: Apache-2.0

/// One row of a phase's table: what becomes of a layer group.
package struct GroupRow: Encodable, Sendable {
  /// Number of the phase, from 1.
  package let phase: Int
  package let group: String
  /// Its weights, scales, shifts and biases.
  package let parameters: Int
  /// How many of them train.
  package let trainable: Int
  /// Mode of its batch norms; nil when it has none.
  package let batchNorm: String?
  /// Its largest learning rate; nil when nothing of it trains.
  package let learningRate: Double?
}
