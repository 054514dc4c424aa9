// SPDX-License-Identifier: Apache-2.0

/// Which statistics a batch normalisation uses in *training*, which of its numbers move, and whether
/// its affine part learns. In evaluation every mode uses the running statistics.
///
/// | mode | statistics in training | running statistics | affine |
/// |---|---|---|---|
/// | `inference` | running | stay | fixed |
/// | `training` | of the batch | move | learns |
/// | `batchStatistics` | of the batch | stay | fixed |
/// | `staleUpdate` | of the batch | move | fixed |
///
/// - Source: `batchStatistics` is what a frozen batch norm did in Keras 2.1.3 to 2.3,
///   `staleUpdate` in Keras up to 2.1.2 and in PyTorch when only `requires_grad` is cleared.
package enum BatchNormMode: String, Hashable, Sendable, Codable, CaseIterable {
  /// Running statistics, nothing moves: an affine map. The default for frozen groups.
  case inference
  /// An ordinary training batch norm.
  case training
  /// For diagnosis and teaching: normalises by the batch, learns and records nothing.
  case batchStatistics
  /// For diagnosis and teaching: normalises by the batch and moves the running statistics.
  case staleUpdate

  /// Whether training normalises by the statistics of the batch.
  package var usesBatchStatistics: Bool { self != .inference }
  /// Whether training moves the running statistics.
  package var movesRunningStatistics: Bool { self == .training || self == .staleUpdate }
  /// Whether scale and shift have gradients.
  package var trainsAffine: Bool { self == .training }
}
