// SPDX-License-Identifier: Apache-2.0

package import ThawExecution
package import ThawNetwork
import ThawOneDNN
package import ThawTensors

/// What came out of a pass over photos.
package struct PhaseOutput: Sendable {
  /// [photos, classes], in the photos' order.
  package let logits: Tensor<Float>
  /// Moments of the input of every batch norm, over all photos.
  package let moments: [ParameterPath: ChannelMoments]

  /// Collects what a pass gave.
  package init(logits: Tensor<Float>, moments: [ParameterPath: ChannelMoments] = [:]) {
    self.logits = logits
    self.moments = moments
  }
}

extension PhasedNetwork {
  /// Runs all photos in batches, those batch norms that `selection` names on batch statistics.
  ///
  /// - Parameters:
  ///   - size: photos in a batch, at least 1 and at most ``batch``.
  ///   - seed: draws which photos share a batch.
  ///   - check: called after each batch with the number of photos in it; stops the pass by throwing.
  /// - Throws: what `check` throws; `NetworkError.degenerateBatch`, `ExecutionError`.
  package func run(
    _ photos: LabelledTensors, batchStatistics selection: BatchNormInspection.Selection,
    batch size: Int, seed: UInt64, check: (Int) throws -> Void = { _ in }
  ) throws -> PhaseOutput {
    precondition(
      size >= 1 && size <= batch, "A batch of \(size) does not fit a network of \(batch).")
    let inspection = BatchNormInspection(batchStatistics: selection)
    var logits = [Float](repeating: 0, count: photos.count * classes)
    for indices in photos.batches(of: size, seed: seed) {
      let output = try trace(photos.copy(indices), inspection).logits
      for (position, index) in indices.enumerated() {
        logits.replaceSubrange(
          index * classes..<(index + 1) * classes,
          with: output[position * classes..<(position + 1) * classes])
      }
      try check(indices.count)
    }
    return PhaseOutput(
      logits: Tensor(logits, shape: [photos.count, classes]), moments: inspection.moments)
  }
}

extension Tensor<Float> {
  /// -log of the true class's probability for each row of logits; infinite or NaN logits give NaN.
  ///
  /// Shapes: self [n, classes].
  package func crossEntropies(_ labels: [Int]) -> [Double] {
    let classes = shape[1]
    return withUnsafeElements { elements in
      labels.indices.map { row in
        CrossEntropy.of(
          UnsafeBufferPointer(rebasing: elements[row * classes..<(row + 1) * classes]),
          label: labels[row])
      }
    }
  }

  /// The column of the largest element of each row, the first of equals.
  package func largestColumns() -> [Int] {
    let classes = shape[1]
    return withUnsafeElements { elements in
      (0..<shape[0]).map { row in
        let scores = elements[row * classes..<(row + 1) * classes]
        var best = scores.startIndex
        for index in scores.indices where scores[index] > scores[best] { best = index }
        return best - scores.startIndex
      }
    }
  }
}
