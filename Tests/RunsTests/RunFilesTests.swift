// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing
import ThawConsole
import ThawFiles
import ThawNetwork
import ThawRuns
import ThawTensors
import ThawTestSupport
import ThawTraining

/// The small files that stages leave for each other.
struct RunFilesTests {
  private let directory: TemporaryDirectory
  private let run: RunDirectory

  init() throws {
    directory = try TemporaryDirectory()
    run = RunDirectory(directory.path)
  }

  // MARK: metrics.json

  private func evaluation(_ split: String, right: Bool = true) throws -> Evaluation {
    let rows: [Float] = right ? [0.9, 0.1, 0.2, 0.8] : [0.1, 0.9, 0.8, 0.2]
    return try Evaluation(
      split: split, classNames: ["a", "b"], probabilities: Tensor(rows, shape: [2, 2]),
      labels: [0, 1])
  }

  @Test func theLastEvaluationOfEachSplitAndNumberOfViewsIsKept() throws {
    try AtomicFile.write(run.model, text: "a model")
    let file = MetricsFile(run)
    try file.add(try evaluation("valid", right: false), tta: .init())
    try file.add(try evaluation("valid"), tta: .init())
    try file.add(try evaluation("valid"), tta: .init(count: 10))
    try file.add(try evaluation("test"), tta: .init())
    let entries = try file.entries()
    #expect(entries.map(\.tta) == [1, 10, 1])
    #expect(entries.map(\.result.split) == ["valid", "valid", "test"])
    #expect(entries[0].result == (try evaluation("valid")))
  }

  @Test func resultsOfAnotherModelAreForgotten() throws {
    try AtomicFile.write(run.model, text: "a model")
    let file = MetricsFile(run)
    try file.add(try evaluation("valid"), tta: .init())
    try AtomicFile.write(run.model, text: "another model")
    #expect(try file.entries().isEmpty)
  }

  @Test func damagedMetricsAreNamedAndReplacedByTheNextEvaluation() throws {
    try AtomicFile.write(run.model, text: "a model")
    try AtomicFile.write(run.metrics, text: "{")
    let file = MetricsFile(run)
    let error = #expect(throws: PipelineError.self) { try file.entries() }
    #expect(error?.description.contains("metrics.json: damaged. Run again: thaw evaluate") == true)
    try file.add(try evaluation("valid"), tta: .init())
    #expect(try file.entries().count == 1)
  }

  // MARK: checkpoints

  private func state() throws -> PhasedTrainingState {
    var progress = TrainerProgress(
      configuration: TrainerConfiguration(
        epochs: 9, batchSize: 4, seed: .max, earlyStopping: EarlyStopping(patience: 3)),
      sampleCount: 11)
    progress.epoch = 4
    progress.step = 13
    progress.bestEpoch = 2
    progress.bestLoss = 0.1 + 0.2
    progress.improvedLoss = 1 / 3
    let record =
      #"{"epoch":0,"train_loss":0.1,"train_accuracy":0.3,"learning_rates":[0.7],"seconds":2}"#
    progress.history = [try JSONDecoder().decode(EpochRecord.self, from: Data(record.utf8))]
    var (now, best) = (Parameters(), Parameters())
    now["head.weight"] = Tensor([1, -0.0, .leastNonzeroMagnitude], shape: [1, 3])
    best["head.weight"] = Tensor([3, 2, 1], shape: [1, 3])
    let trainer = TrainerState(
      progress: progress, parameters: now, best: best,
      optimizer: OptimizerState(
        steps: ["head.weight": 13],
        slots: ["momentum": Parameters(["head.weight": Tensor([7, 8, 9], shape: [1, 3])])]))
    let plan = FreezePlan(trainable: [1], frozenBatchNorm: .training)
    return PhasedTrainingState(
      phase: 1,
      schedule: FreezeSchedule([
        FreezePhase(epochs: 3, plan: plan, rates: [0.1 + 0.2, 1 / 3], size: 96),
        FreezePhase(epochs: 6, plan: .inference, rates: [1], schedule: .oneCycleDefault),
      ]),
      trainer: trainer,
      earlier: Parameters(["body.weight": Tensor([4, 5], shape: [2])]))
  }

  @Test func aCheckpointComesBackToTheBit() throws {
    let checkpoint = TrainerCheckpoint(run, key: "key")
    #expect(try checkpoint.load() == nil)
    try checkpoint.save(try state())
    let loaded = try #require(try checkpoint.load())
    #expect(loaded == (try state()))
    #expect(loaded.trainer.parameters["head.weight"]?.elements[1].sign == .minus)
    try checkpoint.remove()
    #expect(try checkpoint.load() == nil)
  }

  @Test func aCheckpointOfAnotherTrainingIsNotUsed() throws {
    try TrainerCheckpoint(run, key: "key").save(try state())
    #expect(try TrainerCheckpoint(run, key: "other").load() == nil)
  }

  @Test func aCutCheckpointIsAnErrorAndNoState() throws {
    let checkpoint = TrainerCheckpoint(run, key: "key")
    try checkpoint.save(try state())
    let path = run.checkpoints.appending("trainer.safetensors")
    try AtomicFile.write(path, bytes: Array(try FileSystem.read(path).dropLast(3)))
    #expect(throws: (any Error).self) { try checkpoint.load() }
  }
}
