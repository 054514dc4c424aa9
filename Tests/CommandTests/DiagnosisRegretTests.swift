// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import Testing
import ThawFiles
import ThawTinyBackbone

/// What `Tools/diagnosis_regret.py` measures on real networks, on small ones: is the fix that is
/// recommended the best of those tried, on photos that nobody has seen?
@Suite struct DiagnosisRegretTests {
  /// A network trained with frozen batch norms of a system, and its photos.
  private struct Case {
    let workspace: Workspace
    let model = "run/model.safetensors"

    init(frozenBatchNorm mode: String) throws {
      workspace = try Workspace(classes: [])
      for (folder, first, count) in [("train", 0, 20), ("new", 100, 24), ("judge", 200, 40)] {
        for (kind, name) in ["blue", "green", "red"].enumerated() {
          let place = workspace.file(folder).appending(name)
          try FileSystem.createDirectory(place)
          for number in first..<first + count {
            try AtomicFile.write(
              place.appending("\(number).png"), bytes: TinyPhotos.png(kind: kind, number: number))
          }
        }
      }
      try workspace.thaw(
        "prepare", "train", "--run", "run", "--backbone", TinyBackbone.name, "--no-fine-tune",
        "--valid", "0.1", "--frozen-batch-norm", mode
      ).succeeded()
      try workspace.thaw(
        "train", "--run", "run", "--epochs", "25", "--patience", "0", "--quiet"
      ).succeeded()
    }

    func accuracy(_ model: String) throws -> Double {
      let found = try workspace.thaw("evaluate", "--model", model, "--data", "judge", "--json")
      return try #require(found.json()["accuracy"].double)
    }

    /// The verdict's code, what is recommended, and points that the best of all fixes, doing nothing
    /// included, is better than that.
    func regret(
      _ asked: [String]
    ) throws -> (kind: String, fix: String?, regret: Double, gain: Double) {
      let answer = try workspace.start(
        ["diagnose", "batchnorm", "--model", model, "--quick", "--json", "--write-fixes", "fixes"]
          + asked
      ).wait().json()
      let before = try accuracy(model)
      var real: [String: Double] = [:]
      for fix in answer["fixes"].array {
        let name = try #require(fix["name"].string)
        real[name] = try accuracy("fixes/\(name).safetensors")
      }
      let fix = answer["recommended_fix"].string
      let chosen = fix.flatMap { real[$0] } ?? before
      let best = max(real.values.max() ?? before, before)
      return (answer["kind"].string ?? "", fix, 100 * (best - chosen), 100 * (chosen - before))
    }
  }

  private static let ways = [
    ["--data", "train"], ["--data", "new"], ["--data", "new", "--train-data", "train"],
  ]

  @Test func theRecommendedFixIsTheBestOnPhotosNobodyHasSeen() throws {
    let trapped = try Case(frozenBatchNorm: "keras-2.1.3")
    for way in DiagnosisRegretTests.ways {
      // The layers of this network are made up, so that another contract may be blamed as well.
      let found = try trapped.regret(way)
      #expect(found.regret <= 3, "\(way): \(found.kind)")
      #expect(found.gain >= 10, "\(way): \(found.kind)")
    }
  }

  @Test func statisticsThatMovedArePutBackThoughItsOwnPhotosLookPerfect() throws {
    let found = try Case(frozenBatchNorm: "pytorch").regret(["--data", "train"])
    #expect(found.kind == "altered_batch_norms")
    // The head learned while the statistics moved, and belongs to none of them.
    #expect(found.fix == "restore-head")
    #expect(found.regret <= 3)
  }

  @Test func aHealthyNetworkIsNotAccusedAndLosesNothing() throws {
    let healthy = try Case(frozenBatchNorm: "inference")
    // It has something to lose.
    #expect(try healthy.accuracy(healthy.model) >= 0.7)
    for way in DiagnosisRegretTests.ways {
      let found = try healthy.regret(way)
      #expect(!DiagnosisRegretTests.accusations.contains(found.kind), "\(way): \(found.kind)")
      #expect(found.gain >= -3, "\(way): \(found.kind)")
    }
  }

  /// Kinds of answers that blame the batch norms.
  private static let accusations: Set = [
    "batch_statistics", "initial_statistics", "altered_batch_norms", "corrupted_statistics",
    "other_epsilon",
  ]
}
