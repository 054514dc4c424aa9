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
