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

  /// One step's samples.
  public init(samples: ArraySlice<Int>, epoch: Int, identity: StepIdentity) {
    self.samples = samples
    self.epoch = epoch
    self.identity = identity
  }
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
  /// Looks for the reason when the loss or the gradient of `batch` was not finite; the plan is still
  /// as ``compute(_:)`` left it. Nil when it cannot tell.
  func findOverflow(in batch: TrainingBatch) throws -> Overflow?
}

extension BatchGradient {
  /// Cannot tell.
  public func findOverflow(in batch: TrainingBatch) throws -> Overflow? { nil }
}

/// The gradient computed in this process; in nearly equal parts when the batch exceeds the plan's or
/// gradients are accumulated. Each part is divided by the weight of the *whole* batch, so the sum is
/// the gradient of the mean, whatever the sizes of the parts (batch statistics are each part's own).
public final class LocalBatchGradient: BatchGradient {
  private let plan: any TrainingPlan
  private let source: any FeatureSource
  private let loss: any Loss
  private let classes: Int
  private let capacity: Int
  private let microBatch: Int
  private let input: AlignedStorage<Float>
  private let logits: AlignedStorage<Float>
  private let slope: AlignedStorage<Float>
  private var labels: AlignedStorage<Int32>

  /// Takes memory for the largest batch of `plan`; traps when the source's samples do not fit it.
  ///
  /// - Parameter microBatch: samples of a part; a lone sample left over joins another part where the
  ///   plan has room. Nil for as many as the plan takes.
  public init(
    plan: any TrainingPlan, source: any FeatureSource, loss: any Loss, microBatch: Int? = nil
  ) {
    precondition(microBatch ?? 1 > 0, "A micro-batch has at least one sample.")
    capacity = plan.inputShape[0]
    self.microBatch = microBatch ?? capacity
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
    var result = BatchResult()
    plan.clearGradients()
    for (part, range) in ranges(of: count).enumerated() {
      result += try computePart(
        samples(range, of: batch), labels: UnsafeBufferPointer(rebasing: labels[range]),
        epoch: batch.epoch, identity: identity(ofPart: part, of: batch), divisor: divisor)
    }
    return result
  }

  /// See ``BatchGradient/findOverflow(in:)``. Looks at inputs, then layers, then parameters.
  public func findOverflow(in batch: TrainingBatch) throws -> Overflow? {
    for (part, range) in ranges(of: batch.samples.count).enumerated() {
      let samples = samples(range, of: batch)
      let features = try copyFeatures(of: samples, epoch: batch.epoch)
      if let bad = OverflowProbe.firstSample(samples, features: features) { return bad }
      if let layer = try (plan as? any LayerInspectable)?.firstNonFiniteLayer(
        UnsafeBufferPointer(features), step: identity(ofPart: part, of: batch))
      {
        return .activation(layer)
      }
    }
    return OverflowProbe.firstParameter(of: plan)
  }

  /// Positions of the parts of a batch of `count`.
  private func ranges(of count: Int) -> [Range<Int>] {
    let whole = count / microBatch
    let wanted = count % microBatch <= 1 ? max(whole, 1) : whole + 1
    let parts = max(wanted, (count + capacity - 1) / capacity)
    return (0..<parts).map { $0 * count / parts..<($0 + 1) * count / parts }
  }

  private func samples(_ range: Range<Int>, of batch: TrainingBatch) -> ArraySlice<Int> {
    let start = batch.samples.startIndex
    return batch.samples[start + range.lowerBound..<start + range.upperBound]
  }

  /// Masks of the parts must differ; only the low 24 bits of a step count in a random stream.
  private func identity(ofPart part: Int, of batch: TrainingBatch) -> StepIdentity {
    StepIdentity(seed: batch.identity.seed, step: batch.identity.step | part << 20)
  }

  private func copyFeatures(
    of samples: ArraySlice<Int>, epoch: Int
  ) throws -> UnsafeMutableBufferPointer<Float> {
    let features = UnsafeMutableBufferPointer(
      rebasing: input.elements[..<(samples.count * source.stride)])
    try source.copyFeatures(of: samples, view: .training(epoch: epoch), into: features)
    return features
  }

  private func computePart(
    _ samples: ArraySlice<Int>, labels: UnsafeBufferPointer<Int32>, epoch: Int,
    identity: StepIdentity, divisor: Double
  ) throws -> BatchResult {
    let features = try copyFeatures(of: samples, epoch: epoch)
    let scores = UnsafeMutableBufferPointer(rebasing: logits.elements[..<(samples.count * classes)])
    let gradient = UnsafeMutableBufferPointer(
      rebasing: slope.elements[..<(samples.count * classes)])
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
