// SPDX-License-Identifier: Apache-2.0

package import ThawExecution
package import ThawRanks
package import ThawTensors

/// Runs a plan as in inference over all samples of a source.
package enum PlanEvaluator {
  /// The logits of every sample, [count, classes], in the source's order and clean view.
  ///
  /// - Parameters:
  ///   - chunk: samples per call; changes memory, never results.
  ///   - ranks: each computes its part, and all get all.
  package static func logits(
    of source: any FeatureSource, by plan: any TrainingPlan, chunk: Int = 256,
    ranks: RankGroup = .alone
  ) throws -> Tensor<Float> {
    let passes = passes(source.count, chunk: chunk, capacity: plan.inputShape[0])
    let parts = (0..<ranks.count).map { rank in
      func start(_ rank: Int) -> Int {
        let first = rank * passes.count / ranks.count
        return passes.indices.contains(first) ? passes[first].lowerBound : source.count
      }
      return start(rank)..<start(rank + 1)
    }
    let own = parts[ranks.rank]
    let classes = plan.outputShape.count / plan.outputShape[0]
    let input = AlignedStorage<Float>(count: min(chunk, source.count) * source.stride)
    return try Tensor(shape: [source.count, classes]) { output in
      var next = own.lowerBound
      while next < own.upperBound {
        let start = next
        next = min((start / chunk + 1) * chunk, own.upperBound)
        let samples = Array(start..<next)
        let features = UnsafeMutableBufferPointer(
          rebasing: input.elements[..<(samples.count * source.stride)])
        try source.copyFeatures(of: samples[...], view: .clean, into: features)
        try plan.evaluate(
          UnsafeBufferPointer(features),
          into: UnsafeMutableBufferPointer(
            rebasing: output[start * classes..<(start + samples.count) * classes]))
      }
      try ranks.share(
        output, ranges: parts.map { $0.lowerBound * classes..<$0.upperBound * classes })
    }
  }

  /// The samples that a plan takes at once, pass by pass. Ranks share whole passes: the last bits of a
  /// sample's logits may depend on how many are computed with it.
  private static func passes(_ count: Int, chunk: Int, capacity: Int) -> [Range<Int>] {
    stride(from: 0, to: count, by: chunk).flatMap { start in
      let end = min(start + chunk, count)
      return stride(from: start, to: end, by: capacity).map { $0..<min($0 + capacity, end) }
    }
  }

  /// Loss and right predictions over all samples.
  package static func score(
    _ source: any FeatureSource, by plan: any TrainingPlan, loss: any Loss,
    ranks: RankGroup = .alone
  ) throws -> BatchResult {
    let logits = try logits(of: source, by: plan, ranks: ranks)
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
