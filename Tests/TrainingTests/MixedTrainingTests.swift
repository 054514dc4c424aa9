// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing
import ThawExecution
import ThawImages
import ThawNetwork
import ThawTensors
import ThawTestSupport
import ThawTraining

private let samples = clouds(30, inputs: 6, classes: 3, seed: 1, spread: 0.3)

/// Computes its features anew: the "photos" are [1, 2, 3], the frozen layers square every number.
private struct Photos: MixingFeatureSource {
  let photoSize = PixelSize(width: 3, height: 2)
  var count: Int { samples.count }
  var stride: Int { 6 }
  func label(_ index: Int) -> Int { samples.label(index) }

  func copyFeatures(
    of indices: ArraySlice<Int>, view: FeatureView, into output: UnsafeMutableBufferPointer<Float>
  ) {
    samples.copyFeatures(of: indices, view: view, into: output)
    for index in 0..<indices.count * stride { output[index] *= output[index] }
  }

  func copyFeatures(
    of indices: ArraySlice<Int>, view: FeatureView, mixing draw: MixingDraw,
    into output: UnsafeMutableBufferPointer<Float>
  ) {
    samples.copyFeatures(of: indices, view: view, into: output)
    draw.mix(output, channels: 1, size: photoSize)
    for index in 0..<indices.count * stride { output[index] *= output[index] }
  }
}

/// Remembers what it was given.
private final class WatchingPlan: DensePlan {
  var given: [[Float]] = []

  override func forward(
    _ input: UnsafeBufferPointer<Float>, step: StepIdentity,
    into output: UnsafeMutableBufferPointer<Float>
  ) throws {
    given.append(Array(input))
    try super.forward(input, step: step, into: output)
  }
}

@Suite struct MixedTrainingTests {
  private func batch(_ range: Range<Int>, step: Int = 7) -> TrainingBatch {
    TrainingBatch(
      samples: Array(0..<30)[range], epoch: 0, identity: StepIdentity(seed: 5, step: step))
  }

  private func gradient(
    _ plan: DensePlan, _ source: any FeatureSource, _ mixing: BatchMixing, microBatch: Int? = nil
  ) -> LocalBatchGradient {
    LocalBatchGradient(
      plan: plan, source: source, loss: SoftmaxCrossEntropy(labelSmoothing: 0.1),
      microBatch: microBatch, mixing: mixing)
  }

  @Test func featuresAndTargetsAreMixedByTheSameDraw() throws {
    let plan = WatchingPlan(inputs: 6, classes: 3, batch: 12)
    let batch = batch(4..<14)
    let result = try gradient(plan, samples, .mixup()).compute(batch)
    let draw = BatchMixing.mixup().draw(
      count: 10, seed: 5, step: 7, size: PixelSize(width: 1, height: 1))
    var expected = Array(samples.features.elements[24..<84])
    for (index, pair) in draw.pairs.enumerated() {
      let (own, other) = (Float(pair.fraction), 1 - Float(pair.fraction))
      for column in 0..<6 {
        let mine = own * samples.features[(4 + index) * 6 + column]
        expected[index * 6 + column] =
          mine + other * samples.features[(4 + pair.partner) * 6 + column]
      }
    }
    expectClose(plan.given[0], expected)
    // At zero weights p = 1/3, and d loss / d bias is the mean of p - t over the samples.
    var shares = [0.0, 0.0, 0.0]
    for (index, pair) in draw.pairs.enumerated() {
      shares[samples.label(4 + index)] += pair.fraction / 10
      shares[samples.label(4 + pair.partner)] += (1 - pair.fraction) / 10
    }
    let bias = try #require(plan.gradient(of: "fc.bias")).elements.map(Double.init)
    expectClose(bias, shares.map { 1 / 3 - (0.9 * $0 + 0.1 / 3) }, absolute: 1e-6)
    #expect(result.count == 10)
    #expect(abs(result.loss.mean - log(3)) < 1e-6)
  }

  @Test func aSourceOfPhotosMixesThemBeforeTheFrozenLayers() throws {
    for mixing in [BatchMixing.mixup(), .cutmix()] {
      let plan = WatchingPlan(inputs: 6, classes: 3, batch: 12)
      let source = Photos()
      #expect(MixingPlace(source) == .photos)
      #expect(MixingPlace(samples) == .features)
      _ = try gradient(plan, source, mixing).compute(batch(0..<12))
      let draw = mixing.draw(count: 12, seed: 5, step: 7, size: source.photoSize)
      var expected = Array(samples.features.elements[..<72])
      expected.withUnsafeMutableBufferPointer {
        draw.mix($0, channels: 1, size: source.photoSize)
      }
      #expect(plan.given[0] == expected.map { $0 * $0 })
    }
  }

