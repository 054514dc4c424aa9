// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import Testing
import ThawBackbones
import ThawCheckpoints
import ThawFiles
import ThawNetwork
import ThawTensors
import ThawTestSupport
import ThawTinyBackbone

/// `thaw pretrained import` and `inspect`, with files made up here.
struct PretrainedTests {
  private let workspace: Workspace

  /// `mine.safetensors`: an EfficientNet-Lite0 with two classes, beside cards of its own.
  init() throws {
    workspace = try Workspace(count: 2)
    try TinyBackbone.write(to: workspace.file("cards"))
    try write("mine.safetensors") { $0 }
    try AtomicFile.write(workspace.file("names.txt"), text: "cat\ndog\n")
  }

  private func write(
    _ name: String, change: ([StoredTensor]) -> [StoredTensor]
  ) throws {
    let graph = try Architecture(named: "efficientnet_lite0").graph(Head(classes: 2))
    let parameters = Parameters.procedural(for: graph)
    let tensors = parameters.paths.compactMap { path in
      parameters[path].map { StoredTensor(path.description, $0) }
    }
    try SafetensorsWriter.write(workspace.file(name), change(tensors))
  }

  private func importing(_ more: String...) throws -> Outcome {
    try workspace.start(["pretrained", "import"] + more).wait()
  }

  private func cards() throws -> [String] {
    try FileSystem.list(workspace.file("cards")).map(\.string).sorted()
  }

  // MARK: Import

  @Test func weightsOfOnesOwnBecomeACardThatPredicts() throws {
    let json = try importing(
      "mine.safetensors", "--card", "tiny", "--name", "pets", "--classes", "names.txt", "--json"
    ).json()
    #expect(json["name"].string == "pets")
    #expect(json["architecture"].string == "efficientnet_lite0")
    #expect(json["is_here"].bool == true)
    let listed = try workspace.thaw("pretrained", "list", "--json").json()
    #expect(listed.array.compactMap { $0["name"].string } == ["pets", "tiny"])
    let predicted = try workspace.thaw("predict", "--model", "pets", "photos", "--json").json()
    #expect(predicted.array.count == 4)
    #expect(predicted.array.allSatisfy { ["cat", "dog"].contains($0["label"].string) })
  }

  @Test func anOnnxClassifierBringsItsNetwork() throws {
    try workspace.thaw("export", "--model", "tiny", "--output", "tiny.onnx").succeeded()
    let outcome = try importing("tiny.onnx", "--name", "copy")
    outcome.succeeded()
    #expect(outcome.stdout.contains("(x - 127) / 128"))
    let arguments = ["photos/red/0.png", "--logits", "--json"]
    let logits = try ["tiny", "copy"].map { name in
      try workspace.start(["predict", "--model", name] + arguments).wait().json()[0]["logits"]
        .array.compactMap(\.double)
    }
    #expect(logits[0].count == 3 && logits[1].count == 3)
    for (one, other) in zip(logits[0], logits[1]) { #expect(abs(one - other) < 1e-4) }
  }

  @Test func optionsWithoutEffectOnAnOnnxFileAreErrors() throws {
    try workspace.thaw("export", "--model", "tiny", "--output", "idle.onnx").succeeded()
    let side = try workspace.thaw("pretrained", "list", "--json").json()
      .array.first { $0["name"].string == "tiny" }?["size"].int
    for (options, reason) in [
      (["--weights-key", "ema"], "--weights-key would have no effect: idle.onnx brings its own"),
      (["--rename-tensors"], "--rename-tensors would have no effect"),
      (
        ["--size", "64"], "--size 64 would have no effect: the network in idle.onnx takes images of"
      ),
    ] {
      let outcome = try workspace.start(
        ["pretrained", "import", "idle.onnx", "--name", "idle"] + options
      ).wait()
      #expect(outcome.status == 64 && outcome.stderr.contains(reason), "\(outcome.stderr)")
    }
    #expect(side != 64)
  }

  /// The network of such a card is in its file: it lends its preprocessing to other graphs, not to weights.
  @Test func aCardWithItsOwnNetworkIsNoNetworkForWeights() throws {
    try workspace.thaw("export", "--model", "tiny", "--output", "lend.onnx").succeeded()
    try importing("lend.onnx", "--name", "lender").succeeded()
    let weights = try importing("mine.safetensors", "--card", "lender", "--name", "pets")
    #expect(weights.status == 64)
    #expect(
      weights.stderr.contains("the network of the card lender is in its own file"),
      "\(weights.stderr)")
    var model = try ONNXReader.read(workspace.file("lend.onnx"))
    model.metadata = [:]
    try ONNXWriter.write(workspace.file("borrow.onnx"), model)
    let graph = try importing("borrow.onnx", "--card", "lender", "--name", "borrower")
    graph.succeeded()
    #expect(graph.stdout.contains("(x - 127) / 128"), "\(graph.stdout)")
  }

