// SPDX-License-Identifier: Apache-2.0

import ThawExecution
import ThawTensors

/// A moving average of a plan's trainable numbers over the steps of training.
///
/// After step t (0-based) it is d * average + (1 - d) * weights with d the smaller of the decay and
/// (1 + t) / (10 + t), so that the start is forgotten quickly in a short run. Statistics are not
/// averaged: they move slowly by themselves.
///
/// - Source: Polyak and Juditsky 1992; TensorFlow `ExponentialMovingAverage` (`num_updates`).
final class WeightAverage {
  private let decay: Double
  /// In the plan's order and layout.
  private let values: [AlignedStorage<Float>]

  /// Begins with the plan's present weights.
  init(of plan: any TrainingPlan, decay: Double) {
    var values: [AlignedStorage<Float>] = []
    plan.withTrainable { _, weights, _ in
      let copy = AlignedStorage<Float>(count: weights.count)
      _ = copy.elements.update(fromContentsOf: weights)
      values.append(copy)
    }
    self.decay = decay
    self.values = values
  }

  /// Begins anew with the plan's present weights.
  func restart(from plan: any TrainingPlan) {
    each(of: plan) { average, weights in _ = average.update(fromContentsOf: weights) }
  }

  /// Takes in the weights after step `step` since the average began, 0-based.
  func update(from plan: any TrainingPlan, step: Int) {
    let kept = Float(min(decay, Double(1 + step) / Double(10 + step)))
    each(of: plan) { average, weights in
      for start in stride(from: 0, to: average.count, by: ElementChunk.width) {
        let chunk = ElementChunk(
          start: start, count: min(ElementChunk.width, average.count - start))
        let mean = average.load(chunk)
        average.store(mean + (1 - kept) * (weights.load(chunk) - mean), chunk)
      }
    }
  }

  /// Exchanges the average and the plan's weights; a second call puts both back, to the bit.
  func exchange(with plan: any TrainingPlan) {
    each(of: plan) { average, weights in
      for index in average.indices { swap(&average[index], &weights[index]) }
    }
  }

  private func each(
    of plan: any TrainingPlan,
    _ body: (UnsafeMutableBufferPointer<Float>, UnsafeMutableBufferPointer<Float>) -> Void
  ) {
    var index = 0
    plan.withTrainable { _, weights, _ in
      body(values[index].elements, weights)
      index += 1
    }
  }
}
