// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawBackbones
import ThawCheckpoints
import ThawNetwork
import ThawTensors

/// Weights go back to the program that they came from.
struct OriginalNamesTests {
  /// The file's tensors, each element another number.
  private func file(
    _ list: String, change: ([(String, Shape)]) -> [(String, Shape)] = { $0 }
  ) throws -> Checkpoint {
    let names = try NameMappingTests.checkpoint(list, format: .kerasWeights, change: change)
    let tensors = names.tensors.enumerated().map { number, tensor in
      StoredTensor(
        tensor.name,
        Tensor((0..<tensor.shape.count).map { Float($0 + number) }, shape: tensor.shape))
    }
    return Checkpoint(tensors: tensors, metadata: [:], format: .kerasWeights, path: "net")
  }

  private func parameters(_ file: Checkpoint, _ architecture: Architecture) throws -> Parameters {
    try WeightFit(file, architecture).parameters(of: file)
  }

  @Test(arguments: [
    ("keras_mobilenet_v2", "mobilenet_v2_keras"),
    ("keras_efficientnet_b0", "efficientnet_b0_keras"),
    ("timm_mobilenet_v2", "mobilenet_v2"),
  ])
  func everyTensorComesBackWhereItWas(list: String, name: String) throws {
    let file = try file(list)
    let architecture = try Architecture(named: name)
    var parameters = try parameters(file, architecture)
    for path in parameters.paths {
      guard let tensor = parameters[path] else { continue }
      parameters[path] = Tensor(tensor.elements.map { $0 + 1 }, shape: tensor.shape)
    }
    let fit = WeightFit(file, architecture)
    let known = Set(parameters.paths.compactMap(fit.source))
    let back = try OriginalNames(file, architecture).tensors(parameters)
    #expect(
      back.map(\.name) == file.tensors.map(\.name) && back.map(\.shape) == file.tensors.map(\.shape)
    )
    for (new, old) in zip(back, file.tensors) {
      // The mean and variance of the pixels are the preprocessing's affair, and stay.
      let added: Float = known.contains(new.name) ? 1 : 0
      let expected = try old.floats().elements.map { $0 + added }
      #expect(try new.floats().elements == expected, "\(new.name)")
    }
    #expect(known.count > 200)
  }

  /// DataParallel's prefix is taken off when a file is read, and comes back.
  @Test func theWrappersPrefixComesBack() throws {
    let names = try NameMappingTests.checkpoint("torchvision_resnet18", format: .torchZip)
    var around = CheckpointSurroundings()
    around.prefix = "module."
    let file = Checkpoint(
      tensors: names.tensors.map { StoredTensor($0.name, Tensor<Float>(zeros: $0.shape)) },
      metadata: [:], format: .torchZip, path: "net", surroundings: around)
    let architecture = try Architecture(named: "resnet18")
    let back = try OriginalNames(file, architecture).tensors(parameters(file, architecture))
    #expect(back.map(\.name) == file.names.map { "module." + $0 })
  }

  /// One output with a sigmoid is two classes here; only their difference counts.
  @Test func aSingleOutputGetsTheDifference() throws {
    let file = try file("keras_mobilenet_v2") { rows in
      rows.map { row in
        row.0.hasPrefix("predictions/") ? (row.0, row.1.rank == 2 ? [1280, 1] : [1]) : row
      }
    }
    let architecture = try Architecture(named: "mobilenet_v2_keras")
    var parameters = try parameters(file, architecture)
    let path = try #require(parameters.paths.first { parameters[$0]?.shape == [2, 1280] })
    parameters[path] = Tensor(
      [Float](repeating: 1, count: 1280) + [Float](repeating: 3, count: 1280), shape: [2, 1280])
    let back = try OriginalNames(file, architecture).tensors(parameters)
    let head = try #require(back.first { $0.name == "predictions/kernel" })
    #expect(head.shape == [1280, 1])
    #expect(try head.floats().elements == [Float](repeating: 2, count: 1280))
  }

  @Test func anotherHeadHasNoPlace() throws {
    let file = try file("keras_mobilenet_v2")
    let architecture = try Architecture(named: "mobilenet_v2_keras")
    var parameters = try parameters(file, architecture)
    let path = try #require(parameters.paths.first { parameters[$0]?.shape == [1000, 1280] })
    parameters[path] = Tensor(zeros: [3, 1280])
    let error = #expect(throws: BackboneError.self) {
      try OriginalNames(file, architecture).tensors(parameters)
    }
    #expect(error?.description.contains("is [3, 1280] now and was [1000, 1280]") == true)
    #expect(throws: BackboneError.self) {
      try OriginalNames(file, Architecture(named: "resnet50_keras"))
    }
  }
}
