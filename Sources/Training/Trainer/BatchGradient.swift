// SPDX-License-Identifier: Apache-2.0

package import ThawExecution
package import ThawImages
import ThawTensors

/// One optimizer step's work.
package struct TrainingBatch: Sendable {
  /// Indices into the training source.
  package let samples: ArraySlice<Int>
  /// Number of the epoch, 0-based.
  package let epoch: Int
  /// Keys the dropout masks and the mixing.
  package let identity: StepIdentity

  /// One step's samples.
  package init(samples: ArraySlice<Int>, epoch: Int, identity: StepIdentity) {
    self.samples = samples
    self.epoch = epoch
    self.identity = identity
  }
}

/// What a batch gave apart from its gradient.
package struct BatchResult: Sendable, Equatable, Codable {
  /// Loss in training (with dropout and batch statistics), before the step.
  package var loss = LossTotal()
  /// Right predictions in training; of mixed samples, those of the class with the largest share. Where
  /// samples may have several labels, those of which every known label is right.
  package var correct = 0
  /// Number of samples.
  package var count = 0

  /// Share of right predictions; 0 without samples.
  package var accuracy: Double { count == 0 ? 0 : Double(correct) / Double(count) }

  /// Adds another batch.
  package static func += (total: inout BatchResult, part: BatchResult) {
    total.loss += part.loss
    total.correct += part.correct
    total.count += part.count
  }
}

/// The one call by which a trainer obtains the gradient of a batch. After it the plan's accumulated
/// gradients are those of the *whole* batch, wherever its parts were computed.
package protocol BatchGradient: AnyObject {
  /// Replaces the plan's gradients by those of the mean loss of `batch`.
  func compute(_ batch: TrainingBatch) throws -> BatchResult
  /// Looks for the reason when the loss or the gradient of `batch` was not finite; the plan is still
  /// as ``compute(_:)`` left it. Nil when it cannot tell.
  func findOverflow(in batch: TrainingBatch) throws -> Overflow?
}

extension BatchGradient {
  /// Cannot tell.
  package func findOverflow(in batch: TrainingBatch) throws -> Overflow? { nil }
}

