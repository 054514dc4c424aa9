// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import Testing
import ThawCheckpoints
import ThawFiles
import ThawOneDNN

/// The numbers a network is computed in belong to the run and to its model.
struct PrecisionTests {
  @Test func theModelIsUsedInThePrecisionItWasTrainedIn() throws {
    let workspace = try Workspace()
    let fitted = try workspace.fit("--precision", "bfloat16")
    fitted.succeeded()
    #expect(
      fitted.stderr.contains("bfloat16 does not compute on this processor; float32 is")
        == !OneDNNEngine.hasBFloat16, "\(fitted.stderr)")
    #expect(try workspace.text("run/recipe.yml").contains("\nprecision: bfloat16\n"))
    let model = try CheckpointReader.read(workspace.file("run/model.safetensors"))
    // What it was really computed in.
    #expect(
      model.metadata["thaw.precision"] == (OneDNNEngine.hasBFloat16 ? "bfloat16" : nil))
    // Of the run and of its file alone the same numbers.
    let own = try workspace.thaw("evaluate", "--run", "run", "--json").json()
    let file = try workspace.thaw(
      "evaluate", "--model", "run/model.safetensors", "--data", "photos", "--json")
    #expect(own["accuracy"].double == 1)
    #expect(!file.stderr.contains("does not compute"), "\(file.stderr)")
  }

  @Test func anotherPrecisionTrainsAnew() throws {
    let workspace = try Workspace()
    try workspace.fit().succeeded()
    #expect(try !workspace.text("run/recipe.yml").contains("precision:"))
    let other = try workspace.fit("--precision", "bfloat16")
    other.succeeded()
    #expect(
      (other.stdout + other.stderr).contains("up to date") == !OneDNNEngine.hasBFloat16,
      "\(other.stdout) \(other.stderr)")
  }

  @Test func automaticPrecisionIsDecidedOnce() throws {
    let workspace = try Workspace()
    let outcome = try workspace.prepare("--precision", "auto")
    outcome.succeeded()
    let decided = OneDNNEngine.hasBFloat16 ? "bfloat16" : "float32"
    #expect(outcome.stderr.contains("Precision: \(decided)"), "\(outcome.stderr)")
    #expect(try !workspace.text("run/recipe.yml").contains("auto\nhead"))
    // A run keeps what it began with.
    let kept = try Workspace()
    try kept.prepare().succeeded()
    let again = try kept.prepare("--precision", "auto")
    #expect(again.stderr.contains("Precision: float32, as this run began"), "\(again.stderr)")
  }

  @Test func anUnknownPrecisionIsRefused() throws {
    let workspace = try Workspace()
    let outcome = try workspace.prepare("--precision", "float64")
    #expect(outcome.status == 64 && outcome.stderr.contains("bfloat16"), "\(outcome.stderr)")
  }
}