  @Test func partsOfABatchAreMixedAmongThemselvesByDrawsOfTheirOwn() throws {
    let plan = WatchingPlan(inputs: 6, classes: 3, batch: 6)
    _ = try gradient(plan, samples, .mixup(), microBatch: 5).compute(batch(0..<10))
    #expect(plan.given.map(\.count) == [30, 30])
    for part in 0..<2 {
      let draw = BatchMixing.mixup().draw(
        count: 5, seed: 5, step: 7, part: part, size: PixelSize(width: 1, height: 1))
      // The draws that runs were begun with: the part in the bits above the step's twenty.
      var stream = RandomStream(seed: 5, purpose: .mixing, sample: 7 | part << 20)
      #expect(draw.pairs.map(\.partner) == stream.permutation(of: 5))
      var expected = Array(samples.features.elements[part * 30..<part * 30 + 30])
      expected.withUnsafeMutableBufferPointer { draw.mix($0, width: 6) }
      #expect(plan.given[part] == expected)
    }
  }

  @Test func cutmixOfAFeatureMapKeepsItsChannelsTogether() throws {
    let size = PixelSize(width: 3, height: 1)
    let map = MapPlan(shape: [8, 2, 1, 3])
    let gradient = gradient(map, samples, .cutmix())
    _ = try gradient.compute(batch(0..<8))
    let draw = BatchMixing.cutmix().draw(count: 8, seed: 5, step: 7, size: size)
    var expected = Array(samples.features.elements[..<48])
    expected.withUnsafeMutableBufferPointer { draw.mix($0, channels: 2, size: size) }
    #expect(map.seen == expected)
  }

  @Test func cutmixOfFeaturesWithoutAnExtentIsAnErrorThatSaysWhatToDo() {
    let error = #expect(throws: TrainingError.self) {
      try Trainer(
        TrainerConfiguration(epochs: 1, mixing: .cutmix()),
        plan: DensePlan(inputs: 6, classes: 3, batch: 12), rates: LearningRates(0.1),
        training: samples)
    }
    #expect(error?.description.contains("Use mixup") == true)
  }

  @Test func mixedTrainingLearnsAndItsAccuracyCountsTheLargerShare() throws {
    let plan = DensePlan(inputs: 6, classes: 3, batch: 16)
    let result = try Trainer(
      TrainerConfiguration(epochs: 20, batchSize: 15, mixing: .mixup()), plan: plan,
      rates: LearningRates(0.1), training: samples, validation: samples
    ).run()
    let last = try #require(result.history.last)
    #expect(try #require(last.validAccuracy) > 0.9)
    #expect(last.trainAccuracy > 0.6)
    // Mixed targets cannot be answered with certainty.
    #expect(last.trainLoss > (try #require(last.validLoss)))
  }

  @Test func everyStepOfAMixedTrainingResumesToTheSameBits() throws {
    let configuration = TrainerConfiguration(
      epochs: 2, batchSize: 4, seed: 3, accumulation: 2, mixing: .mixup())
    func trainer(_ plan: DensePlan) throws -> Trainer {
      try Trainer(
        configuration, plan: plan, rates: LearningRates(0.1), training: samples,
        validation: samples)
    }
    let plan = DensePlan(inputs: 6, classes: 3, batch: 5)
    var states: [TrainerState] = []
    _ = try trainer(plan).run(TrainerHooks(onBatch: { states.append(try $0.exportState()) }))
    for state in states {
      let other = DensePlan(inputs: 6, classes: 3, batch: 5)
      let resumed = try trainer(other)
      let json = try JSONEncoder().encode(state.progress)
      try resumed.importState(
        TrainerState(
          progress: JSONDecoder().decode(TrainerProgress.self, from: json), tensors: state.tensors))
      _ = try resumed.run()
      #expect(other.exportParameters() == plan.exportParameters())
    }
    let unmixed = DensePlan(inputs: 6, classes: 3, batch: 5)
    let progress = try Trainer(
      TrainerConfiguration(epochs: 2, batchSize: 4, seed: 3, accumulation: 2), plan: unmixed,
      rates: LearningRates(0.1), training: samples)
    #expect(throws: TrainingError.incompatibleState("its configuration differs")) {
      try progress.importState(states[0])
    }
  }
}

/// Takes [N, C, H, W] and remembers it; its logits are zero.
private final class MapPlan: DensePlan {
  private let shape: Shape
  private(set) var seen: [Float] = []

  init(shape: Shape) {
    self.shape = shape
    super.init(inputs: shape.count / shape[0], classes: 3, batch: shape[0])
  }

  override var inputShape: Shape { shape }

  override func forward(
    _ input: UnsafeBufferPointer<Float>, step: StepIdentity,
    into output: UnsafeMutableBufferPointer<Float>
  ) throws {
    seen = Array(input)
    try super.forward(input, step: step, into: output)
  }
}
