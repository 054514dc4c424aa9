// SPDX-License-Identifier: Apache-2.0

package import ThawTensors

/// Which rendering of a sample is wanted.
package enum FeatureView: Sendable, Hashable {
  /// As in evaluation: no augmentation.
  case clean
  /// As augmentation makes it in this epoch (0-based); the same as clean where there is none.
  case training(epoch: Int)
}

/// Labelled inputs of a training plan: cached features, or pixels.
package protocol FeatureSource {
  /// Number of samples.
  var count: Int { get }
  /// Elements of one sample.
  var stride: Int { get }
  /// The class of a sample in `0..<count`; where samples may have several, see ``targetRows``.
  func label(_ index: Int) -> Int
  /// What the samples should be answered where they may have several labels; nil where each has one.
  var targetRows: TargetRows? { get }
  /// Writes the samples at `indices`, one after the other, [indices.count, stride].
  ///
  /// What is written depends on index and view only, never on the order of the calls.
  func copyFeatures(
    of indices: ArraySlice<Int>, view: FeatureView,
    into output: UnsafeMutableBufferPointer<Float>) throws
}

extension FeatureSource {
  /// One label a sample.
  package var targetRows: TargetRows? { nil }

  /// All labels, in order.
  package var sampleLabels: SampleLabels {
    targetRows.map(SampleLabels.several) ?? .single((0..<count).map(label))
  }
}

/// Features in memory, without augmentation.
package struct InMemoryFeatures: FeatureSource, Sendable {
  /// [n, ...].
  package let features: Tensor<Float>
  /// n classes; zeros where samples may have several labels.
  package let labels: [Int]
  /// See ``FeatureSource/targetRows``.
  package let targetRows: TargetRows?

  /// Wraps features [n, ...]; traps unless there is one label a row.
  package init(_ features: Tensor<Float>, labels: [Int]) {
    precondition(
      features.shape.rank >= 2 && features.shape[0] == labels.count,
      "Features \(features.shape) do not fit \(labels.count) labels.")
    self.features = features
    self.labels = labels
    targetRows = nil
  }

  /// Wraps features [n, ...] of samples that may have several labels; traps unless there is a row each.
  package init(_ features: Tensor<Float>, targets: TargetRows) {
    precondition(
      features.shape.rank >= 2 && features.shape[0] == targets.count,
      "Features \(features.shape) do not fit \(targets.count) rows of targets.")
    self.features = features
    labels = [Int](repeating: 0, count: targets.count)
    targetRows = targets
  }

  /// Number of samples.
  package var count: Int { labels.count }
  /// Elements of one sample.
  package var stride: Int { features.shape.extents.dropFirst().reduce(1, *) }
  /// The class of sample `index`.
  package func label(_ index: Int) -> Int { labels[index] }

  /// Copies rows; the view makes no difference.
  package func copyFeatures(
    of indices: ArraySlice<Int>, view: FeatureView, into output: UnsafeMutableBufferPointer<Float>
  ) {
    let stride = stride
    precondition(output.count >= indices.count * stride, "The output is too small.")
    features.withUnsafeElements { elements in
      for (row, index) in indices.enumerated() {
        let sample = elements[index * stride..<(index + 1) * stride]
        _ = output[(row * stride)...].update(fromContentsOf: sample)
      }
    }
  }
}
