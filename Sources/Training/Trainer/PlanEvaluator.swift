// SPDX-License-Identifier: Apache-2.0

package import ThawExecution
package import ThawTensors

/// Runs a plan as in inference over all samples of a source.
package enum PlanEvaluator {
  /// The logits of every sample, [count, classes], in the source's order and clean view.
  ///
  /// - Parameter chunk: samples per call; changes memory, never results.
  package static func logits(
    of source: any FeatureSource, by plan: any TrainingPlan, chunk: Int = 256
  ) throws -> Tensor<Float> {
    let classes = plan.outputShape.count / plan.outputShape[0]
    let input = AlignedStorage<Float>(count: min(chunk, source.count) * source.stride)
    return try Tensor(shape: [source.count, classes]) { output in
      for start in stride(from: 0, to: source.count, by: chunk) {
        let samples = Array(start..<min(start + chunk, source.count))
        let features = UnsafeMutableBufferPointer(
          rebasing: input.elements[..<(samples.count * source.stride)])
        try source.copyFeatures(of: samples[...], view: .clean, into: features)
        try plan.evaluate(
          UnsafeBufferPointer(features),
          into: UnsafeMutableBufferPointer(
            rebasing: output[start * classes..<(start + samples.count) * classes]))
      }
    }
  }

  /// Loss and right predictions over all samples.
  package static func score(
    _ source: any FeatureSource, by plan: any TrainingPlan, loss: any Loss
  ) throws -> BatchResult {
    let logits = try logits(of: source, by: plan)
    if let rows = source.targetRows {
      return logits.withUnsafeElements { scores in
        rows.elements.withUnsafeBufferPointer { rows in
          let total = loss.evaluate(
            scores, classes: logits.shape[1], targets: .probabilities(rows), divisor: 1,
            gradient: nil)
          let exact = scores.countExact(rows, classes: logits.shape[1])
          return BatchResult(loss: total, correct: exact, count: source.count)
        }
      }
    }
    let labels = (0..<source.count).map { Int32(source.label($0)) }
    return logits.withUnsafeElements { scores in
      labels.withUnsafeBufferPointer { labels in
        let total = loss.evaluate(
          scores, classes: logits.shape[1], targets: .labels(labels), divisor: 1, gradient: nil)
        return BatchResult(
          loss: total, correct: scores.countCorrect(.labels(labels), classes: logits.shape[1]),
          count: source.count)
      }
    }
  }
}