/// The gradient computed in this process; in nearly equal parts when the batch exceeds the plan's or
/// gradients are accumulated. Each part is divided by the weight of the *whole* batch, so the sum is
/// the gradient of the mean, whatever the sizes of the parts (batch statistics are each part's own, but see
/// ``computeTogether(_:own:by:share:onResults:telling:)``). Samples are mixed with others of the same part.
package final class LocalBatchGradient: BatchGradient {
  private let plan: any TrainingPlan
  let source: any FeatureSource
  private let loss: any Loss
  private let mixer: BatchMixer?
  let classes: Int
  private let capacity: Int
  private let microBatch: Int?
  /// In how many nearly equal ranges a batch is cut before anything else.
  let shards: Int
  /// Whether the shards of a micro-batch go through the plan together: then it is micro-batches that are cut.
  private let isTogether: Bool
  let input: AlignedStorage<Float>
  let logits: AlignedStorage<Float>
  let slope: AlignedStorage<Float>
  private var targets: TargetStorage

  /// What one pass through the plan takes.
  struct Part {
    /// Number of the micro-batch whose shards go through the plan together.
    var group = 0
    let shard: Int
    /// Positions in the batch.
    let range: Range<Int>
    let samples: ArraySlice<Int>
    let identity: StepIdentity
    let draw: MixingDraw?
  }

  /// Takes memory for the largest batch of `plan`; traps when the source's samples do not fit it, or
  /// cannot be mixed as wanted (``MixingPlace``).
  ///
  /// - Parameters:
  ///   - microBatch: samples of a part; a lone sample left over joins another part where the plan has
  ///     room. Nil for as many as the plan takes.
  ///   - mixing: how samples are mixed; nil for not at all.
  ///   - shards: in how many ranges a batch is cut whose gradients can be asked for apart.
  ///   - together: how many of them go through the plan side by side; nil for one after the other.
  package init(
    plan: any TrainingPlan, source: any FeatureSource, loss: any Loss, microBatch: Int? = nil,
    mixing: BatchMixing? = nil, shards: Int = 1, together: Int? = nil
  ) {
    precondition(microBatch ?? 1 > 0, "A micro-batch has at least one sample.")
    precondition(shards > 0, "A batch has at least one shard.")
    self.shards = shards
    capacity = plan.inputShape[0]
    self.microBatch = microBatch
    isTogether = together != nil
    let room = capacity * max(together ?? 1, 1)
    classes = plan.outputShape.count / plan.outputShape[0]
    precondition(
      plan.inputShape.count == capacity * source.stride,
      "Samples of \(source.stride) elements do not fit the plan's input \(plan.inputShape).")
    self.plan = plan
    self.source = source
    self.loss = loss
    mixer = mixing.map { BatchMixer($0, source: source, input: plan.inputShape) }
    input = AlignedStorage(count: room * source.stride)
    logits = AlignedStorage(count: room * classes)
    slope = AlignedStorage(count: room * classes)
    targets = TargetStorage(
      samples: capacity + 1, classes: classes,
      isMixed: mixing != nil || source.targetRows != nil)
  }

  /// See ``BatchGradient/compute(_:)``.
  package func compute(_ batch: TrainingBatch) throws -> BatchResult {
    var result = BatchResult()
    try compute(batch, shards: 0..<shards, clearing: false) { _, part in result += part }
    return result
  }

  /// Computes some of the batch's shards, one after the other, and hands over what each gave.
  ///
  /// - Parameter clearing: whether the plan's gradients are those of one shard when `body` is called,
  ///   or the sum of those so far.
  /// - Parameter telling: how a shard's gradients are told as they come; nil for not.
  package func compute(
    _ batch: TrainingBatch, shards wanted: Range<Int>, clearing: Bool = true,
    telling: (Int) -> BackwardProgress? = { _ in nil }, _ body: (Int, BatchResult) throws -> Void
  ) throws {
    let parts = parts(of: batch)
    let divisor = fillTargets(of: batch, parts)
    plan.clearGradients()
    for shard in wanted {
      if clearing { plan.clearGradients() }
      var result = BatchResult()
      let own = parts.filter { $0.shard == shard }
      for (number, part) in own.enumerated() {
        let progress = number == own.count - 1 ? telling(shard) : nil
        result += try compute(part, epoch: batch.epoch, divisor: divisor, telling: progress)
      }
      try body(shard, result)
    }
  }

  /// Writes the targets of all parts; the weight of the batch.
  func fillTargets(of batch: TrainingBatch, _ parts: [Part]) -> Double {
    targets.fill(batch.samples, of: source)
    for part in parts { part.draw.map { targets.mix(part.range, by: $0) } }
    return loss.weight(of: targets[0..<batch.samples.count], classes: classes)
  }

  /// See ``BatchGradient/findOverflow(in:)``. Looks at inputs, weights, layers, statistics and
  /// gradients, in this order: what comes first makes those behind it overflow too.
  package func findOverflow(in batch: TrainingBatch) throws -> Overflow? {
    let weight = OverflowProbe.firstWeight(of: plan)
    for part in parts(of: batch) {
      let features = try copyFeatures(of: part, epoch: batch.epoch)
      if let bad = OverflowProbe.firstSample(part.samples, features: features) { return bad }
      if let weight { return weight }
      if let layer = try (plan as? any LayerInspectable)?.firstNonFiniteLayer(
        UnsafeBufferPointer(features), step: part.identity)
      {
        return .activation(layer)
      }
    }
    return OverflowProbe.firstParameter(of: plan)
  }

  /// The parts of a batch in the order of their numbers.
  func parts(of batch: TrainingBatch) -> [Part] {
    let start = batch.samples.startIndex
    return places(of: batch.samples.count).enumerated().map { number, part in
      // Masks of the parts must differ.
      var identity = batch.identity
      identity.part = number
      let (group, shard, range) = part
      return Part(
        group: group, shard: shard, range: range,
        samples: batch.samples[start + range.lowerBound..<start + range.upperBound],
        identity: identity, draw: range.isEmpty ? nil : mixer?.draw(range.count, identity))
    }
  }

  /// Micro-batch, shard and positions of the parts of a batch of `count`.
  private func places(of count: Int) -> [(group: Int, shard: Int, range: Range<Int>)] {
    func pieces(_ range: Range<Int>) -> [Range<Int>] {
      (0..<shards).map { shard in
        range.lowerBound + shard * range.count / shards..<range.lowerBound
          + (shard + 1) * range.count / shards
      }
    }
    if isTogether {
      return ranges(of: count, capacity: .max).enumerated().flatMap { group, range in
        pieces(range).enumerated().map { (group, $0.offset, $0.element) }
      }
    }
    return pieces(0..<count).enumerated().flatMap { shard, piece in
      ranges(of: piece.count, capacity: capacity).map {
        (0, shard, piece.lowerBound + $0.lowerBound..<piece.lowerBound + $0.upperBound)
      }
    }
  }

  /// Positions of the micro-batches of `count` samples.
  private func ranges(of count: Int, capacity: Int) -> [Range<Int>] {
    // A batch of fewer samples than shards.
    if count == 0 { return [] }
    let size = microBatch ?? capacity
    let whole = count / size
    let wanted = count % size <= 1 ? max(whole, 1) : whole + 1
    let parts = max(wanted, (count - 1) / capacity + 1)
    return (0..<parts).map { $0 * count / parts..<($0 + 1) * count / parts }
  }

  /// Writes the samples of a part, from sample `first` of the input on.
  func copyFeatures(
    of part: Part, epoch: Int, at first: Int = 0
  ) throws -> UnsafeMutableBufferPointer<Float> {
    let (start, end) = (first * source.stride, (first + part.samples.count) * source.stride)
    let features = UnsafeMutableBufferPointer(rebasing: input.elements[start..<end])
    let view = FeatureView.training(epoch: epoch)
    if let mixer, let draw = part.draw {
      try mixer.copyFeatures(of: part.samples, view: view, mixing: draw, into: features)
    } else {
      try source.copyFeatures(of: part.samples, view: view, into: features)
    }
    return features
  }

  private func compute(
    _ part: Part, epoch: Int, divisor: Double, telling progress: BackwardProgress?
  ) throws -> BatchResult {
    let features = try copyFeatures(of: part, epoch: epoch)
    let count = part.samples.count * classes
    try plan.forward(
      UnsafeBufferPointer(features), step: part.identity,
      into: UnsafeMutableBufferPointer(rebasing: logits.elements[..<count]))
    let result = judge(part, divisor: divisor)
    // A gradient of NaN would only spread; the trainer stops on the loss.
    guard result.loss.sum.isFinite else { return result }
    let gradient = UnsafeBufferPointer(rebasing: slope.elements[..<count])
    if let progress, let plan = plan as? any ShardedTrainingPlan {
      try plan.backward(gradient, shard: part.shard, telling: progress)
    } else {
      try plan.backward(gradient)
    }
    return result
  }

  /// Loss and gradient of the logits of a part, from row `first` on.
  func judge(_ part: Part, divisor: Double, at first: Int = 0) -> BatchResult {
    let rows = first * classes..<(first + part.samples.count) * classes
    let scores = UnsafeMutableBufferPointer(rebasing: logits.elements[rows])
    let targets = targets[part.range]
    let total = loss.evaluate(
      UnsafeBufferPointer(scores), classes: classes, targets: targets, divisor: divisor,
      gradient: UnsafeMutableBufferPointer(rebasing: slope.elements[rows]))
    let correct =
      if source.targetRows != nil, case .probabilities(let rows) = targets {
        UnsafeBufferPointer(scores).countExact(rows, classes: classes)
      } else {
        UnsafeBufferPointer(scores).countCorrect(targets, classes: classes)
      }
    return BatchResult(loss: total, correct: correct, count: part.samples.count)
  }
}

extension UnsafeBufferPointer<Float> {
  /// How many rows of logits say of every class what the row of targets says, a half or more being yes.
  /// What is unknown is not looked at.
  func countExact(_ targets: UnsafeBufferPointer<Float>, classes: Int) -> Int {
    (0..<count / classes).count { sample in
      (sample * classes..<(sample + 1) * classes).allSatisfy { index in
        targets[index].isNaN || (self[index] >= 0) == (targets[index] >= 0.5)
      }
    }
  }

  /// How many rows have their largest element where the row's target has.
  func countCorrect(_ targets: BatchTargets, classes: Int) -> Int {
    (0..<count / classes).count { sample in
      let span = sample * classes..<(sample + 1) * classes
      let row = UnsafeBufferPointer(rebasing: self[span])
      return switch targets {
      case .labels(let labels): row.indexOfMaximum == Int(labels[sample])
      case .probabilities(let rows):
        row.indexOfMaximum == UnsafeBufferPointer(rebasing: rows[span]).indexOfMaximum
      }
    }
  }
}