  /// A list of labels beside a graph names its classes; --class-names is what all other commands call it.
  @Test func classNamesBesideAnOnnxFileAreRead() throws {
    try workspace.thaw("export", "--model", "tiny", "--output", "theirs.onnx").succeeded()
    let folder = workspace.file("theirs")
    try FileSystem.createDirectory(folder)
    var model = try ONNXReader.read(workspace.file("theirs.onnx"))
    model.metadata = [:]
    try ONNXWriter.write(folder.appending("theirs.onnx"), model)
    try AtomicFile.write(folder.appending("labels.txt"), text: "0 owl\n1 ant\n2 fox\n")
    let arguments = ["theirs/theirs.onnx", "--preprocessing", "torch", "--json"]
    let predicted = try workspace.start(
      ["predict", "photos/red/0.png", "--model"] + arguments
    ).wait()
    #expect(predicted.stderr.contains("classes owl, ant, fox, from labels.txt beside it"))
    let seen = try workspace.thaw("pretrained", "inspect", "theirs/theirs.onnx", "--json").json()
    #expect(seen["class_names"].array.compactMap(\.string) == ["owl", "ant", "fox"])
    try AtomicFile.write(
      folder.appending("preprocessor_config.json"),
      text: """
        {"image_processor_type": "ViTImageProcessor", "size": {"height": 32, "width": 32},
         "image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.25, 0.3], "resample": 2}
        """)
    let stated = try workspace.thaw(
      "predict", "--model", "theirs/theirs.onnx", "photos/red/0.png")
    #expect(stated.status == 0 && stated.stderr.contains("as preprocessor_config.json says"))
    #expect(stated.stderr.contains("[0.4, 0.5, 0.6]"), "\(stated.stderr)")
    let described = try workspace.thaw("pretrained", "inspect", "theirs/theirs.onnx").stdout
    #expect(described.contains("as preprocessor_config.json says"), "\(described)")
    let taken = try workspace.start(["pretrained", "import", "--name", "birds"] + arguments).wait()
    taken.succeeded()
    let own = try workspace.thaw("predict", "--model", "birds", "photos/red/0.png", "--json").json()
    #expect(["owl", "ant", "fox"].contains(own[0]["label"].string))
    let names = workspace.file("three.txt")
    try AtomicFile.write(names, text: "a\nb\nc\n")
    try workspace.start(
      ["pretrained", "import", "--name", "abc", "--class-names", "three.txt"] + arguments
    ).wait().succeeded()
  }

  @Test func whatDoesNotFitIsListedAndNothingIsTaken() throws {
    try write("less.safetensors") { tensors in
      tensors.filter { $0.name != "bn1.bias" } + [
        StoredTensor("extra", Tensor<Float>([1], shape: [1]))
      ]
    }
    let before = try cards()
    let less = try importing(
      "less.safetensors", "--card", "tiny", "--name", "pets", "--classes", "names.txt")
    #expect(less.status == 65)
    #expect(less.stderr.contains("1 missing: bn1.bias"), "\(less.stderr)")
    #expect(less.stderr.contains("--allow-missing"))
    let notTheFile = try importing("mine.safetensors", "--card", "tiny")
    #expect(notTheFile.status == 65, "\(notTheFile.stderr)")
    #expect(try cards() == before)
  }

