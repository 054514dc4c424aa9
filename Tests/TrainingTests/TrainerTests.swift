// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing
import ThawExecution
import ThawNetwork
import ThawTensors
import ThawTestSupport
import ThawTraining

private let training = clouds(90, inputs: 6, classes: 3, seed: 1)
private let validation = clouds(45, inputs: 6, classes: 3, seed: 2)

private func makeTrainer(
  _ plan: DensePlan, _ configuration: TrainerConfiguration, rate: Double = 0.1,
  validating: (any FeatureSource)? = validation, on source: InMemoryFeatures = training
) throws -> Trainer {
  try Trainer(
    configuration, plan: plan, rates: LearningRates(rate), training: source, validation: validating)
}

private func makePlan(dropout: Double = 0, batch: Int = 16) -> DensePlan {
  DensePlan(inputs: 6, classes: 3, batch: batch, dropout: dropout)
}

@Suite struct BatchOrderTests {
  @Test func everySampleOccursOnceAndALoneLastOneIsMerged() {
    for (count, size, expected) in [
      (10, 4, [4, 4, 2]), (9, 4, [4, 5]), (8, 4, [4, 4]), (1, 4, [1]), (3, 1, [1, 1, 1]),
      (5, 8, [5]),
    ] {
      let order = BatchOrder(count: count, batchSize: size, seed: 3)
      #expect(order.batches.map(\.count) == expected)
      #expect(order.indices(epoch: 0).sorted() == Array(0..<count))
      #expect(order.batches.flatMap { Array($0) } == Array(0..<count))
    }
  }

  @Test func orderDependsOnSeedAndEpochOnly() {
    let order = BatchOrder(count: 50, batchSize: 8, seed: 3)
    #expect(order.indices(epoch: 2) == order.indices(epoch: 2))
    #expect(order.indices(epoch: 2) != order.indices(epoch: 3))
    #expect(
      order.indices(epoch: 2) != BatchOrder(count: 50, batchSize: 8, seed: 4).indices(epoch: 2))
  }
}

@Suite struct TrainerConfigurationTests {
  @Test func impossibleNumbersOfARecipeAreNamed() {
    let good = TrainerConfiguration(epochs: 3, earlyStopping: EarlyStopping(patience: 2))
    #expect(good.problem == nil)
    let changes: [(String, (inout TrainerConfiguration) -> Void)] = [
      ("epochs", { $0.epochs = 0 }), ("batch size", { $0.batchSize = -1 }),
      ("patience", { $0.earlyStopping?.patience = 0 }),
      ("momentum", { $0.optimizer.rule = .sgd(momentum: 1) }),
      ("beta2", { $0.optimizer.rule = .adam(beta2: .nan) }),
      ("epsilon", { $0.optimizer.rule = .rmsProp(epsilon: 0) }),
      ("weight decay", { $0.optimizer.weightDecay = .l2(-1) }),
      ("gradient norm", { $0.optimizer.maximumGradientNorm = 0 }),
      ("cosine.minimum", { $0.schedule = .cosine(minimum: -1) }),
    ]
    for (word, change) in changes {
      var bad = good
      change(&bad)
      #expect(bad.problem?.contains(word) == true, "\(word)")
    }
    #expect(LogisticRegression().problem == nil)
    #expect(LogisticRegression(regularization: .inverseStrength(0)).problem?.contains("C") == true)
    #expect(LogisticRegression(folds: 1).problem?.contains("folds") == true)
  }
}

