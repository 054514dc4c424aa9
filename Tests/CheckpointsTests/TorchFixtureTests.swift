// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawCheckpoints
import ThawFiles
import ThawTensors
import ThawTestSupport

/// Files written by the real PyTorch and safetensors.
struct TorchFixtureTests {
  static let everyType = [
    "types.legacy.pth", "types.zip.pth", "types.safetensors",
  ]

  @Test(arguments: everyType)
  func everyTypeHasItsValues(_ name: String) throws {
    let checkpoint = try read(fixture(name))
    let floating = ["float64", "float32", "float16", "bfloat16"]
    let integers = ["int64", "int32", "int16", "int8"]
    let tensors = floating + integers + ["uint8", "bool", "scalar", "empty"]
    #expect(Set(checkpoint.names) == Set(tensors))
    for (number, name) in tensors.enumerated().prefix(10) {
      let tensor = try #require(checkpoint[name])
      #expect(tensor.shape == [2, 3])
      let expected = formula(number, 6).map { value -> Float in
        switch name {
        case "bool": value > 0 ? 1 : 0
        case "uint8": value + 11
        default: integers.contains(name) ? value : value / 4
        }
      }
      #expect(try tensor.floats().elements == expected, "\(name)")
    }
    #expect(try checkpoint["scalar"]?.floats() == Tensor([formula(10, 1)[0] / 4], shape: []))
    #expect(try checkpoint["empty"]?.floats() == Tensor(zeros: [0, 3]))
  }

  @Test func elementTypesAreKept() throws {
    for name in TorchFixtureTests.everyType {
      let checkpoint = try read(fixture(name))
      let types = Dictionary(
        uniqueKeysWithValues: checkpoint.tensors.map { ($0.name, $0.elementType.rawValue) })
      #expect(types["float64"] == "F64" && types["float16"] == "F16" && types["bool"] == "BOOL")
      #expect(types["bfloat16"] == "BF16" && types["int64"] == "I64" && types["uint8"] == "U8")
      #expect(types["int32"] == "I32" && types["int16"] == "I16" && types["int8"] == "I8")
    }
  }

  @Test(arguments: ["views.legacy.pth", "views.zip.pth"])
  func sharedAndStridedTensorsAreMaterialised(_ name: String) throws {
    let checkpoint = try read(fixture(name))
    func floats(_ name: String) throws -> Tensor<Float> { try #require(checkpoint[name]).floats() }
    let base = formula(0, 24).map { $0 / 4 }
    #expect(try floats("base") == Tensor(base, shape: [4, 6]))
    #expect(try floats("tied") == Tensor(base, shape: [4, 6]))
    #expect(try floats("row") == Tensor(base[12..<18], shape: [6]))
    let transposed = (0..<6).flatMap { column in (0..<4).map { base[$0 * 6 + column] } }
    #expect(try floats("transposed") == Tensor(transposed, shape: [6, 4]))
    #expect(
      try floats("sliced")
        == Tensor([base[6], base[8], base[10], base[12], base[14], base[16]], shape: [2, 3]))
    let row = formula(2, 3).map { $0 / 4 }
    #expect(try floats("expanded") == Tensor(row + row + row + row, shape: [4, 3]))
    #expect(
      try floats("channels_last") == Tensor(formula(1, 24).map { $0 / 4 }, shape: [2, 3, 2, 2]))
    let half = formula(3, 24).map { $0 / 4 }
    let halves = (0..<6).flatMap { column in (0..<4).map { half[$0 * 6 + column] } }
    #expect(try floats("half") == Tensor(halves, shape: [6, 4]))
  }

  @Test(arguments: ["run.legacy.pth", "run.zip.pth"])
  func weightsAreFoundInsideATrainingRunAndLoseTheirParallelPrefix(_ name: String) throws {
    let checkpoint = try read(fixture(name))
    #expect(
      checkpoint.names == [
        "conv.weight", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var",
        "bn.num_batches_tracked",
      ])
    let expected = formula(0, 54).map { $0 / 4 }
    #expect(try checkpoint["conv.weight"]?.floats() == Tensor(expected, shape: [3, 2, 3, 3]))
  }

  @Test(arguments: ["parameters.legacy.pth", "parameters.zip.pth"])
  func parametersAreTensors(_ name: String) throws {
    let checkpoint = try read(fixture(name))
    #expect(checkpoint.names == ["conv.weight", "bn.weight", "bn.bias"])
    #expect(try checkpoint["bn.bias"]?.floats().elements == formula(2, 3).map { $0 / 4 })
  }

  @Test func aWholePickledModuleGivesItsParametersAndBuffers() throws {
    let checkpoint = try read(fixture("module.zip.pth"))
    #expect(
      checkpoint.names == [
        "conv.weight", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var",
        "bn.num_batches_tracked",
      ])
    #expect(
      try checkpoint["conv.weight"]?.floats()
        == Tensor(formula(0, 54).map { $0 / 4 }, shape: [3, 2, 3, 3]))
    #expect(
      checkpoint.surroundings?.writer == "a pickled torch.nn.modules.container.Sequential")
  }

  /// A list of numbers and a tensor say the same; the numbers are those that were meant.
  @Test(arguments: ["normalized.zip.pth", "normalized.legacy.pth"])
  func aPickledNormalizationIsRead(_ name: String) throws {
    let around = try #require(try read(fixture(name)).surroundings)
    #expect(
      around.normalization == PickledNormalization(mean: [0.4, 0.5, 0.6], std: [0.2, 0.25, 0.3]))
    #expect(try read(fixture("strangers.zip.pth")).surroundings?.normalization == nil)
  }

  /// The classes of its layers are texts, and of their attributes only plain settings are kept.
  @Test func aWholePickledModuleSaysWhatItsLayersAre() throws {
    let modules = try #require(try read(fixture("module.zip.pth")).surroundings).modules
    #expect(modules.map(\.path) == ["", "conv", "bn"])
    #expect(modules.map(\.shortName) == ["Sequential", "Conv2d", "BatchNorm2d"])
    #expect(modules[1].className == "torch.nn.modules.conv.Conv2d")
    #expect(modules[1].settings["stride"]?.integers == [1, 1])
    #expect(modules[1].settings["padding_mode"]?.text == "zeros")
    #expect(modules[2].settings["eps"]?.double == 1e-5)
    #expect(modules[2].settings["momentum"] == nil)
    let bare = try read(fixture("parameters.zip.pth"))
    #expect(bare.surroundings?.modules.isEmpty == true)
  }

  @Test func writtenBytesAreThoseOfTheReferenceWriter() throws {
    let reference = try fixture("types.safetensors")
    let checkpoint = try read(fixture("types.legacy.pth"))
    let directory = try TemporaryDirectory()
    let path = directory.path.appending("types.safetensors")
    try SafetensorsWriter.write(path, checkpoint.tensors, metadata: ["format": "pt"])
    #expect(try FileSystem.read(path) == reference)
  }
}
