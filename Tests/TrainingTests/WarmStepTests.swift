// SPDX-License-Identifier: Apache-2.0

import Glibc
import Testing
import ThawExecution
import ThawNetwork
import ThawOneDNN
import ThawReference
import ThawTensors
import ThawTraining

/// A warmed-up step of a whole trainer takes no tensor memory: source, plan, loss, clipping, optimizer.
///
/// Every block of 16 KB or more is made to come fresh from the system, so taking one shows as at least
/// four page faults. Each test has a process of its own so that it sees only its own. The smallest
/// activation of a batch here has 256 KB, the smallest kernel 18 KB.
@Suite(.serialized) struct WarmStepTests {
  @Test func aWarmStepTakesNoTensorMemory() async {
    await #expect(processExitsWith: .success) {
      for rule in [UpdateRule.sgd(nesterov: true), .adam(), .rmsProp(momentum: 0.9)] {
        for mode in [BatchNormMode.inference, .training] {
          let taken = try WarmStepTests.faults(rule, mode)
          #expect(taken < 4, "ten steps of \(rule), \(mode), took \(taken) pages")
        }
      }
    }
  }

  /// The measure itself: a block of 32 KB taken in every step is seen.
  @Test func memoryTakenInAStepIsSeen() async {
    await #expect(processExitsWith: .success) {
      let taken = try WarmStepTests.faults(.sgd(), .inference, taking: 8192)
      #expect(taken >= 10 * 8)
    }
  }

  /// Page faults of ten steps after five.
  private static func faults(
    _ rule: UpdateRule, _ mode: BatchNormMode, taking floats: Int = 0
  ) throws -> Int {
    try takeBlocksFresh(from: 16 << 10)
    let graph = network
    let plan = try OneDNNEngine(training: ReferenceEngine<Float>()).compileTraining(
      graph, nodes: Array(graph.nodes.dropFirst()), from: graph.nodes[0].id,
      parameters: .procedural(for: graph),
      freezing: FreezePlan(trainable: [0], trainableBatchNorm: mode), batch: 9,
      size: Extent2D(32))
    let source = InMemoryFeatures(
      .procedural("photos", shape: [120, 3, 32, 32]), labels: (0..<120).map { $0 % 5 })
    let trainer = try Trainer(
      TrainerConfiguration(
        epochs: 1, batchSize: 8,
        optimizer: OptimizerConfiguration(
          rule: rule, weightDecay: .l2(1e-4), maximumGradientNorm: 1)), plan: plan,
      rates: LearningRates(1e-3), training: source)
    var (start, end) = (0, 0)
    _ = try trainer.run(
      TrainerHooks(onBatch: { trainer in
        if floats > 0 {
          let taken = AlignedStorage<Float>(count: floats)
          taken.elements.update(repeating: 1)
          withExtendedLifetime(taken) {}
        }
        if trainer.progress.step == 5 { start = pageFaults() }
        if trainer.progress.step == 15 { end = pageFaults() }
      }))
    return end - start
  }

  /// glibc's `mallopt(M_MMAP_THRESHOLD, bytes)`; `malloc.h` is not in Swift's module of glibc.
  private static func takeBlocksFresh(from bytes: CInt) throws {
    typealias SetOption = @convention(c) (CInt, CInt) -> CInt
    let symbol = try #require(dlsym(nil, "mallopt"))
    let threshold: CInt = -3
    #expect(unsafeBitCast(symbol, to: SetOption.self)(threshold, bytes) == 1)
  }

  private static func pageFaults() -> Int {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return usage.ru_minflt
  }

  private static var network: Graph {
    var builder = GraphBuilder(name: "warm", inputChannels: 3)
    for (name, inputs, outputs) in [("a", 3, 16), ("b", 16, 32), ("c", 32, 32)] {
      let layer = Convolution2D(
        inputs: inputs, outputs: outputs, window: Window2D(kernel: 3, padding: .same))
      builder.add("\(name).conv", .convolution(layer))
      builder.add("\(name).bn", .batchNormalization(BatchNormalization(channels: outputs)))
      builder.add("\(name).act", .activation(.relu))
    }
    builder.add("pool", .globalAveragePooling)
    builder.add("flatten", .flatten)
    builder.add("dropout", .dropout(probability: 0.2))
    builder.add("fc", .dense(Dense(inputs: 32, outputs: 5)))
    return builder.build()
  }
}