@Suite struct TrainerTests {
  @Test func learnsSeparableClassesAndReportsEveryEpoch() throws {
    let plan = makePlan()
    var seen: [EpochRecord] = []
    let trainer = try makeTrainer(
      plan, TrainerConfiguration(epochs: 12, batchSize: 16, schedule: .cosineAnnealing))
    let result = try trainer.run(TrainerHooks(onEpoch: { record, _ in seen.append(record) }))
    #expect(result.outcome == .finished)
    #expect(seen == result.history)
    #expect(seen.map(\.epoch) == Array(0..<12))
    let (first, last) = (try #require(seen.first), try #require(seen.last))
    #expect(last.trainLoss < first.trainLoss / 2)
    #expect(last.trainAccuracy > 0.8)
    #expect(try #require(last.validAccuracy) > 0.8)
    // 90 samples in batches of 16: six steps an epoch; the record holds the last step's rate.
    let rates = trainer.curve
    #expect(first.learningRates == [0.1 * rates(5).factor])
    #expect(rates.totalSteps == 72)
  }

  @Test func oneStepIsTheGradientOfTheWholeBatchTimesTheRate() throws {
    let source = InMemoryFeatures(Tensor([1, 0, 0, 2], shape: [2, 2]), labels: [0, 1])
    let plan = DensePlan(inputs: 2, classes: 2, batch: 2)
    let configuration = TrainerConfiguration(
      epochs: 1, batchSize: 2, optimizer: OptimizerConfiguration(rule: .sgd(momentum: 0)),
      schedule: .constant)
    _ = try Trainer(
      configuration, plan: plan, rates: LearningRates(1), training: source
    ).run()
    // At zero weights p = 1/2, so d loss / d logits is -+1/4 for each sample.
    expectClose(
      try plan.exportParameters().tensor("fc.weight").elements, [0.25, -0.5, -0.25, 0.5])
    expectClose(try plan.exportParameters().tensor("fc.bias").elements, [0, 0], absolute: 1e-7)
  }

  @Test func batchesBeyondThePlanAreSplitWithTheSameGradient() throws {
    let (whole, parts) = (makePlan(batch: 16), makePlan(batch: 5))
    for plan in [whole, parts] {
      _ = try makeTrainer(plan, TrainerConfiguration(epochs: 2, batchSize: 15)).run()
    }
    #expect(whole.largestBatch == 15)
    #expect(parts.largestBatch == 5)
    #expect(parts.backwardCount == 3 * whole.backwardCount)
    expectClose(
      try parts.exportParameters().tensor("fc.weight"),
      try whole.exportParameters().tensor("fc.weight"))
  }

  @Test func keepsTheEarliestWeightsOfTheLowestValidationLoss() throws {
    // At this rate the loss goes up and down, so the best epoch is not the last one.
    let plan = makePlan()
    var weights: [Parameters] = []
    let result = try makeTrainer(
      plan, TrainerConfiguration(epochs: 15, batchSize: 16, schedule: .constant), rate: 3
    ).run(TrainerHooks(onEpoch: { _, _ in weights.append(plan.exportParameters()) }))
    let losses = result.history.compactMap(\.validLoss)
    let best = try #require(losses.indices.min { losses[$0] < losses[$1] })
    #expect(best < 14)
    #expect(result.bestEpoch == best)
    #expect(result.best?.validLoss == losses[best])
    #expect(plan.exportParameters() == weights[best])
    #expect(weights[14] != weights[best])
  }

  @Test func equalLossesKeepTheEarlierEpoch() throws {
    let result = try makeTrainer(
      makePlan(), TrainerConfiguration(epochs: 3, batchSize: 16), rate: 0
    ).run()
    #expect(result.bestEpoch == 0)
  }

  @Test func stopsAfterPatienceWithoutImprovement() throws {
    let rule = EarlyStopping(patience: 3, minimumImprovement: 0.01)
    let result = try makeTrainer(
      makePlan(), TrainerConfiguration(epochs: 50, batchSize: 16, earlyStopping: rule), rate: 1e-5
    ).run()
    // The loss falls in every epoch, but in three together by less than 0.01: only the first counts.
    #expect(result.outcome == .stoppedEarly)
    #expect(result.history.count == 4)
    #expect(result.bestEpoch == 3)
  }

  @Test func withoutValidationTheLastWeightsAreKept() throws {
    let empty = InMemoryFeatures(Tensor(zeros: [0, 6]), labels: [])
    let plan = makePlan()
    var last: Parameters?
    let result = try makeTrainer(
      plan, TrainerConfiguration(epochs: 3, batchSize: 16), validating: empty
    ).run(TrainerHooks(onEpoch: { _, _ in last = plan.exportParameters() }))
    #expect(result.bestEpoch == nil)
    #expect(result.history.allSatisfy { $0.validLoss == nil && $0.validAccuracy == nil })
    #expect(plan.exportParameters() == last)
  }

  @Test func divergenceNamesTheStepAndKeepsTheLastGoodWeights() throws {
    let plan = makePlan()
    let trainer = try makeTrainer(
      plan, TrainerConfiguration(epochs: 5, batchSize: 16, schedule: .constant), rate: 1e38)
    let start = plan.exportParameters()
    let error = #expect(throws: TrainingError.self) { try trainer.run() }
    guard case .diverged(let epoch, let batch, let step, let rate, let overflow) = error else {
      Issue.record("expected divergence, got \(String(describing: error))")
      return
    }
    #expect((epoch, batch, step, rate) == (0, step, step, 1e38))
    #expect(step > 0)
    // The weights are still finite: it was the logits, of which this plan cannot tell.
    #expect(overflow == nil)
    #expect(plan.exportParameters() == start)
    #expect(throws: TrainingError.self) { try trainer.exportState() }
    #expect(error?.description.contains("1e+38") == true)
  }

  @Test func weightsThatBecomeInfiniteAreNeverExported() throws {
    let trainer = try makeTrainer(
      makePlan(), TrainerConfiguration(epochs: 5, batchSize: 16, schedule: .constant), rate: 1e38)
    var exported: [TrainerState] = []
    #expect(throws: TrainingError.self) {
      try trainer.run(TrainerHooks(onBatch: { exported.append(try $0.exportState()) }))
    }
    let elements = exported.flatMap { $0.tensors.values.flatMap(\.elements) }
    #expect(elements.allSatisfy { $0.isFinite })
  }

  @Test func noTrainingSamplesIsAnError() {
    #expect(throws: TrainingError.noSamples(split: "train")) {
      try makeTrainer(
        makePlan(), TrainerConfiguration(epochs: 1),
        on: InMemoryFeatures(Tensor(zeros: [0, 6]), labels: []))
    }
  }
}
