// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawFiles

/// A training that diverges says where and why, ends with code 1, and keeps the last good weights.
@Suite struct DivergenceTests {
  @Test(arguments: ["onednn", "reference"])
  func fineTuningWithAnAbsurdRateNamesLayerStepAndRate(engine: String) throws {
    let workspace = try Workspace(count: 8)
    try workspace.fit().succeeded()
    let model = try workspace.read("run/model.safetensors")
    let outcome = try workspace.thaw(
      "fine-tune", "--run", "run", "--unfreeze", "--learning-rate", "1000", "--epochs", "20",
      "--solver", "sgd", "--schedule", "constant", "--warm-up", "0", "--batch", "2",
      "--trainable-batch-norm", "training", "--augmentation", "none", "--engine", engine)
    #expect(outcome.status == 1)
    #expect(outcome.errors.count == 1)
    let text = try #require(outcome.errors.first)
    #expect(
      text.contains(
        try Regex("epoch [0-9]+, (batch [0-9]+|after the last batch) \\(step [0-9]+\\): ")),
      "\(text)")
    #expect(text.contains("training diverged at learning rate "), "\(text)")
    #expect(text.contains("overflowed first"), "\(text)")
    #expect(text.contains("Lower the learning rate"), "\(text)")
    #expect(text.contains("run/checkpoints/last_good.safetensors"), "\(text)")
    // The model that was there is untouched, and the last good weights are a model too.
    #expect(try workspace.read("run/model.safetensors") == model)
    let (good, old) = try (
      probabilities(workspace, "run/checkpoints/last_good.safetensors"),
      probabilities(workspace, "run/model.safetensors")
    )
    // It diverged in its first epoch, so the last good weights are those it began with.
    #expect(text.contains("Those before this training are in"), "\(text)")
    let differences = zip(good, old).map { abs(($0 ?? .nan) - ($1 ?? .nan)) }
    #expect(good.count == 16 && differences.allSatisfy { $0 < 1e-6 }, "\(differences)")
    // With a rate that is not absurd it goes on from the head as if nothing had been.
    try workspace.thaw(
      "fine-tune", "--run", "run", "--unfreeze", "--learning-rate", "1e-4", "--epochs", "1",
      "--trainable-batch-norm", "inference", "--augmentation", "none", "--engine", engine
    ).succeeded()
  }

  private func probabilities(_ workspace: Workspace, _ model: String) throws -> [Double?] {
    try workspace.thaw("predict", "--model", model, "photos", "--json").json().array.map {
      $0["probability"].double
    }
  }
}
