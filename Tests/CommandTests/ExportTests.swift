// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import Testing
import ThawBackbones
import ThawCheckpoints
import ThawFiles
import ThawNetwork
import ThawTestSupport
import ThawTinyBackbone

/// `thaw export`, and that what it wrote predicts what the model predicts.
struct ExportTests {
  private let workspace: Workspace
  private let model: String

  init() throws {
    workspace = try Workspace(count: 2)
    model = try Workspace.fitted.get().workspace.file("run/model.safetensors").string
  }

  private func export(_ more: String...) throws -> Outcome {
    try workspace.start(["export", "--model", model] + more).wait()
  }

  private func logits(_ model: String) throws -> [[Double]] {
    let outcome = try workspace.thaw(
      "predict", "--model", model, "photos", "--logits", "--json")
    return try outcome.json().array.map { $0["logits"].array.compactMap(\.double) }
  }

  private func expectSamePredictions(_ exported: String) throws {
    let (expected, found) = (try logits(model), try logits(exported))
    #expect(expected.count == 4 && found.count == 4)
    for (one, other) in zip(expected, found) {
      #expect(one.count == 3 && other.count == 3)
      for (left, right) in zip(one, other) { #expect(abs(left - right) < 1e-4) }
    }
  }

  private let classes = ["blue", "green stripes 🌿", "red"]

  // MARK: What is left

  @Test func whatAKilledExportLeftIsRemovedByTheNextOfThatName() throws {
    func leave(_ folder: String) throws {
      let path = workspace.file(folder).string
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
      try Data("half".utf8).write(to: URL(fileURLWithPath: path + "/out.onnx"))
    }
    // No process has a number above the system's highest.
    let (killed, alive, other) = (
      "out.onnx.tmp.2147483647.9f3a", "out.onnx.tmp.\(getpid()).9f3a",
      "else.onnx.tmp.2147483647.9f3a"
    )
    for folder in [killed, alive, other] { try leave(folder) }
    #expect(try export("--output", "out.onnx").status == 0)
    #expect(!FileSystem.exists(workspace.file(killed)))
    #expect(FileSystem.exists(workspace.file(alive)) && FileSystem.exists(workspace.file(other)))
  }

  // MARK: What is written

  @Test func safetensorsHaveEveryNameThatStrictLoadingAsksFor() throws {
    let json = try export("--to", "safetensors", "--output", "out.safetensors", "--json").json()
    #expect(json["format"].string == "safetensors")
    #expect(json["architecture"].string == "efficientnet_lite0")
    #expect(json["class_names"].array.compactMap(\.string) == classes)
    let file = try CheckpointReader.read(workspace.file("out.safetensors"))
    let graph = try Architecture(named: "efficientnet_lite0").graph(Head(classes: 3))
    let counters = file.names.filter { $0.hasSuffix(".num_batches_tracked") }
    #expect(
      Set(file.names).subtracting(counters)
        == Set(graph.parameters.map(\.path.description)))
    #expect(counters.count == file.names.filter { $0.hasSuffix(".running_mean") }.count)
    #expect(counters.contains("bn1.num_batches_tracked"))
    #expect(file["classifier.weight"]?.shape == [3, 1280])
    #expect(json["tensors"].int == file.count)
    #expect(json["bytes"].int == (try FileStatus(of: workspace.file("out.safetensors"))).size)
    try expectSamePredictions("out.safetensors")
  }

