// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawCheckpoints
import ThawNetwork
import ThawTensors
import ThawTraining

/// What fine-tuning leaves: its best epoch, the model it started from, or weights between the two.
@Suite struct InterpolationTests {
  private func model(_ workspace: Workspace, _ name: String) throws -> Parameters {
    try ModelFile.read(workspace.file(name)).parameters
  }

  private func tune(_ workspace: Workspace, rate: String, _ more: String...) throws -> JSON {
    try workspace.start(
      [
        "fine-tune", "--run", "run", "--freeze-to", "-2", "--epochs", "3", "--solver", "sgd",
        "--learning-rate", rate, "--schedule", "constant", "--warm-up", "0", "--weight-averaging",
        "0", "--augmentation", "none", "--json",
      ] + more
    ).wait().json()
  }

  @Test func theWeightsWithTheLowestValidationLossAreKept() throws {
    let workspace = try Workspace(classes: ["blue", "red", "green"], count: 12)
    try workspace.fit("--valid", "0.4", "--epochs", "1").succeeded()
    let start = try model(workspace, "run/checkpoints/head.safetensors")
    var shares: Set<Double> = []
    for rate in ["0.003", "0.03", "0.1", "0.3", "300"] {
      let ends = try tune(workspace, rate: rate, "--no-interpolation")
      let endIsKept = ends["interpolation"].double == 1
      let end = try model(workspace, "run/model.safetensors")
      let startIsKept = ends["interpolation"].double == 0 && end == start
      #expect(endIsKept || startIsKept, "at \(rate)")
      let summary = try tune(workspace, rate: rate, "--interpolation")
      let share = try #require(summary["interpolation"].double)
      shares.insert(share)
      let loss = try #require(summary["best_valid_loss"].double)
      #expect(loss <= ends["best_valid_loss"].double ?? 0)
      let kept = try model(workspace, "run/model.safetensors")
      let isOnTheLine = kept == start.interpolated(towards: end, share: Float(share))
      #expect(!endIsKept || isOnTheLine, "at \(rate)")
      let judged = try workspace.thaw("evaluate", "--run", "run", "--split", "valid", "--json")
      #expect(
        abs((try judged.json()["calibration"]["before"]["loss"].double ?? 0) - loss) < 1e-5
          * max(loss, 1))
    }
    // The last rate was absurd: the model it started from is kept, and the report says so.
    #expect(try model(workspace, "run/model.safetensors") == start)
    try workspace.thaw("report", "--run", "run").succeeded()
    let report = try workspace.text("run/report.html")
    #expect(report.contains("fine-tuning did not lower the validation loss"))
    #expect(shares.contains { $0 > 0 && $0 < 1 }, "\(shares)")
    #expect(shares.contains(0) && shares.contains(1), "\(shares)")
  }
}
