// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import Testing
import ThawBackbones
import ThawCheckpoints
import ThawConsole
import ThawFiles
import ThawImages
import ThawInference
import ThawNetwork
import ThawTensors
import ThawTestSupport

/// Preprocessing as the files beside a model say it; the texts are those that the libraries write.
struct StatedContractTests {
  private let folder: TemporaryDirectory

  init() throws {
    folder = try TemporaryDirectory()
    try SafetensorsWriter.write(
      folder.path.appending("model.safetensors"),
      [StoredTensor("conv1.weight", Tensor(zeros: [1]))])
  }

  private func contract(_ name: String, _ text: String) throws -> Preprocessing? {
    try AtomicFile.write(folder.path.appending(name), text: text)
    return try StatedContract(ForeignFile(folder.path))?.preprocessing
  }

  @Test func timmsIsReadFromItsConfiguration() throws {
    let json = """
      {"architecture": "resnet18", "num_classes": 3, "pretrained_cfg": {"input_size": [3, 224, 224],
       "test_input_size": [3, 288, 288], "interpolation": "bicubic", "crop_pct": 0.95,
       "crop_mode": "center", "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.4, 0.3]}}
      """
    let found = try #require(try contract("config.json", json))
    #expect(found.inputSize == 224 && found.resizeTarget == 235 && found.interpolation == .bicubic)
    #expect(found.mean == [0.5, 0.5, 0.5] && found.std == [0.5, 0.4, 0.3])
    #expect(found.scale == 1 / 255.0 && found.resizeRule == .shorterSide)
    let squashed = json.replacing("\"center\"", with: "\"squash\"")
    #expect(try contract("config.json", squashed)?.resizeRule == .squash)
  }

