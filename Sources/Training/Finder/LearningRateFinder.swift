// SPDX-License-Identifier: Apache-2.0

package import ThawExecution

/// Tries ever higher learning rates for a few steps each and records the loss.
///
/// Trains the plan for a while and puts it back: weights and statistics are restored to the same bits
/// when the search ends, is cancelled or throws. The optimizer is the search's own and random numbers
/// are functions of seed and step, so nothing else is touched. (Accumulated gradients are cleared, as
/// by any step.) On cached features a search takes seconds.
///
/// - Source: Smith 2017, arXiv:1506.01186; fastai v2 `LRFinder`.
package struct LearningRateFinder: Sendable {
  /// The rates to try.
  package let sweep: LearningRateSweep
  /// The update; its learning rate is the search's.
  package let optimizer: OptimizerConfiguration

  /// A finder; traps on numbers with a ``LearningRateSweep/problem``.
  package init(
    _ sweep: LearningRateSweep = LearningRateSweep(),
    optimizer: OptimizerConfiguration = OptimizerConfiguration()
  ) {
    let problem = sweep.problem ?? optimizer.problem
    precondition(problem == nil, problem ?? "")
    self.sweep = sweep
    self.optimizer = optimizer
  }

  /// Searches on the training samples; an epoch that ends is followed by the next.
  ///
  /// - Parameters:
  ///   - ratios: only the ratios between the layer groups' rates count: the highest group runs
  ///     through the sweep and the others keep their distance. One rate for all by default.
  ///   - isCancelled: asked before each step; true ends the search there.
  ///   - onStep: told the number of steps made.
  /// - Returns: the curve until the search ended; divergence is a result, not an error.
  /// - Throws: ``TrainingError/noSamples(split:)``, errors of the plan and the source.
  package func search(
    _ plan: any TrainingPlan, on source: any FeatureSource,
    ratios: LearningRates = LearningRates(1), loss: any Loss = SoftmaxCrossEntropy(),
    isCancelled: () -> Bool = { false }, onStep: (Int) -> Void = { _ in }
  ) throws -> LearningRateSearch {
    guard source.count > 0 else { throw TrainingError.noSamples(split: "train") }
    let highest = ratios.rates.max() ?? 0
    precondition(highest > 0, "A search needs a layer group with a rate above 0.")
    var curve = Curve(sweep)
    defer { plan.clearGradients() }
    return try plan.withParametersRestored {
      let gradient = LocalBatchGradient(plan: plan, source: source, loss: loss)
      let optimizer = Optimizer(optimizer)
      let shares = plan.trainable.map { ratios.rate(of: $0.path) / highest }
      let order = BatchOrder(count: source.count, batchSize: sweep.batchSize, seed: sweep.seed)
      for step in 0..<sweep.iterations {
        if isCancelled() { return curve.end(.cancelled) }
        let result = try gradient.compute(batch(step, in: order))
        guard result.loss.sum.isFinite, OverflowProbe.gradientsAreFinite(plan) else {
          return curve.end(.nonFinite)
        }
        let rate = sweep.rate(step)
        guard curve.add(result.loss.mean, at: rate) else { return curve.end(.diverged) }
        optimizer.update(plan, rates: shares.map { $0 * rate })
        onStep(step + 1)
      }
      return curve.end(.finished)
    }
  }

  private func batch(_ step: Int, in order: BatchOrder) -> TrainingBatch {
    let epoch = step / order.batches.count
    let range = order.batches[step % order.batches.count]
    return TrainingBatch(
      samples: order.indices(epoch: epoch)[range], epoch: epoch,
      identity: StepIdentity(seed: sweep.seed, step: step))
  }
}

/// What a search has seen so far.
private struct Curve {
  private let sweep: LearningRateSweep
  private var rates: [Double] = []
  private var losses: [Double] = []
  private var smoothed: [Double] = []
  private var average: SmoothedLoss
  private var lowest = Double.infinity

  init(_ sweep: LearningRateSweep) {
    self.sweep = sweep
    average = SmoothedLoss(beta: sweep.smoothing)
  }

  /// Records a loss; false when the search should end.
  mutating func add(_ loss: Double, at rate: Double) -> Bool {
    let value = average.add(loss)
    rates.append(rate)
    losses.append(loss)
    smoothed.append(value)
    lowest = min(lowest, value)
    return sweep.divergenceFactor.map { value <= $0 * lowest } ?? true
  }

  func end(_ reason: LearningRateSearch.StopReason) -> LearningRateSearch {
    LearningRateSearch(
      rates: rates, losses: losses, smoothed: smoothed, iterations: sweep.iterations,
      stopReason: reason)
  }
}
