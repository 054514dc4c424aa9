// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import Testing
import ThawCheckpoints
import ThawConsole
import ThawFiles
import ThawImages
import ThawInference
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
}
