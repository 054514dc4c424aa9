// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import Testing
import ThawBackbones
import ThawConfiguration
import ThawFiles
import ThawImages
import ThawTestSupport

/// The folder of cards of this checkout.
private let shipped = PretrainedStore(
  directory: FilePath(#filePath).removingLastComponent().removingLastComponent()
    .removingLastComponent().appending("Pretrained"))

@Suite struct CardTests {
  @Test func everyShippedCardIsReadableAndStatesItsNetwork() throws {
    let cards = try shipped.cards()
    #expect(cards.count >= 34)
    for card in cards {
      let file = shipped.cardFolder.appending("\(card.name).yml")
      let text = String(decoding: try FileSystem.read(file), as: UTF8.self)
      // Reading compares what is stated with the architecture.
      #expect(text.contains("\ngroups: ["), "\(card.name)")
      let hasNorm = try Architecture(named: card.architecture).graph(Head(classes: 2)).nodes
        .contains { if case .batchNormalization = $0.operation { true } else { false } }
      #expect(text.contains("\nbatch_norm:") == hasNorm, "\(card.name)")
      #expect(!card.summary.isEmpty && !card.license.isEmpty, "\(card.name)")
      if case .address(let address) = card.source {
        #expect(address.hasPrefix("https://"), "\(card.name)")
        #expect(address.hasSuffix("/\(card.file)"), "\(card.name)")
      }
    }
  }

  @Test(arguments: [
    ("vgg16", 1000), ("inception_v3_keras", 1000), ("cifar10_resnet20", 10),
    ("cifar100_resnet56", 100), ("mobilenet_v2_deep_sort", 0), ("vgg16_keras_notop", 0),
  ])
  func aCardNamesAsManyClassesAsItsWeightsHave(_ name: String, _ count: Int) throws {
    #expect(try shipped.card(named: name).classNames(in: shipped).count == count)
  }

  @Test func theContractsOfTheFamiliesAreThoseOfTheirLibraries() throws {
    func contract(_ name: String) throws -> Preprocessing {
      try shipped.card(named: name).preprocessing
    }
    for name in ["vgg16_keras", "vgg19_keras", "resnet50_keras", "resnet152_keras"] {
      let own = try contract(name)
      #expect(own.channelOrder == .bgr && own.scale == 1 && own.std == [1, 1, 1], "\(name)")
      #expect(own.mean == [103.939, 116.779, 123.68], "\(name)")
      #expect(own.interpolation == .nearest && own.resizeRule == .squash, "\(name)")
      #expect(own.resizeTarget == 224, "\(name)")
    }
    for name in ["inception_v3", "inception_v3_keras", "mobilenet_v2_keras"] {
      let own = try contract(name)
      #expect(own.scale == 1 / 127.5 && own.mean == [1, 1, 1] && own.std == [1, 1, 1], "\(name)")
    }
    #expect(try contract("inception_v3").resizeTarget == 342)
    #expect(try contract("inception_v3").inputSize == 299)
    #expect(try contract("resnet50").resizeTarget == 256)
    #expect(try contract("resnet50_imagenet1k_v2").resizeTarget == 232)
    #expect(try contract("cifar10_resnet20").resizeTarget == 32)
  }

  @Test(arguments: [
    ("batch_norm: {epsilon: 0.001, momentum: 0.1}", "epsilon 1e-05 and momentum 0.1"),
    ("groups: [early, late, head]", "early, layer3, layer4, head"),
    ("md5: 00000000000000000000000000000000", "exactly one of"),
    ("order: rgb", "unknown key 'order'"),
  ])
  func aCardThatContradictsItsNetworkIsAnErrorWithItsLine(_ lines: String, _ words: String) throws {
    let folder = try TemporaryDirectory()
    let file = folder.path.appending("it.yml")
    let text = FetchPlace.card(hash: "sha256_prefix: 12345678", address: "https://example.invalid")
    try AtomicFile.write(file, text: lines + "\n" + text)
    let error = #expect(throws: ConfigurationError.self) { try BackboneCard(file: file) }
    #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
    #expect(error?.description.contains("it.yml:1") == true, "\(error?.description ?? "")")
  }

  @Test(arguments: ["sha256: 12", "sha256_prefix: 1234567", "md5: xyz", "hash: published", ""])
  func aCardNeedsAHashOfAKnownForm(_ hash: String) throws {
    let folder = try TemporaryDirectory()
    let file = folder.path.appending("it.yml")
    try AtomicFile.write(
      file, text: FetchPlace.card(hash: hash, address: "https://example.invalid"))
    #expect(throws: ConfigurationError.self) { try BackboneCard(file: file) }
  }
}
