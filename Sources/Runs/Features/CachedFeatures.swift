// SPDX-License-Identifier: Apache-2.0

package import ThawDatasets
package import ThawTensors
package import ThawTraining

/// Cached rows with their labels, as the trainer wants them.
package struct CachedFeatures: FeatureSource {
  /// One row a photo, without augmentation.
  private let clean: FeatureMatrix
  /// The same photos under augmented views: epoch e trains on view e modulo their number.
  private let training: [FeatureMatrix]
  package let labels: SampleLabels

  package init(clean: FeatureMatrix, training: [FeatureMatrix] = [], labels: SampleLabels) {
    self.clean = clean
    self.training = training
    self.labels = labels
  }

  package var count: Int { labels.count }
  package var stride: Int { clean.rowLength }
  package var targetRows: TargetRows? { labels.rows }

  package func label(_ index: Int) -> Int { labels.label(index) }

  package func copyFeatures(
    of indices: ArraySlice<Int>, view: FeatureView, into output: UnsafeMutableBufferPointer<Float>
  ) {
    var matrix = clean
    if case .training(let epoch) = view, !training.isEmpty {
      matrix = training[epoch % training.count]
    }
    matrix.copy(
      indices, into: UnsafeMutableBufferPointer(rebasing: output[..<(indices.count * stride)]))
  }

  /// All rows without augmentation, [count, stride].
  package var tensor: Tensor<Float> {
    Tensor(shape: [count, stride]) { clean.copy(0..<count, into: $0) }
  }
}
