// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import Testing
import ThawFiles
import ThawImages
import ThawTinyBackbone

/// Decoded photos that a training keeps from one epoch to the next.
@Suite(.serialized) struct KeptPixelsTests {
  private static let tune = [
    "fine-tune", "--unfreeze", "--epochs", "3", "--augmentation", "photo", "--views", "fresh",
    "--batch", "4", "--learning-rate", "0.003",
  ]

  /// A workspace whose photos are 40 x 40, or enlarged so much that draws do not need all of them.
  private static func prepared(scale: Int) throws -> Workspace {
    let workspace = try Workspace(count: 0)
    for (kind, name) in ["blue", "red"].enumerated() {
      let folder = workspace.file("photos").appending(name)
      try FileSystem.createDirectory(folder)
      for number in 0..<10 {
        let photo = TinyPhotos.image(kind: kind, number: number)
        let size = PixelSize(width: photo.width * scale, height: photo.height * scale)
        try AtomicFile.write(
          folder.appending("\(number).png"),
          bytes: try PNGEncoder.encode(photo.resized(to: size, interpolation: .bilinear)))
      }
    }
    try workspace.fit().succeeded()
    return workspace
  }

  /// What the command said, and the weights that were kept and the losses of every epoch: the weights may be those of the
  /// start.
  private func tuned(_ workspace: Workspace, _ more: String...) throws -> (Outcome, [UInt8]) {
    try FileManager.default.copyItem(
      atPath: workspace.file("run").string, toPath: workspace.file("copy").string)
    defer { try? FileManager.default.removeItem(atPath: workspace.file("copy").string) }
    let outcome = try workspace.start(Self.tune + ["--run", "copy"] + more).wait()
    outcome.succeeded()
    // What was kept is gone when the training is finished.
    let kept = (try? FileSystem.list(workspace.file("copy/cache/pixels"))) ?? []
    #expect(kept.isEmpty, "\(kept)")
    let losses = try workspace.text("copy/history.jsonl").matches(of: /"train_loss":[^,}]*/)
    let epochs = losses.map { String($0.output) }.joined()
    return (outcome, weights(try workspace.read("copy/model.safetensors")) + Array(epochs.utf8))
  }

  /// Without the metadata, where the recipe stands.
  private func weights(_ file: [UInt8]) -> [UInt8] {
    let length = file[..<8].reversed().reduce(0) { $0 << 8 | Int($1) }
    return Array(file[(8 + length)...])
  }

  @Test func photosThatDrawsNeedInFullTrainToTheSameBitsEitherWay() throws {
    let workspace = try Self.prepared(scale: 1)
    let (shrunk, first) = try tuned(workspace)
    let (_, second) = try tuned(workspace, "--kept-pixels", "whole")
    let isEqual = first == second
    #expect(isEqual)
    #expect(shrunk.stderr.contains("Decoded photos are kept: at most "), "\(shrunk.stderr)")
    #expect(!shrunk.stderr.contains("shrunk to what"), "\(shrunk.stderr)")
  }

  @Test func largePhotosAreShrunkUnlessTheyAreToStayWhole() throws {
    let workspace = try Self.prepared(scale: 30)
    let (shrunk, first) = try tuned(workspace)
    #expect(shrunk.stderr.contains(" photos shrunk to what draws can look at."), "\(shrunk.stderr)")
    let (whole, second) = try tuned(workspace, "--kept-pixels", "whole")
    #expect(!whole.stderr.contains("shrunk to what"), "\(whole.stderr)")
    let isEqual = first == second
    #expect(!isEqual)
    // Room for some of the whole photos only, a quarter of the memory; the bits are the same.
    let (_, third) = try tuned(workspace, "--kept-pixels", "whole", "--memory", "240M")
    let isSame = third == second
    #expect(isSame)
  }

  /// 1 GB leaves 640 MB for a step, which would take 1.9 GB. The shards are a change of the recipe, so the run goes on with them.
  @Test func aStepThatDoesNotFitIsTrainedInShards() throws {
    let workspace = try Workspace(count: 40)
    try workspace.fit("--size", "224").succeeded()
    let tune = ["fine-tune", "--run", "run", "--unfreeze", "--epochs", "1", "--batch", "64"]
    let outcome = try workspace.start(tune + ["--memory", "1G"]).wait()
    outcome.succeeded()
    #expect(outcome.stderr.contains("MB may be used for it."), "\(outcome.stderr)")
    #expect(outcome.stderr.contains("shards instead, recorded as fine_tune.shards"))
    let recipe = try workspace.text("run/recipe.yml")
    #expect(recipe.contains("\n  shards: "))
    let again = try workspace.thaw("fine-tune", "--run", "run", "--json").json()
    #expect(again["unchanged"].bool == true)
    // Statistics of the batch cannot be cut.
    let refused = try workspace.start(
      tune + ["--trainable-batch-norm", "training", "--shards", "1", "--memory", "1G"]
    ).wait()
    #expect(refused.status != 0 && refused.stderr.contains("Give a smaller --batch"))
  }

  @Test func anOptionWithoutEffectIsRefused() throws {
    let workspace = try Self.prepared(scale: 1)
    let idle = try workspace.thaw(
      "fine-tune", "--run", "run", "--views", "2", "--kept-pixels", "whole")
    #expect(idle.status == 64, "\(idle.stderr)")
    #expect(idle.stderr.contains("no photo is drawn anew in every epoch"), "\(idle.stderr)")
    for size in ["0", "12", "lots", "-4G"] {
      let outcome = try workspace.thaw("fine-tune", "--run", "run", "--memory=\(size)")
      #expect(outcome.status == 64, "\(outcome.stderr)")
      #expect(outcome.stderr.contains("expected a size of at least 64M"), "\(outcome.stderr)")
    }
  }
}
