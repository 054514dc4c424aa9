// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import Testing
import ThawCheckpoints
import ThawFiles
import ThawTestSupport

/// What Thaw 0.1.0 wrote still opens, and means what it meant.
///
/// `Fixtures/version-0.1.0` is a small network with its card, 24 photos, and the run that `thaw fit`
/// of that version made of them: `--epochs 60 --learning-rate 0.3 --test 0.2 --threads 1`.
struct CompatibilityTests {
  private let directory: TemporaryDirectory

  /// A copy of the fixture; the photos are where the run was prepared from.
  init() throws {
    directory = try TemporaryDirectory()
    let fixture = try #require(Bundle.module.resourceURL)
      .appendingPathComponent("Fixtures/version-0.1.0")
    for name in ["cards", "photos", "run"] {
      try FileManager.default.copyItem(
        at: fixture.appendingPathComponent(name),
        to: URL(fileURLWithPath: directory.path.appending(name).string))
    }
    let manifest = directory.path.pushing("run/manifest.json")
    let root = URL(fileURLWithPath: directory.path.string).resolvingSymlinksInPath().path
    let text = String(decoding: try FileSystem.read(manifest), as: UTF8.self)
    try AtomicFile.write(
      manifest,
      text: text.replacing("\"root\" : \"/photos\"", with: "\"root\" : \"\(root)/photos\""))
  }

  private func thaw(_ arguments: String...) throws -> Outcome {
    try ThawProcess(
      arguments + ["--threads", "1"], in: directory.path,
      environment: ["THAW_PRETRAINED": directory.path.appending("cards").string]
    ).wait()
  }

  private func bytes(_ name: FilePath) throws -> [UInt8] {
    try FileSystem.read(directory.path.pushing(name))
  }

  /// Probability of the best class by photo and class.
  private func predictions(_ csv: String) -> [String: Double] {
    var result: [String: Double] = [:]
    for line in csv.split(whereSeparator: \.isNewline).dropFirst() {
      let fields = line.split(separator: ",").map(String.init)
      if fields.count == 3 { result["\(fields[0]) \(fields[1])"] = Double(fields[2]) }
    }
    return result
  }

  @Test func aModelFilePredictsWhatItDid() throws {
    let url = try #require(
      Bundle.module.url(forResource: "Fixtures/version-0.1.0/predicted", withExtension: "csv"))
    let then = predictions(try String(contentsOf: url, encoding: .utf8))
    let outcome = try thaw(
      "predict", "--model", "run/model.safetensors", "photos", "--format", "csv", "--quiet")
    outcome.succeeded()
    #expect(outcome.stderr == "")
    let now = predictions(outcome.stdout)
    #expect(then.count == 24 && Set(now.keys) == Set(then.keys))
    for (photo, probability) in then {
      #expect(abs((now[photo] ?? 0) - probability) < 1e-5, "\(photo)")
    }
  }

  @Test func augmentedViewsOfAModelFileAreThoseOfItsTraining() throws {
    let outcome = try thaw(
      "predict", "--model", "run/model.safetensors", "photos/red/0.png", "--tta", "4",
      "--tta-mode", "mean", "--json")
    #expect(try outcome.json()[0]["label"].string == "red")
    #expect(!outcome.stderr.contains("warning"), "\(outcome.stderr)")
  }

  @Test func aRunIsJudgedAsItWas() throws {
    let found = try thaw("evaluate", "--run", "run", "--split", "test", "--json").json()
    #expect(found["count"].int == 8)
    #expect(found["accuracy"].double == 1)
    #expect(abs((found["loss"].double ?? 0) - 0.012183272839522141) < 1e-5)
  }

  /// Neither photos nor trainings are done again: keys of that version are recognised.
  @Test func fittingAFinishedRunDoesNothing() throws {
    let models: [FilePath] = ["run/model.safetensors", "run/checkpoints/head.safetensors"]
    let before = try models.map(bytes)
    let found = try thaw("fit", "photos", "--run", "run", "--json").json()
    #expect(found["cache"]["computed"].int == 0)
    #expect(found["train"]["unchanged"].bool == true)
    #expect(found["fine_tune"]["unchanged"].bool == true)
    #expect((found["fine_tune"]["seconds"].double ?? 0) > 0, "the time it took then")
    #expect(try models.map(bytes) == before)
  }

  @Test func otherSettingsTrainAnewFromWhatThatVersionLeft() throws {
    let tuned = try thaw("fine-tune", "--run", "run", "--epochs", "1", "--json").json()
    #expect(tuned["unchanged"].bool == false)
    let trained = try thaw("train", "--run", "run", "--epochs", "7", "--json").json()
    #expect(trained["unchanged"].bool == false && trained["epochs"].int == 7)
    let dropout = try thaw("train", "--run", "run", "--dropout", "0.5", "--json").json()
    #expect(dropout["unchanged"].bool == false, "the head is another one")
  }

  /// A setting that this version does not know costs no view, and is said once.
  @Test func aModelOfALaterVersionKeepsItsAugmentedViews() throws {
    let model = directory.path.pushing("run/model.safetensors")
    let later = try LaterVersion.model(model, in: directory.path)
    let look = ["--tta", "4", "--tta-mode", "mean", "--json", "photos/red/0.png"]
    func predict(_ file: String) throws -> Outcome {
      try ThawProcess(
        ["predict", "--model", file] + look, in: directory.path,
        environment: ["THAW_PRETRAINED": directory.path.appending("cards").string]
      ).wait()
    }
    let now = try predict("run/model.safetensors")
    let then = try predict(later.withNewKey)
    #expect(try then.json()[0]["probability"].double == now.json()[0]["probability"].double)
    #expect(then.stderr.components(separatedBy: "warning:").count == 2, "\(then.stderr)")
    #expect(then.stderr.contains("unknown key 'novelty'"))
    let unreadable = try predict(later.withoutAugmentation)
    #expect(unreadable.status == 65)
    #expect(unreadable.stderr.contains("cannot be varied as in its training. Use --tta-mode crops"))
  }
}

/// Models as a later version might write them.
private struct LaterVersion {
  let withNewKey: String
  let withoutAugmentation: String

  static func model(_ path: FilePath, in directory: FilePath) throws -> LaterVersion {
    let (record, parameters) = try ModelFile.read(path)
    func write(_ name: String, _ old: String, _ new: String) throws -> String {
      var later = record
      later.training = record.training.replacing(old, with: new)
      #expect(later.training != record.training)
      try ModelFile.write(directory.appending(name), later, parameters)
      return name
    }
    return LaterVersion(
      withNewKey: try write(
        "later.safetensors", "\\nfine_tune:\\n", "\\nfine_tune:\\n  novelty: 1\\n"),
      withoutAugmentation: try write("renamed.safetensors", "augmentation:", "variations:"))
  }
}
