// SPDX-License-Identifier: Apache-2.0

import Glibc
import Testing
import ThawExecution
import ThawNetwork
import ThawOneDNN
import ThawReference
import ThawTensors
import ThawTestSupport

/// What a training plan promises beyond single gradients.
@Suite(.serialized) struct OneDNNTrainingPlanTests {
  private let size = Extent2D(22)

  /// Ten steps of SGD with momentum; the losses of the engine and of the reference.
  private func losses(_ pair: TrainingPair, steps: Int = 10) throws -> [(Double, Double)] {
    var velocities: [[Float]] = pair.plan.trainable.map {
      .init(repeating: 0, count: $0.shape.count)
    }
    var references = velocities.map { $0.map(Double.init) }
    return try (0..<steps).map { step in
      // The last batch of each three is a smaller one.
      let labels = (0..<(step % 3 == 2 ? 3 : 5)).map { $0 % 7 }
      let input = pair.images(labels.count, "batch.\(step % 3)")
      let identity = StepIdentity(seed: 9, step: step)
      pair.plan.clearGradients()
      pair.reference.clearGradients()
      let own = crossEntropy(
        try pair.plan.forward(input, step: identity).map(Double.init), labels: labels)
      let expected = crossEntropy(
        try pair.reference.forward(scalars: input.elements.map(Double.init), step: identity),
        labels: labels)
      try own.gradient.map(Float.init).withUnsafeBufferPointer { try pair.plan.backward($0) }
      pair.reference.backward(scalars: expected.gradient)
      var index = 0
      pair.plan.withTrainable { _, values, gradient in
        for element in values.indices {
          velocities[index][element] = 0.9 * velocities[index][element] + gradient[element]
          values[element] -= 0.01 * velocities[index][element]
        }
        index += 1
      }
      index = 0
      pair.reference.withTrainableScalars { _, values, gradient in
        for element in values.indices {
          references[index][element] = 0.9 * references[index][element] + gradient[element]
          values[element] -= 0.01 * references[index][element]
        }
        index += 1
      }
      return (own.value, expected.value)
    }
  }

  @Test(arguments: BatchNormMode.allCases)
  func tenStepsLoseWhatTheReferenceLoses(_ mode: BatchNormMode) throws {
    let graph = TrainingNetworks.mobile
    let pair = try TrainingPair(graph, freezing: everything(in: graph, mode), batch: 5, size: size)
    let losses = try losses(pair)
    for (step, loss) in losses.enumerated() {
      #expect(abs(loss.0 - loss.1) < 1e-4 * max(1, loss.1), "step \(step): \(loss)")
    }
    #expect(losses[9].1 != losses[0].1)
  }

  /// All bits that ten steps leave behind.
  private func bits(threads: Int) throws -> [UInt32] {
    let graph = TrainingNetworks.mobile
    let plan = try OneDNNTrainingPlan.compile(
      graph, freezing: everything(in: graph, .training), batch: 5, size: size, threads: threads)
    var bits: [UInt32] = []
    for step in 0..<4 {
      let input = Tensor<Float>.procedural(ParameterPath("batch.\(step)"), shape: [5, 3, 22, 22])
      let logits = try plan.forward(input, step: StepIdentity(seed: 1, step: step))
      try logits.withUnsafeBufferPointer { try plan.backward($0) }
      plan.withTrainable { _, values, gradient in
        for element in values.indices { values[element] -= 1e-3 * gradient[element] }
        bits += gradient.map(\.bitPattern)
      }
      plan.clearGradients()
      bits += logits.map(\.bitPattern)
    }
    return bits
  }

  @Test(arguments: [1, 2, 3])
  func equalRunsGiveEqualBits(_ threads: Int) throws {
    let first = try bits(threads: threads)
    #expect(first.count > 1000)
    for _ in 0..<3 { #expect(try bits(threads: threads) == first) }
  }

  /// Fresh memory shows as page faults; the test has a process of its own so that it sees only its
  /// own. The smallest activation of a batch here is 32 pages, all of them 2000.
  @Test func aWarmStepTakesNoMemory() async throws {
    await #expect(processExitsWith: .success) {
      let graph = TrainingNetworks.mobile
      let plan = try OneDNNTrainingPlan.compile(
        graph, freezing: everything(in: graph, .training), batch: 8, size: Extent2D(64))
      let input = Tensor<Float>.procedural("image", shape: [8, 3, 64, 64])
      let gradient = [Float](repeating: 0.1, count: 56)
      var logits = gradient
      func step(_ number: Int) throws {
        plan.clearGradients()
        try logits.withUnsafeMutableBufferPointer { logits in
          try input.withUnsafeElements {
            try plan.forward($0, step: StepIdentity(seed: 1, step: number), into: logits)
          }
        }
        try gradient.withUnsafeBufferPointer { try plan.backward($0) }
        plan.withTrainable { _, values, gradient in values[0] -= 1e-3 * gradient[0] }
      }
      func faults() -> Int {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        return usage.ru_minflt
      }
      for number in 0..<5 { try step(number) }
      let before = faults()
      for number in 5..<15 { try step(number) }
      let taken = faults() - before
      #expect(taken < 32, "ten steps took \(taken) pages")
    }
  }

