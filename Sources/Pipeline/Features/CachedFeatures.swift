// SPDX-License-Identifier: Apache-2.0

import Datasets
import Tensors
import Training

/// Cached rows with their labels, as the trainer wants them.
struct CachedFeatures: FeatureSource {
  let matrix: FeatureMatrix
  let labels: [Int]

  var count: Int { labels.count }
  var stride: Int { matrix.rowLength }

  func label(_ index: Int) -> Int { labels[index] }

  func copyFeatures(
    of indices: ArraySlice<Int>, view: FeatureView, into output: UnsafeMutableBufferPointer<Float>
  ) {
    matrix.copy(
      indices, into: UnsafeMutableBufferPointer(rebasing: output[..<(indices.count * stride)]))
  }

  /// All rows, [count, stride].
  var tensor: Tensor<Float> {
    Tensor(shape: [count, stride]) { matrix.copy(0..<count, into: $0) }
  }
}