  @Test(arguments: [
    (["mine.safetensors"], "--card"),
    (
      ["mine.safetensors", "--name", "pets", "--preprocessing", "torch"],
      "--preprocessing would have no effect"
    ),
    (["mine.safetensors", "--name", "pets", "--size", "64"], "--size would have no effect"),
    (
      ["mine.safetensors", "--name", "pets", "--external-data"],
      "--external-data would have no effect"
    ),
    (
      ["mine.safetensors", "--card", "tiny", "--allow-missing", "--weights-key", "ema"],
      "--weights-key, --allow-missing says nothing about the file that a card names"
    ),
    (["mine.safetensors", "--card", "tiny", "--classes", "names.txt"], "--name"),
    (["mine.safetensors", "--card", "tiny", "--preprocessing", "torch"], "give one of them"),
    (["mine.safetensors", "--name", "pets", "--size", "3"], "16 to 4096"),
  ])
  func badArgumentsAreExplained(_ arguments: [String], _ reason: String) throws {
    let before = try cards()
    let outcome = try workspace.start(["pretrained", "import"] + arguments).wait()
    #expect(outcome.status == 64)
    #expect(outcome.stderr.contains(reason), "\(outcome.stderr)")
    #expect(try cards() == before)
  }

  @Test(arguments: ["../pets", "a/b", ".", "tiny"])
  func namesThatAreNoneOrTakenAreRefused(_ name: String) throws {
    let before = try cards()
    let outcome = try importing(
      "mine.safetensors", "--card", "tiny", "--name", name, "--classes", "names.txt")
    #expect(outcome.status == 64 || outcome.status == 65, "\(outcome.stderr)")
    #expect(outcome.errors.count == 1)
    #expect(try cards() == before)
  }

  // MARK: Inspect

  @Test func aModelFileAndACardSayWhatTheyAre() throws {
    let model = try Workspace.fitted.get().workspace.file("run/model.safetensors").string
    let json = try workspace.thaw("pretrained", "inspect", model, "--json").json()
    #expect(json["certainty"].string == "sure")
    #expect(json["class_names"].array.count == 3 && json["missing"].array.isEmpty)
    let card = try workspace.thaw("pretrained", "inspect", "tiny", "--json").json()
    #expect(card["architecture"].string == "efficientnet_lite0" && card["classes"].int == 3)
  }

  @Test func everyTensorIsListedWithTypeAndShape() throws {
    let json = try workspace.thaw("pretrained", "inspect", "mine.safetensors", "--json").json()
    let rows = json["tensors"].array
    let last = try #require(rows.first { $0["name"].string == "classifier.weight" })
    #expect(last["type"].string == "F32")
    #expect(last["shape"].array.compactMap(\.int) == [2, 1280])
    #expect(json["format"].string == "safetensors")
    #expect(rows.count == json["matched"].int)
  }

  @Test func anOnnxFileThatIsNotUnderstoodNamesTheNode() throws {
    let graph = ONNXGraph(
      name: "odd",
      nodes: [
        ONNXNode("Tan", name: "strange", inputs: ["input"], outputs: ["output"])
      ], initializers: [],
      inputs: [ONNXValue("input", .float32, [.named("batch"), .size(3), .size(8), .size(8)])],
      outputs: [ONNXValue("output", .float32, nil)])
    try ONNXWriter.write(workspace.file("odd.onnx"), ONNXModel(graph: graph))
    let json = try workspace.thaw("pretrained", "inspect", "odd.onnx", "--json").json()
    #expect(json["certainty"].string == "unknown")
    #expect(json["reason"].string?.contains("Tan") == true)
  }

  @Test func filesThatAreNoneEndInOneError() throws {
    try AtomicFile.write(workspace.file("text.pth"), text: "not a checkpoint")
    try AtomicFile.write(
      workspace.file("cut.safetensors"),
      bytes: Array(try workspace.read("mine.safetensors").prefix(5000)))
    try AtomicFile.write(
      workspace.file("huge.safetensors"), bytes: [UInt8](repeating: 0xFF, count: 64))
    try AtomicFile.write(workspace.file("empty.h5"), bytes: [])
    for name in ["text.pth", "cut.safetensors", "huge.safetensors", "empty.h5"] {
      let outcome = try workspace.thaw("pretrained", "inspect", name, "--json")
      #expect(outcome.status == 65, "\(name): \(outcome.stderr)")
      #expect(outcome.stdout.isEmpty && outcome.errors.count == 1)
      #expect(outcome.stderr.contains(name))
    }
    let gone = try workspace.thaw("pretrained", "inspect", "gone.pth", "--json")
    #expect(gone.status != 0 && gone.stderr.contains("gone.pth"))
  }
}
