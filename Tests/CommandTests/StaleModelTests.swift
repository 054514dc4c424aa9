// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import Testing
import ThawFiles

/// A model that no longer belongs to the photos or settings of its run is never passed off as current,
/// nor replaced without a word.
struct StaleModelTests {
  private func tuned() throws -> Workspace {
    let workspace = try Workspace(count: 8)
    try workspace.fit("--fine-tune", "--epochs", "head:20,fine-tune:1").succeeded()
    return workspace
  }

  @Test func fineTuningDoesNotPassOverNewPhotos() throws {
    let workspace = try tuned()
    let same = try workspace.thaw("fine-tune", "--run", "run", "--json").json()
    #expect(same["unchanged"].bool == true)
    try workspace.addPhoto("red", kind: 1, number: 77)
    try workspace.start(["prepare", "photos", "--run", "run"]).wait().succeeded()
    let stale = try workspace.thaw("fine-tune", "--run", "run")
    #expect(stale.status == 65)
    #expect(stale.stderr.contains("was trained on other photos"), "\(stale.stderr)")
    try workspace.thaw("train", "--run", "run").succeeded()
    let again = try workspace.thaw("fine-tune", "--run", "run", "--json").json()
    #expect(again["unchanged"].bool == false)
  }

  @Test func aHeadThatReplacesAFineTunedModelSaysSo() throws {
    let workspace = try tuned()
    let outcome = try workspace.thaw("train", "--run", "run", "--epochs", "21", "--json")
    #expect(try outcome.json()["replaced_fine_tuned"].bool == true)
    #expect(outcome.stderr.contains("was fine-tuned; it is now the head"), "\(outcome.stderr)")
    #expect(outcome.stderr.contains("train.epochs was 20, is now 21"), "\(outcome.stderr)")
    let fit = try workspace.start(["fit", "photos", "--run", "run", "--json"]).wait()
    #expect(try fit.json()["train"]["replaced_fine_tuned"].bool == false)
    let back = try workspace.start(["fit", "photos", "--run", "run", "--no-fine-tune"]).wait()
    back.succeeded()
    #expect(back.stderr.contains("leaves the backbone frozen"), "\(back.stderr)")
  }

  @Test func moreEpochsSayThatTrainingBeginsAnew() throws {
    let workspace = try tuned()
    let outcome = try workspace.thaw("fine-tune", "--run", "run", "--epochs", "2")
    outcome.succeeded()
    #expect(
      outcome.stderr.contains("Fine-tuning begins anew: fine_tune.epochs was 1, is now 2"),
      "\(outcome.stderr)")
  }
}