  @Test func evaluationIsInferenceAndMovesNothing() throws {
    let graph = ParityNetworks.residual
    let size = Extent2D(height: 15, width: 17)
    let plan = try OneDNNTrainingPlan.compile(
      graph, freezing: everything(in: graph, .training), batch: 2, size: size)
    let images = Tensor<Float>.procedural("images", shape: [5, 3, 15, 17])
    let before = plan.exportParameters()
    let expected: [Double] = try infer(graph, images)
    expectClose(
      try plan.evaluate(images).map(Double.init), expected, relative: 1e-5, absolute: 1e-5)
    #expect(plan.exportParameters() == before)
  }

  @Test func parametersGoInAndOut() throws {
    let graph = TrainingNetworks.mobile
    let plan = try OneDNNTrainingPlan.compile(
      graph, freezing: everything(in: graph), batch: 2, size: size)
    let original = Parameters.procedural(for: graph)
    #expect(plan.exportParameters() == original)
    // Every parameter changes, the frozen statistics and scales too.
    var other = Parameters()
    for path in original.paths {
      guard let tensor = original[path] else { continue }
      other[path] = Tensor(tensor.elements.map { $0 * 0.9 + 0.05 }, shape: tensor.shape)
    }
    try plan.importParameters(other)
    #expect(plan.exportParameters() == other)
    let pair = try TrainingPair(
      graph, freezing: everything(in: graph), batch: 2, size: size, parameters: other)
    let images = pair.images(2)
    let step = StepIdentity(seed: 5, step: 3)
    #expect(try plan.forward(images, step: step) == pair.plan.forward(images, step: step))
    var broken = other
    broken["fc.weight"] = Tensor(zeros: [40, 7])
    #expect(throws: NetworkError.parameterShape("fc.weight", expected: [7, 40], found: [40, 7])) {
      try plan.importParameters(broken)
    }
    #expect(plan.exportParameters() == other, "a refused import must change nothing")
  }

  @Test func gradientsAccumulateUntilTheyAreCleared() throws {
    let graph = TrainingNetworks.bottlenecks
    let plan = try OneDNNTrainingPlan.compile(
      graph, freezing: everything(in: graph), batch: 5, size: Extent2D(18))
    let images = Tensor<Float>.procedural("image", shape: [5, 3, 18, 18])
    func pass(_ range: Range<Int>) throws {
      let stride = images.count / 5
      let part = Tensor(
        images.elements[range.lowerBound * stride..<range.upperBound * stride],
        shape: [range.count, 3, 18, 18])
      _ = try plan.forward(part, step: StepIdentity(seed: 1, step: 1))
      try [Float](repeating: 0.5, count: range.count * 5).withUnsafeBufferPointer {
        try plan.backward($0)
      }
    }
    func gradients() -> [[Float]] {
      plan.trainable.compactMap { plan.gradient(of: $0.path)?.elements }
    }
    try pass(0..<5)
    let whole = gradients()
    plan.clearGradients()
    #expect(gradients().allSatisfy { $0.allSatisfy { $0 == 0 } })
    for part in [0..<1, 1..<3, 3..<5] { try pass(part) }
    for (part, all) in zip(gradients(), whole) {
      expectClose(part, all, relative: 1e-4, absolute: 1e-4)
    }
  }

  @Test func oneValuePerChannelIsRefusedBeforeAnythingMoves() throws {
    let graph = ParityNetworks.residual
    let plan = try OneDNNTrainingPlan.compile(
      graph, freezing: everything(in: graph, .training), batch: 2,
      size: Extent2D(height: 15, width: 17))
    let before = plan.exportParameters()
    #expect(throws: NetworkError.degenerateBatch(layer: "bn")) {
      try plan.forward(
        Tensor<Float>.procedural("image", shape: [1, 3, 15, 17]),
        step: StepIdentity(seed: 1, step: 0))
    }
    #expect(plan.exportParameters() == before)
  }

  @Test func dropoutMasksAreThoseOfTheReference() throws {
    var builder = GraphBuilder(name: "dropout", inputChannels: 5)
    builder.add("drop", .dropout(probability: 0.3))
    builder.add("flatten", .flatten)
    let graph = builder.build()
    let size = Extent2D(height: 7, width: 9)
    let ones = Tensor<Float>([Float](repeating: 1, count: 4 * 315), shape: [4, 5, 7, 9])
    let plan = try OneDNNTrainingPlan.compile(graph, freezing: .inference, batch: 4, size: size)
    let reference: ReferenceTrainingPlan<Float> = try trainingPlan(
      graph, freezing: .inference, batch: 4, size: size)
    let step = StepIdentity(seed: 77, step: 12)
    let factors = try plan.forward(ones, step: step)
    #expect(try factors == reference.forward(scalars: ones.elements, step: step))
    // Element i is dropped when the i-th 16 bits of the layer's stream are below 0.3 * 2^16.
    let key = "drop".utf8.reduce(0x811C_9DC5 as UInt32) { ($0 ^ UInt32($1)) &* 0x0100_0193 }
    var stream = RandomStream(seed: 77, purpose: .dropout, epoch: 12, sample: Int(key))
    let words = (0..<315).map { _ in stream.next() }
    for index in factors.indices {
      let bits = words[index / 4] >> (16 * UInt64(index % 4)) & 0xFFFF
      #expect((factors[index] == 0) == (bits < 19661))
    }
  }
}
