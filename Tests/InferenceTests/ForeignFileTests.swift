// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import Testing
import ThawBackbones
import ThawCheckpoints
import ThawConsole
import ThawFiles
import ThawInference
import ThawNetwork
import ThawTensors
import ThawTestSupport

/// Folders as models, and why a file is none.
struct ForeignFileTests {
  private let folder: TemporaryDirectory

  init() throws { folder = try TemporaryDirectory() }

  private func write(_ name: String, _ tensors: [String]) throws {
    try SafetensorsWriter.write(
      folder.path.appending(name), tensors.map { StoredTensor($0, Tensor(zeros: [2])) })
  }

  @Test func aFolderIsReadByTheUsualNameAndOthersAreMentioned() throws {
    try write("model.safetensors", ["a.weight"])
    try write("pytorch_model.bin", ["b.weight"])
    let file = try ForeignFile(folder.path)
    #expect(file.checkpoint.names == ["a.weight"])
    #expect(file.remarks == ["read is model.safetensors; pytorch_model.bin beside it is not"])
  }

  @Test func shardsAreReadTogether() throws {
    try write("model-1.safetensors", ["a.weight"])
    try write("model-2.safetensors", ["b.weight"])
    let index = folder.path.appending("model.safetensors.index.json")
    try AtomicFile.write(
      index,
      text: """
        {"weight_map": {"a.weight": "model-1.safetensors", "b.weight": "model-2.safetensors"}}
        """)
    #expect(try ForeignFile(folder.path).checkpoint.names == ["a.weight", "b.weight"])
    try AtomicFile.write(index, text: #"{"weight_map": {"a.weight": "../model-1.safetensors"}}"#)
    #expect(throws: PipelineError.self) { try ForeignFile(folder.path) }
  }

  @Test func severalUnknownFilesAreNotGuessedAmong() throws {
    #expect(throws: PipelineError.self) { try ForeignFile(folder.path) }
    try write("best.pth", ["a.weight"])
    #expect(try ForeignFile(folder.path).checkpoint.names == ["a.weight"])
    try write("last.pth", ["a.weight"])
    let error = #expect(throws: PipelineError.self) { try ForeignFile(folder.path) }
    #expect(error?.description.contains("best.pth, last.pth") == true)
  }

  /// Positions that turn queries and keys are said to be what a file has that is no DINOv3.
  @Test(arguments: [
    ["patch_embed.proj.weight", "blocks.0.attn.qkv.weight", "reg_token", "cls_token"],
    ["patch_embed.proj.weight", "blocks.0.attn.qkv.weight", "rope_embed.periods"],
    [
      "embeddings.patch_embeddings.weight", "layer.0.attention.q_proj.weight",
      "embeddings.register_tokens",
    ],
  ])
  func rotaryPositionsAreNamed(_ names: [String]) throws {
    try write("model.safetensors", names)
    let file = try ForeignFile(folder.path)
    #expect(ForeignProblem(file, nearest: nil, card: nil).text.contains("rotary embeddings"))
    // Added ones are none.
    try write("model.safetensors", names.filter { !$0.contains("rope") } + ["pos_embed"])
    let other = try ForeignFile(folder.path)
    #expect(!ForeignProblem(other, nearest: nil, card: nil).text.contains("rotary"))
    try AtomicFile.write(
      folder.path.appending("config.json"), text: #"{"model_type": "dinov3_vit"}"#)
    let stated = try ForeignFile(folder.path)
    #expect(ForeignProblem(stated, nearest: nil, card: nil).text.contains("rotary embeddings"))
  }

  /// SqueezeNet's classifier has its ReLU before the mean; a dense layer of somebody's own is one.
  @Test func squeezeNetsClassifierIsAConvolution() throws {
    let architecture = try Architecture(named: "squeezenet1_1")
    let backbone = architecture.graph(Head(classes: 1)).parameters.filter {
      !$0.path.description.hasPrefix("classifier")
    }
    func fit(_ head: [(String, Shape)]) -> (Checkpoint, WeightFit) {
      let tensors =
        backbone.map { StoredTensor($0.path.description, Tensor(zeros: $0.shape)) }
        + head.map { StoredTensor($0.0, .procedural(ParameterPath($0.0), shape: $0.1)) }
      let checkpoint = Checkpoint(
        tensors: tensors, metadata: [:], format: .torchZip, path: "squeezed.pth")
      return (checkpoint, WeightFit(checkpoint, architecture))
    }
    let (published, found) = fit([
      ("classifier.1.weight", [7, 512, 1, 1]), ("classifier.1.bias", [7]),
    ])
    #expect(found.isComplete && found.head == nil)
    let head = try #require(ForeignHeads.found(published, found))
    #expect(head.classes == 7)
    let (graph, parameters) = try head.network(found, found.parameters(of: published))
    #expect(
      graph.nodes.suffix(4).map(\.operation)
        == [
          .convolution(
            Convolution2D(inputs: 512, outputs: 7, window: Window2D(kernel: 1), hasBias: true)),
          .activation(.relu), .globalAveragePooling, .flatten,
        ])
    #expect(parameters["classifier.1.weight"]?.shape == [7, 512, 1, 1])
    try parameters.validate(for: graph)
    let (own, dense) = fit([("classifier.1.weight", [7, 512]), ("classifier.1.bias", [7])])
    #expect(dense.isComplete && dense.head == Head(classes: 7))
    #expect(ForeignHeads.found(own, dense) == nil)
  }

  @Test func classNamesAndArchitectureComeFromBeside() throws {
    try write("model.safetensors", ["a.weight"])
    try AtomicFile.write(
      folder.path.appending("config.json"),
      text: #"{"architecture": "tf_efficientnet_b0", "label_names": ["cat", "dog"]}"#)
    try AtomicFile.write(folder.path.appending("labels.txt"), text: "0 cat\n1 dog\n")
    // The file itself is as good as its folder.
    for path in [folder.path, folder.path.appending("model.safetensors")] {
      let file = try ForeignFile(path)
      #expect(file.statedArchitecture == "tf_efficientnet_b0")
      #expect(file.classLists.map(\.names) == [["cat", "dog"], ["cat", "dog"]])
      #expect(
        file.classLists.map(\.origin)
          == ["'label_names' in config.json beside it", "labels.txt beside it"])
    }
  }

  // MARK: Causes

  private func problem(
    _ tensors: [(String, Shape)], card: String? = nil, format: CheckpointFormat = .safetensors
  ) throws -> String {
    let stored = tensors.map { name, shape in
      StoredTensor(name, .float32, shape) { body in
        [Float](repeating: 0, count: shape.count).withUnsafeBytes { body($0, 0) }
      }
    }
    let checkpoint = Checkpoint(tensors: stored, metadata: [:], format: format, path: "net.pth")
    let identity = try CheckpointIdentity(checkpoint, cards: [])
    return ForeignProblem(ForeignFile(checkpoint), nearest: identity.nearest, card: card).text
  }

  private func resNet(
    _ change: (String, Shape) -> (String, Shape)? = { ($0, $1) }
  ) throws -> [(String, Shape)] {
    try Architecture(named: "resnet18").graph(Head(classes: 3)).parameters.compactMap {
      change($0.path.description, $0.shape)
    }
  }

  @Test func eachCauseIsNamedWithItsOwnWayOut() throws {
    #expect(try problem([("base.layer.lora_A.weight", [4, 8])]).contains("an adapter"))
    #expect(try problem([("fc.weight", [4, 8])]).contains("no convolution"))
    let patches: [(String, Shape)] = [
      ("patch_embed.proj.weight", [8, 3, 16, 16]), ("blocks.0.attn.qkv.weight", [4, 4]),
    ]
    #expect(try problem(patches).contains("a vision transformer of timm"))
    let wide = try resNet { ($0, $0 == "layer1.0.conv1.weight" ? [64, 64, 5, 5] : $1) }
    let changed = try problem(wide)
    #expect(changed.contains("resnet18, the nearest") && changed.contains("1 unfitting"))
    let less = try problem(try resNet { $0 == "layer2.0.bn1.bias" ? nil : ($0, $1) })
    #expect(less.contains("1 missing: layer2.0.bn1.bias") && less.contains("--allow-missing"))
    let more = try problem(try resNet() + [("layer1.0.se.weight", [4, 64, 1, 1])])
    #expect(more.contains("1 unexpected: layer1.0.se.weight") && more.contains("ONNX"))
    let strange = try problem([("one.weight", [8, 3, 3, 3]), ("two.weight", [8, 8, 3, 3])])
    #expect(strange.contains("fit no architecture") && strange.contains("ONNX"))
    for text in [changed, less, more, strange] { #expect(!text.contains("--card")) }
  }

  @Test func batchNormsWithoutStatisticsOrWithoutScalesAreNamed() throws {
    let text = try problem(
      try resNet { name, shape in
        name.hasSuffix("running_mean") || name.hasSuffix("running_var") ? nil : (name, shape)
      })
    #expect(text.contains("track_running_stats=False"), "\(text)")
    #expect(text.contains("thaw diagnose batchnorm") && text.contains("--allow-missing"))
    #expect(!text.contains("drawn at random"))
    // A mean alone is lost, not left out.
    let mean = try problem(try resNet { $0 == "layer2.0.bn1.running_mean" ? nil : ($0, $1) })
    #expect(mean.contains("drawn at random") && !mean.contains("track_running_stats"))
  }

  @Test func anotherNameForEveryLayerIsRecognisedByTheShapes() throws {
    var number = 0
    let renamed = try resNet { name, shape in
      number += 1
      return ("part\(number).\(name.split(separator: ".").last ?? "")", shape)
    }
    let text = try problem(renamed, format: .torchZip)
    #expect(text.contains("in order, are resnet18's") && text.contains("--rename-tensors"))
    // Files that sort their tensors say nothing by their order.
    #expect(try !problem(renamed, format: .safetensors).contains("--rename-tensors"))
  }
}