  @Test(arguments: [("\"center\"", "\"border\""), ("bicubic", "lanczos"), ("0.95", "-1")])
  func whatCannotBeKeptIsAnErrorWithAWayOut(_ old: String, _ new: String) throws {
    let json = """
      {"pretrained_cfg": {"input_size": [3, 224, 224], "interpolation": "bicubic", "crop_pct": 0.95,
       "crop_mode": "center", "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.4, 0.3]}}
      """
    let error = #expect(throws: PipelineError.self) {
      try contract("config.json", json.replacing(old, with: new))
    }
    #expect(error?.description.contains("--card") == true)
  }

  @Test func transformersProcessorsDifferInTheirGeometry() throws {
    let common = """
      "do_normalize": true, "do_rescale": true, "do_resize": true, "image_mean": [0.5, 0.5, 0.5],
      "image_std": [0.25, 0.25, 0.25], "rescale_factor": 0.00392156862745098,
      """
    func of(_ rest: String) throws -> Preprocessing {
      try #require(try contract("preprocessor_config.json", "{\(common) \(rest)}"))
    }
    let convNeXt = try of(
      """
      "image_processor_type": "ConvNextImageProcessor", "crop_pct": 0.875, "resample": 3,
      "size": {"shortest_edge": 224}
      """)
    #expect(convNeXt.inputSize == 224 && convNeXt.resizeTarget == 256)
    #expect(convNeXt.interpolation == .bicubic && convNeXt.resizeRule == .shorterSide)
    let large = try of(
      """
      "image_processor_type": "ConvNextImageProcessor", "crop_pct": 0.875, "resample": 2,
      "size": {"shortest_edge": 384}
      """)
    #expect(large.inputSize == 384 && large.resizeTarget == 384 && large.resizeRule == .squash)
    let mobile = try of(
      """
      "image_processor_type": "MobileNetV2ImageProcessor", "resample": 2, "do_center_crop": true,
      "size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}
      """)
    #expect(mobile.inputSize == 224 && mobile.resizeTarget == 256)
    let vit = try of(
      """
      "image_processor_type": "ViTImageProcessor", "resample": 2, "size": {"height": 224, "width": 224}
      """)
    #expect(vit.inputSize == 224 && vit.resizeTarget == 224 && vit.resizeRule == .squash)
    // Its processor divides by the deviation twice.
    let efficient = try of(
      """
      "image_processor_type": "EfficientNetImageProcessor", "resample": 2, "include_top": true,
      "rescale_offset": false, "size": {"height": 346, "width": 346}, "do_center_crop": false
      """)
    #expect(efficient.std == [0.0625, 0.0625, 0.0625])
    // Which pixel is the nearest, its versions do not agree on.
    #expect(throws: PipelineError.self) {
      try of(
        """
        "image_processor_type": "EfficientNetImageProcessor", "resample": 0, "include_top": true,
        "rescale_offset": false, "size": {"height": 346, "width": 346}, "do_center_crop": false
        """)
    }
  }

  @Test func aResizedSideIsMetExactly() throws {
    for target in 224...400 {
      let found = try #require(
        try contract(
          "preprocessor_config.json",
          """
          {"image_processor_type": "CLIPImageProcessor", "image_mean": [0, 0, 0],
           "image_std": [1, 1, 1], "do_center_crop": true, "resample": 3,
           "size": {"shortest_edge": \(target)}, "crop_size": {"height": 224, "width": 224}}
          """))
      #expect(found.resizeTarget == target)
    }
  }

  private static let photos = """
    "image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.25, 0.25], "resample": 2,
    """

  @Test(arguments: [
    (#""size": {"height": 200, "width": 224}"#, "size is 200 x 224"),
    (
      #""size": {"shortest_edge": 256}, "do_center_crop": true, "crop_size": {"height": 224, "width": 200}"#,
      "crop_size is 224 x 200"
    ),
    (#""size": {"height": 224, "width": 224}, "do_resize": false"#, "do_resize is false"),
    (
      #""size": {"shortest_edge": 224}, "do_flip_channel_order": true"#,
      "do_flip_channel_order is true, which Thaw does not do"
    ),
    (#""size": {"shortest_edge": 224}, "do_pad": true"#, "do_pad is true"),
    (#""size": {"longest_edge": 224}"#, #"size is {"longest_edge":224}"#),
    (#""do_normalize": true"#, "size is not there"),
  ])
  func stepsThatThawDoesNotTakeAreRefused(_ rest: String, _ expected: String) throws {
    let error = #expect(throws: PipelineError.self) {
      try contract("preprocessor_config.json", "{\(rest), \(Self.photos.dropLast())}")
    }
    #expect(error?.description.contains(expected) == true, "\(error?.description ?? "none")")
    #expect(error?.description.contains("--card") == true)
  }

  @Test func whatChangesNothingIsNoStep() throws {
    let found = try contract(
      "preprocessor_config.json",
      """
      {\(Self.photos) "do_convert_rgb": true, "do_reduce_labels": false, "do_pad": false,
       "do_flip_channel_order": null, "size": {"height": 224, "width": 224}}
      """)
    #expect(found?.inputSize == 224)
    let single = try contract(
      "preprocessor_config.json",
      #"{"image_mean": 0.5, "image_std": 0.25, "size": {"height": 96, "width": 96}}"#)
    #expect(single?.mean == [0.5, 0.5, 0.5] && single?.std == [0.25, 0.25, 0.25])
  }

  @Test(arguments: ["[3, 160, 192]", "[1, 224, 224]", "[224]", "224"])
  func timmsInputIsASquareOfThreeChannels(_ size: String) throws {
    let json = """
      {"pretrained_cfg": {"input_size": \(size), "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.4, 0.3]}}
      """
    #expect(throws: PipelineError.self) { try contract("config.json", json) }
  }

  @Test func aFileThatCannotBeReadIsNotPassedOver() throws {
    let error = #expect(throws: PipelineError.self) {
      try contract("preprocessor_config.json", "{\"size\": ")
    }
    #expect(
      error?.description.contains("preprocessor_config.json beside it cannot be read") == true)
  }

  /// timm's models within transformers have timm's words in the processor's file.
  @Test func timmsWordsInAProcessorsFileAreRead() throws {
    let found = try contract(
      "preprocessor_config.json",
      """
      {"image_processor_type": "TimmWrapperImageProcessor", "architecture": "resnet18",
       "pretrained_cfg": {"input_size": [3, 160, 160], "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.4, 0.3], "crop_pct": 1.0}}
      """)
    #expect(found?.inputSize == 160 && found?.std == [0.5, 0.4, 0.3])
  }

  /// A wrapper that normalises its input keeps the numbers as buffers beside the network.
  @Test(arguments: [(1.0, 1 / 255.0), (255.0, 1.0)])
  func buffersBesideTheNetworkAreTheContract(_ range: Float, _ scale: Double) throws {
    let graph = try Architecture(named: "resnet18").graph(Head(classes: 3))
    func checkpoint(_ others: [StoredTensor]) -> Checkpoint {
      Checkpoint(
        tensors: graph.parameters.map {
          StoredTensor("model." + $0.path.description, Tensor(zeros: $0.shape))
        } + others, metadata: [:], format: .torchZip, path: "m.pth")
    }
    func contract(_ others: [StoredTensor]) throws -> Preprocessing? {
      let checkpoint = checkpoint(others)
      let identity = try CheckpointIdentity(checkpoint, cards: [], architecture: "resnet18")
      let fit = try #require(identity.best)
      return StatedContract(
        buffersOf: checkpoint, fit, usual: identity.preprocessing)?.preprocessing
    }
    let mean = StoredTensor(
      "mean", Tensor([0.5 * range, 0.25 * range, 0.75 * range], shape: [1, 3, 1, 1]))
    let std = StoredTensor(
      "std", Tensor([0.5 * range, 0.25 * range, 0.125 * range], shape: [1, 3, 1, 1]))
    let found = try #require(try contract([mean, std]))
    #expect(found.scale == scale)
    #expect(found.mean == [0.5, 0.25, 0.75].map { $0 * Double(range) })
    #expect(found.std == [0.5, 0.25, 0.125].map { $0 * Double(range) })
    #expect(try contract([mean]) == nil)
    #expect(try contract([]) == nil)
  }
}
