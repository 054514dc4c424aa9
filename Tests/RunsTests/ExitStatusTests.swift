// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawBackbones
import ThawCheckpoints
import ThawConfiguration
import ThawConsole
import ThawDatasets
import ThawFiles
import ThawImages
import ThawRuns
import ThawTraining

struct ExitStatusTests {
  /// Something nobody thought of.
  private struct Unknown: Error {}

  private static let inUse = FileError("run", "lock", .inUse(process: 1))
  private static let diskFull = FileError("run/x", "write", .system(28))

  @Test func everyKindOfErrorHasItsDocumentedCode() {
    let cases: [(any Error, Int32)] = [
      (TrainingError.diverged(epoch: 0, batch: 0, step: 0, learningRate: 1, overflow: nil), 1),
      (PipelineError.usage(""), 64),
      (PipelineError.data(""), 65),
      (PipelineError.notPrepared("run", needs: "x", command: "y"), 65),
      (ConfigurationError("r.yml", line: 1, ""), 65),
      (BackboneError.unknownCard("x", near: []), 65),
      (BackboneError.fetchFailed(source: "x", reason: "y"), 74),
      (DatasetError.noClasses("photos"), 65),
      (TrainingError.noSamples(split: "train"), 65),
      (ImageError.empty, 65),
      (Unknown(), 70),
      (ExitStatusTests.diskFull, 74),
      (DatasetError.system(ExitStatusTests.diskFull), 74),
      (ExitStatusTests.inUse, 75),
      (DatasetError.system(ExitStatusTests.inUse), 75),
      (PipelineError.interrupted, 130),
    ]
    for (error, code) in cases { #expect(exitCode(of: error) == code, "\(error)") }
  }

  @Test func aFileThatCannotBeReadIsNotADamagedOne() throws {
    let missing = #expect(throws: CheckpointError.self) {
      try CheckpointReader.read("/nonexistent/model.safetensors")
    }
    #expect(missing.map(exitCode(of:)) == 74)
  }
}
