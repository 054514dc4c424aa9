// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import ThawBackbones
import ThawCheckpoints
import ThawConsole

/// Asks an ONNX file by ONNX Runtime of somebody's Python, through the program that is written beside it.
struct RuntimeCheck {
  /// The interpreter, as it was given.
  let python: String
  private let checkpoint: () throws -> Void

  /// - Throws: ``PipelineError/usage(_:)`` when there is no such interpreter, or it lacks what the program
  ///   needs.
  init(python: String, checkpoint: @escaping () throws -> Void) throws {
    self.python = python
    self.checkpoint = checkpoint
    guard ChildProgram.isInstalled(python) else {
      throw PipelineError.usage(
        "--check \(python): there is no such program. Give a Python that has numpy, pillow and onnxruntime."
      )
    }
    let found = try ChildProgram.run(
      [python, "-c", "import numpy, onnxruntime, PIL"], checkpoint: checkpoint)
    guard found.status == 0 else {
      let reason =
        found.messages.split(separator: "\n").last.map(String.init) ?? "it cannot be started"
      throw PipelineError.usage(
        "--check \(python): \(reason). Install what is missing: \(python) -m pip install numpy pillow"
          + " onnxruntime")
    }
  }

  /// Has the program compare the file's answer with the test vector.
  ///
  /// - Parameter rounds: whether the runtime computes in other numbers than the model, so that a difference
  ///   is stated and no fault.
  /// - Throws: ``PipelineError/data(_:)`` when the program fails or finds a difference.
  func check(program: FilePath, named name: String, rounds: Bool) throws -> ExportCheck {
    let command = [python, program.string, "--test"] + (rounds ? ["--report"] : [])
    let outcome = try ChildProgram.run(command, keepsOutput: true, checkpoint: checkpoint)
    let said = try? JSONValue(parsing: outcome.output)
    guard outcome.status == 0, let said, let runtime = said["runtime"]?.text else {
      let last = outcome.messages.split(separator: "\n").last.map(String.init) ?? ""
      throw ExportCheck.failure(
        name, "\(python) finds it different: \(outcome.output.isEmpty ? last : outcome.output)")
    }
    return ExportCheck(
      reader: runtime, logitDifference: said["logits"]?.double,
      probabilityDifference: said["probabilities"]?.double)
  }
}
