// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import Testing
import ThawBackbones
import ThawCheckpoints
import ThawFiles
import ThawNetwork
import ThawTensors
import ThawTestSupport

@Suite struct ImportTests {
  private let place: FetchPlace
  private let file: FilePath

  init() throws {
    place = try FetchPlace()
    file = place.folder.path.appending("mine.safetensors")
    try write(try Architecture(named: "resnet18").graph(Head(classes: 3)))
    try AtomicFile.write(place.folder.path.appending("three.txt"), text: "a\nb\nc\n")
  }

  private func write(
    _ graph: Graph, dropping: String = "", adding: [StoredTensor] = []
  ) throws {
    let parameters = Parameters.procedural(for: graph)
    let tensors = parameters.paths.compactMap { path in
      path.description == dropping ? nil : parameters[path].map { StoredTensor("\(path)", $0) }
    }
    try SafetensorsWriter.write(file, tensors + adding)
  }

  private func own(_ name: String = "mine") -> PretrainedStore.OwnWeights {
    .init(file: file, name: name, classes: place.folder.path.appending("three.txt"))
  }

  @Test func ownWeightsGetACardAndAreReadThroughIt() throws {
    let card = try place.store.importOwn(own(), like: place.card)
    #expect(try place.store.card(named: "mine") == card)
    #expect(card.preprocessing == (try place.card.preprocessing))
    let backbone = try PretrainedBackbone(card, from: place.store)
    #expect(backbone.classNames == ["a", "b", "c"])
    #expect(backbone.parameters == .procedural(for: backbone.graph))
  }

  @Test func whatDoesNotFitIsListedAndNothingIsTaken() throws {
    let graph = try Architecture(named: "resnet18").graph(Head(classes: 3))
    try write(
      graph, dropping: "layer1.0.bn1.bias",
      adding: [StoredTensor("extra", Tensor<Float>([1], shape: [1]))])
    let before = try FileSystem.list(place.folder.path)
    let error = #expect(throws: CheckpointError.self) {
      try place.store.importOwn(own(), like: place.card)
    }
    #expect(error?.description.contains("1 missing: 'layer1.0.bn1.bias'") == true)
    #expect(error?.description.contains("1 unexpected: 'extra'") == true)
    #expect(try FileSystem.list(place.folder.path) == before)
  }

  @Test(arguments: ["it", "../it", "", "a b"])
  func aNameThatIsTakenOrNoFileNameIsRefused(_ name: String) throws {
    #expect(throws: BackboneError.self) { try place.store.importOwn(own(name), like: place.card) }
  }

  @Test func aFileWithAnotherHashIsNotImportedAsTheCards() throws {
    let error = #expect(throws: BackboneError.self) {
      try place.store.importWeights(of: place.card, from: file)
    }
    #expect(error?.description.contains("--name") == true)
    try AtomicFile.write(file, bytes: FetchPlace.contents)
    try place.store.importWeights(of: place.card, from: file)
    #expect(try FileSystem.read(place.weights) == FetchPlace.contents)
  }
}