  @Test func onnxTakesNumbersOrBytesAndSaysSo() throws {
    let numbers = try export("--output", "plain.onnx", "--json").json()
    #expect(numbers["format"].string == "onnx")
    #expect(numbers["inputs"][0]["name"].string == "input")
    #expect(numbers["inputs"][0]["type"].string == "float32")
    #expect(
      numbers["inputs"][0]["shape"].array.compactMap(\.string) == ["batch", "3", "32", "32"])
    #expect(
      numbers["outputs"].array.compactMap { $0["name"].string } == ["probabilities", "logits"])
    #expect(
      numbers["outputs"][0]["shape"].array.compactMap(\.string) == ["batch", "3"])
    let bytes = try export(
      "--output", "bytes.onnx", "--preprocessing", "--results", "logits", "--json"
    ).json()
    #expect(bytes["inputs"][0]["name"].string == "image")
    #expect(bytes["inputs"][0]["type"].string == "uint8")
    #expect(
      bytes["inputs"][0]["shape"].array.compactMap(\.string) == ["batch", "32", "32", "3"])
    #expect(bytes["outputs"].array.compactMap { $0["name"].string } == ["logits"])
  }

  @Test(arguments: [[], ["--preprocessing"], ["--fold-batch-norm"]])
  func onnxPredictsWhatTheModelPredicts(_ options: [String]) throws {
    let arguments = ["export", "--model", model, "--output", "out.onnx"] + options
    let outcome = try workspace.start(arguments).wait()
    #expect(outcome.status == 0, "\(outcome.stderr)")
    #expect(outcome.stdout.contains("classes: 3"))
    try expectSamePredictions("out.onnx")
    let inspected = try workspace.thaw("pretrained", "inspect", "out.onnx", "--json").json()
    let metadata = inspected["metadata"]
    #expect(
      try JSON(metadata["thaw.class_names"].string ?? "").array.compactMap(\.string) == classes)
    #expect(metadata["thaw.preprocessing"].string?.contains("input_size") == true)
    #expect(inspected["architecture"].string == "efficientnet_lite0")
    #expect(inspected["class_names"].array.compactMap(\.string) == classes)
    #expect(inspected["classes"].int == 3 && inspected["preprocessing"].isThere)
  }

  @Test func aCardsNetworkIsExportedUntouched() throws {
    let outcome = try workspace.thaw(
      "export", "--model", TinyBackbone.name, "--output", "tiny.onnx", "--json")
    #expect(
      try outcome.json()["class_names"].array.compactMap(\.string)
        == ["this", "that", "something else"])
  }

  @Test func timmsNamesMakeACheckpointThatIsRecognised() throws {
    try export("--output", "timm.safetensors", "--names", "timm").succeeded()
    let inspected = try workspace.thaw("pretrained", "inspect", "timm.safetensors", "--json").json()
    #expect(inspected["architecture"].string == "efficientnet_lite0")
    #expect(inspected["certainty"].string == "sure" && inspected["unexpected"].array.isEmpty)
    try expectSamePredictions("timm.safetensors")
  }

  @Test func twoExportsAreTheSameBytes() throws {
    for name in ["one.onnx", "two.onnx"] { try export("--output", name).succeeded() }
    #expect(try workspace.read("one.onnx") == workspace.read("two.onnx"))
  }

  // MARK: What goes with it

  @Test(arguments: [
    ("out.onnx", ["out.onnx.README.md", "out.onnx.predict.py", "out.onnx.predict.mjs"]),
    ("out.safetensors", ["out.safetensors.README.md"]),
  ])
  func whatIsWrittenIsReadBackAndExplained(_ output: String, _ beside: [String]) throws {
    let json = try export("--output", output, "--json").json()
    #expect(json["checks"].array.count == 1)
    #expect(json["checks"][0]["reader"].string == "thaw")
    #expect(!json["checks"][0]["problem"].isThere)
    if output.hasSuffix(".onnx") {
      #expect(try #require(json["checks"][0]["logit_difference"].double) < 1e-3)
    } else {
      #expect(json["checks"][0]["same_tensors"].int == json["tensors"].int)
    }
    #expect(json["beside"].array.compactMap(\.string) == beside)
    let readme = try workspace.text(beside[0])
    for name in ["0 \"blue\"", "1 \"green stripes 🌿\"", "2 \"red\"", "std [128.0, 128.0, 128.0]"] {
      #expect(readme.contains(name), "\(name)")
    }
    let inspected = try workspace.thaw("pretrained", "inspect", output, "--json").json()
    let vector = try JSON(inspected["metadata"]["thaw.test_vector"].string ?? "")
    #expect(vector["probabilities"].array.count == 3)
    #expect(readme.contains(try #require(vector["square_sha256"].string)))
  }

  @Test func aFileOfSomebodyElseIsNotReplacedByTheReadme() throws {
    try AtomicFile.write(workspace.file("out.onnx.README.md"), text: "my own notes")
    let outcome = try export("--output", "out.onnx")
    #expect(outcome.status == 64 && outcome.stderr.contains("--no-readme"), "\(outcome.stderr)")
    #expect(!FileSystem.exists(workspace.file("out.onnx")))
    #expect(try workspace.text("out.onnx.README.md") == "my own notes")
    try export("--output", "out.onnx", "--no-readme").succeeded()
    #expect(!FileSystem.exists(workspace.file("out.onnx.predict.py")))
    // Its own are.
    for _ in 0..<2 { try export("--output", "again.onnx").succeeded() }
  }

  @Test func aPythonThatCannotCheckIsAnError() throws {
    let nothing = try export("--output", "out.onnx", "--check", "no-such-python")
    #expect(nothing.status == 64 && nothing.stderr.contains("no such program"))
    let lacking = try export("--output", "out.onnx", "--check", "/bin/false")
    #expect(lacking.status == 64 && lacking.stderr.contains("pip install"), "\(lacking.stderr)")
    let other = try export("--output", "out.safetensors", "--check", "python3")
    #expect(other.status == 64 && other.stderr.contains("--check is for ONNX"))
    #expect(!FileSystem.exists(workspace.file("out.onnx")))
  }

  /// A Python with ONNX Runtime: `THAW_TEST_PYTHON`, or the one on the path.
  static let python: String? = {
    let name = ProcessInfo.processInfo.environment["THAW_TEST_PYTHON"] ?? "python3"
    let found = try? ThawProcess(
      [], in: "/", shell: "'\(name)' -c 'import numpy, onnxruntime, PIL'"
    ).wait()
    return found?.status == 0 ? name : nil
  }()

  @Test(
    .enabled(
      if: python != nil,
      "no Python with numpy, pillow and onnxruntime; name one by THAW_TEST_PYTHON"),
    arguments: [[], ["--preprocessing"], ["--results", "logits"], ["--results", "probabilities"]])
  func theProgramInPythonPredictsWhatThawPredicts(_ options: [String]) throws {
    let python = try #require(ExportTests.python)
    let exported = try workspace.start(
      ["export", "--model", model, "--output", "out.onnx", "--check", python, "--json"] + options
    ).wait().json()
    #expect(exported["checks"].array.count == 2)
    #expect(exported["checks"][1]["reader"].string?.hasPrefix("ONNX Runtime") == true)
    #expect(try #require(exported["checks"][1]["probability_difference"].double) < 1e-5)
    let expected = try workspace.thaw("predict", "--model", model, "photos", "--json").json().array
    let photos = expected.compactMap { $0["path"].string }
    let outcome = try workspace.start(
      [], shell: "'\(python)' out.onnx.predict.py \(photos.joined(separator: " "))"
    ).wait()
    outcome.succeeded()
    let found = try outcome.stdout.split(separator: "\n").map { try JSON(String($0)) }
    #expect(found.count == expected.count && found.count == 4)
    for (one, other) in zip(found, expected) {
      #expect(one["label"].string == other["label"].string)
      let (left, right) = (one["probability"].double, other["probability"].double)
      #expect(abs(try #require(left) - (try #require(right))) < 1e-5)
    }
  }

  static let hasNode =
    (try? ThawProcess([], in: "/", shell: "node --version").wait())?.status == 0

  /// The module with a session that hands back what it was given: the square, byte by byte.
  @Test(.enabled(if: hasNode, "no node on the path"))
  func theModuleInJavaScriptCutsThePixelsThatThawCuts() throws {
    try export("--output", "out.onnx", "--preprocessing", "--results", "logits").succeeded()
    let script = """
      import * as model from "./out.onnx.predict.mjs";
      import { createHash } from "node:crypto";
      const square = model.square(model.testImage());
      const ort = { Tensor: class { constructor(...all) { [this.type, this.data, this.dims] = all; } } };
      let given;
      const session = { inputNames: ["image"], async run(feeds) {
        given = feeds.image; return { logits: { data: model.test.logits } }; } };
      const found = await model.probabilities(ort, session, model.testImage());
      const answer = await model.classify(ort, session, model.testImage());
      console.log(JSON.stringify({ hash: createHash("sha256").update(square).digest("hex"),
        expected: model.test.square_sha256, type: given.type, dims: given.dims, label: answer.label,
        worst: Math.max(...found.map((value, k) => Math.abs(value - model.test.probabilities[k]))) }));
      """
    try AtomicFile.write(workspace.file("try.mjs"), text: script)
    let json = try workspace.start([], shell: "node try.mjs").wait().json()
    #expect(json["hash"].string != nil && json["hash"].string == json["expected"].string)
    #expect(json["type"].string == "uint8")
    #expect(json["dims"].array.compactMap(\.int) == [1, 32, 32, 3])
    #expect(try #require(json["worst"].double) < 1e-6)
    #expect(classes.contains(json["label"].string ?? ""))
  }

  // MARK: What is refused

  @Test(arguments: [
    (["--output", "out.bin"], "--to is missing"),
    (["--to", "tflite", "--output", "out.onnx"], "tflite"),
    (["--to", "onnx", "--output", "out.safetensors"], "ends in .safetensors"),
    (["--output", "out.safetensors", "--preprocessing"], "for ONNX"),
    (["--output", "out.safetensors", "--results", "logits"], "for ONNX"),
    (["--output", "out.onnx", "--class-names", "names.txt"], "model file of Thaw"),
    (["--output", "photos", "--to", "onnx"], "no regular file"),
    (["--to", "onnx"], "--output"),
    (["--output", "out.onnx", "--names", "timm"], "--names is for safetensors"),
  ])
  func badArgumentsAreExplainedAndLeaveNothing(_ options: [String], _ reason: String) throws {
    let before = try FileSystem.list(workspace.path).map(\.string).sorted()
    let outcome = try workspace.start(["export", "--model", model] + options).wait()
    #expect(outcome.status == 64)
    #expect(outcome.stderr.contains(reason), "\(outcome.stderr)")
    #expect(outcome.stdout.isEmpty)
    #expect(try FileSystem.list(workspace.path).map(\.string).sorted() == before)
  }

  @Test func aFileThatCannotBeWrittenOrReadIsNamed() throws {
    let nowhere = try export("--output", "no/such/folder/out.onnx")
    #expect(nowhere.status == 74 && nowhere.stderr.contains("no/such/folder"))
    let nothing = try workspace.thaw(
      "export", "--model", "gone.safetensors", "--output", "out.onnx")
    #expect(nothing.status == 65 && nothing.stderr.contains("gone.safetensors: no such model"))
    let photo = try workspace.thaw(
      "export", "--model", "photos/red/0.png", "--output", "out.onnx")
    #expect(photo.status == 65 && photo.stderr.contains("photos/red/0.png"))
    #expect(!FileSystem.exists(workspace.file("out.onnx")))
  }

  // MARK: Back to the file it came from

  /// Names that another program gave, and counters that no network of ours has.
  @Test func aNetworkGoesBackUnderTheNamesOfItsFile() throws {
    try export("--output", "plain.safetensors").succeeded()
    let plain = try CheckpointReader.read(workspace.file("plain.safetensors"))
    let named = plain.tensors.map { $0.renamed("module.\($0.name)") }
    try SafetensorsWriter.write(workspace.file("yours.safetensors"), named)
    for output in ["back.safetensors", "back.npz"] {
      try export("--like", "yours.safetensors", "--output", output).succeeded()
      let back = try CheckpointReader.read(workspace.file(output))
      #expect(Set(back.names) == Set(named.map(\.name)), "\(output)")
      for tensor in plain.tensors {
        let same = try #require(back["module.\(tensor.name)"])
        #expect(try same.floats() == tensor.floats(), "\(tensor.name)")
      }
    }
  }

  @Test func whatCannotGoBackIsRefused() throws {
    let alone = try export("--output", "x.npz")
    #expect(alone.status == 64 && alone.stderr.contains("npz needs --like"))
    let onnx = try export("--like", "a.pth", "--output", "x.onnx")
    #expect(onnx.status == 64 && onnx.stderr.contains("--like is for safetensors and npz"))
    let other = try export("--like", "photos/red/0.png", "--output", "x.npz")
    #expect(other.status == 65 && other.stderr.contains("photos/red/0.png"))
    try export("--output", "same.safetensors").succeeded()
    let itself = try export("--like", "same.safetensors", "--output", "same.safetensors")
    #expect(itself.status == 64 && itself.stderr.contains("Give --output another name"))
  }

  @Test func theModelItselfIsNeverOverwritten() throws {
    let bytes = try FileSystem.read(FilePath(model))
    try AtomicFile.write(workspace.file("mine.safetensors"), bytes: bytes)
    try FileManager.default.createSymbolicLink(
      atPath: workspace.file("link.onnx").string,
      withDestinationPath: workspace.file("mine.safetensors").string)
    for output in ["mine.safetensors", "./mine.safetensors", "link.onnx"] {
      let outcome = try workspace.thaw(
        "export", "--model", "mine.safetensors", "--output", output)
      #expect(outcome.status == 64)
      #expect(
        outcome.stderr.contains("mine.safetensors itself. Give --output another name"),
        "\(outcome.stderr)")
    }
    #expect(try workspace.read("mine.safetensors") == bytes)
  }

  @Test func anotherFileIsReplacedAsAWhole() throws {
    try AtomicFile.write(workspace.file("out.onnx"), text: "what was here before")
    try export("--output", "out.onnx").succeeded()
    try export("--output", "fresh.onnx").succeeded()
    #expect(try workspace.read("out.onnx") == workspace.read("fresh.onnx"))
    #expect(!(try FileSystem.list(workspace.path)).contains { $0.string.contains(".tmp.") })
  }
}
