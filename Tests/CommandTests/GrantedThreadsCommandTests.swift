// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import Testing
import ThawFiles

/// Batch systems and containers limit OpenMP's threads from outside. The command computes the same.
@Suite struct GrantedThreadsCommandTests {
  private func tune(_ workspace: Workspace, limit: String) throws -> [UInt8] {
    try workspace.thaw(
      "fine-tune", "--run", "run", "--unfreeze", "--epochs", "2", "--augmentation", "none",
      "--trainable-batch-norm", "training", "--threads", "3", "--json",
      shell: "\(limit) exec \"$@\""
    ).succeeded()
    return try workspace.read("run/model.safetensors")
  }

  private func fit(limit: String) throws -> [[UInt8]] {
    let workspace = try Workspace(classes: ["blue", "green", "red"], count: 8)
    try workspace.start(
      ["fit", "photos", "--run", "run", "--threads", "3"] + Workspace.recipe,
      shell: "\(limit) exec \"$@\""
    ).wait().succeeded()
    return [
      try workspace.read("run/model.safetensors"), try tune(workspace, limit: limit),
    ]
  }

  @Test func limitsOfOpenMPDoNotChangeAModel() throws {
    let expected = try fit(limit: "OMP_THREAD_LIMIT=64")
    #expect(expected[0] != expected[1])
    for limit in ["OMP_THREAD_LIMIT=1", "OMP_THREAD_LIMIT=2", "OMP_DYNAMIC=true"] {
      #expect(try fit(limit: limit) == expected, "\(limit)")
    }
  }
}
