// SPDX-License-Identifier: Apache-2.0

public import Execution
import Tensors

/// One optimizer step's work.
public struct TrainingBatch: Sendable {
  /// Indices into the training source.
  public let samples: ArraySlice<Int>
  /// Number of the epoch, 0-based.
  public let epoch: Int
  /// Keys the dropout masks.
  public let identity: StepIdentity
}

/// What a batch gave apart from its gradient.
public struct BatchResult: Sendable, Equatable, Codable {
  /// Loss in training (with dropout and batch statistics), before the step.
  public var loss = LossTotal()
  /// Right predictions in training.
  public var correct = 0
  /// Number of samples.
  public var count = 0

  /// Share of right predictions; 0 without samples.
  public var accuracy: Double { count == 0 ? 0 : Double(correct) / Double(count) }

  /// Adds another batch.
  public static func += (total: inout BatchResult, part: BatchResult) {
    total.loss += part.loss
    total.correct += part.correct
    total.count += part.count
  }
}

/// The one call by which a trainer obtains the gradient of a batch. After it the plan's accumulated
/// gradients are those of the *whole* batch, wherever its parts were computed.
public protocol BatchGradient: AnyObject {
  /// Replaces the plan's gradients by those of the mean loss of `batch`.
  func compute(_ batch: TrainingBatch) throws -> BatchResult
}

/// The gradient computed in this process, in equal parts when the batch exceeds the plan's.
public final class LocalBatchGradient: BatchGradient {
  private let plan: any TrainingPlan
  private let source: any FeatureSource
  private let loss: any Loss
  private let classes: Int
  private let capacity: Int
  private let input: AlignedStorage<Float>
  private let logits: AlignedStorage<Float>
  private let slope: AlignedStorage<Float>
  private var labels: AlignedStorage<Int32>

  /// Takes memory for the largest batch of `plan`; traps when the source's samples do not fit it.
  public init(plan: any TrainingPlan, source: any FeatureSource, loss: any Loss) {
    capacity = plan.inputShape[0]
    classes = plan.outputShape.count / plan.outputShape[0]
    precondition(
      plan.inputShape.count == capacity * source.stride,
      "Samples of \(source.stride) elements do not fit the plan's input \(plan.inputShape).")
    self.plan = plan
    self.source = source
    self.loss = loss
    input = AlignedStorage(count: capacity * source.stride)
    logits = AlignedStorage(count: capacity * classes)
    slope = AlignedStorage(count: capacity * classes)
    labels = AlignedStorage(count: capacity + 1)
  }

  /// See ``BatchGradient/compute(_:)``.
  public func compute(_ batch: TrainingBatch) throws -> BatchResult {
    let count = batch.samples.count
    let labels = fillLabels(batch.samples)
    let divisor = loss.weight(of: .labels(labels), classes: classes)
    let parts = (count + capacity - 1) / capacity
    var result = BatchResult()
    plan.clearGradients()
    for part in 0..<parts {
      let range = part * count / parts..<(part + 1) * count / parts
      // Masks of the parts must differ; only the low 24 bits of a step count in a random stream.
      let step = batch.identity.step | part << 20
      result += try computePart(
        batch.samples[
          batch.samples.startIndex + range.lowerBound..<batch.samples.startIndex + range.upperBound],
        labels: UnsafeBufferPointer(rebasing: labels[range]), epoch: batch.epoch,
        identity: StepIdentity(seed: batch.identity.seed, step: step), divisor: divisor)
    }
    return result
  }

  private func computePart(
    _ samples: ArraySlice<Int>, labels: UnsafeBufferPointer<Int32>, epoch: Int,
    identity: StepIdentity, divisor: Double
  ) throws -> BatchResult {
    let features = UnsafeMutableBufferPointer(
      rebasing: input.elements[..<(samples.count * source.stride)])
    let scores = UnsafeMutableBufferPointer(rebasing: logits.elements[..<(samples.count * classes)])
    let gradient = UnsafeMutableBufferPointer(
      rebasing: slope.elements[..<(samples.count * classes)])
    try source.copyFeatures(of: samples, view: .training(epoch: epoch), into: features)
    try plan.forward(UnsafeBufferPointer(features), step: identity, into: scores)
    let total = loss.evaluate(
      UnsafeBufferPointer(scores), classes: classes, targets: .labels(labels), divisor: divisor,
      gradient: gradient)
    // A gradient of NaN would only spread; the trainer stops on the loss.
    if total.sum.isFinite { try plan.backward(UnsafeBufferPointer(gradient)) }
    let correct = UnsafeBufferPointer(scores).countCorrect(labels, classes: classes)
    return BatchResult(loss: total, correct: correct, count: samples.count)
  }

  private func fillLabels(_ samples: ArraySlice<Int>) -> UnsafeBufferPointer<Int32> {
    if labels.elements.count < samples.count { labels = AlignedStorage(count: samples.count) }
    for (position, sample) in samples.enumerated() {
      labels.elements[position] = Int32(source.label(sample))
    }
    return UnsafeBufferPointer(rebasing: labels.elements[..<samples.count])
  }
}

extension UnsafeBufferPointer<Float> {
  /// How many rows have their largest element at the row's label.
  func countCorrect(_ labels: UnsafeBufferPointer<Int32>, classes: Int) -> Int {
    labels.indices.count { sample in
      let row = UnsafeBufferPointer(rebasing: self[sample * classes..<(sample + 1) * classes])
      return row.indexOfMaximum == Int(labels[sample])
    }
  }
}
