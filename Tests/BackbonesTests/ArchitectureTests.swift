// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawBackbones
import ThawExecution
import ThawNetwork
import ThawTensors

@Suite struct ArchitectureTests {
  /// Trainable parameters as published: timm's model cards for tf_efficientnet_lite0-4, torchvision's
  /// and Keras's documentation and summaries for the others.
  @Test(arguments: [
    ("efficientnet_lite0", 4_652_008), ("efficientnet_lite1", 5_416_680),
    ("efficientnet_lite2", 6_092_072), ("efficientnet_lite3", 8_197_096),
    ("efficientnet_lite4", 13_006_568), ("resnet18", 11_689_512), ("resnet34", 21_797_672),
    ("resnet50", 25_557_032), ("resnet101", 44_549_160), ("resnet152", 60_192_808),
    ("resnet50_keras", 25_583_592), ("mobilenet_v2", 3_504_872), ("mobilenet_v2_keras", 3_504_872),
    ("inception_v3", 23_834_568), ("inception_v3_keras", 23_817_352), ("densenet121", 7_978_856),
    ("densenet121_keras", 7_978_856), ("densenet169", 14_149_480), ("densenet201", 20_013_928),
    ("efficientnet_b0", 5_288_548), ("efficientnet_b1", 7_794_184),
    ("efficientnet_b2", 9_109_994), ("efficientnet_b3", 12_233_232),
    ("efficientnet_b4", 19_341_616), ("tf_efficientnet_b0", 5_288_548),
    ("efficientnet_b1_keras", 7_794_184), ("convnext_tiny", 28_589_128),
    ("convnext_small", 50_223_688), ("convnext_base", 88_591_464),
    ("vgg16", 138_357_544), ("vgg16_bn", 138_365_992), ("vgg19", 143_667_240),
    ("vgg19_bn", 143_678_248), ("vgg11", 132_863_336), ("vgg13_bn", 133_053_736),
  ])
  func parameterCountsAreThePublishedOnes(name: String, count: Int) throws {
    let graph = try Architecture(named: name).graph(Head(classes: 1000))
    let trainable = graph.parameters.filter(\.role.isTrainable)
    #expect(trainable.map(\.shape.count).reduce(0, +) == count)
  }

  @Test func anUnknownNameListsTheKnownOnes() {
    let error = #expect(throws: BackboneError.self) { try Architecture(named: "resnet51") }
    #expect(error?.description.contains("resnet50") == true)
  }

  @Test(arguments: Architecture.names)
  func cutsBeforeTheHeadAndBeforeEveryGroupAreClean(name: String) throws {
    let graph = try Architecture(named: name).graph(Head(classes: 5, dropout: 0.2))
    for first in 1..<graph.groups.count {
      // Batch norms that train: a group that begins with a frozen one (DenseNet's do) is cut later.
      let training = FreezePlan.freezing(to: first, of: graph, trainableBatchNorm: .training)
      #expect(graph[Partition(graph, freezing: training).cut].group == first - 1)
      let partition = Partition(graph, freezing: .freezing(to: first, of: graph))
      #expect(partition.suffix.allSatisfy { $0.group >= first })
    }
  }

  @Test(arguments: Architecture.names)
  func aNetworkIsCalledWhatItIsAskedForAs(name: String) throws {
    // The model file names its network by the graph's name.
    #expect(try Architecture(named: name).graph(Head(classes: 2)).name == name)
  }

  @Test(arguments: [
    ("vgg16", 32), ("vgg19_bn_pooled", 32), ("resnet50_keras", 32), ("cifar_resnet20", 4),
    ("inception_v3", 75), ("inception_v3_keras", 75), ("mobilenet_v2", 32), ("densenet121", 29),
    ("efficientnet_lite4", 32),
  ])
  func theSmallestInputFitsAndSoDoesAnOddOne(name: String, size: Int) throws {
    let graph = try Architecture(named: name).graph(Head(classes: 3, hidden: 8, dropout: 0.5))
    for size in [Extent2D(size), Extent2D(height: size + 1, width: 2 * size + 7)] {
      #expect(try graph.shapes(batch: 2, size: size).last == [2, 3])
    }
  }

  @Test(arguments: [
    (
      "densenet121", "features.denseblock1.denselayer2.norm.1.weight",
      "features.denseblock1.denselayer2.norm1.weight"
    ),
    ("densenet121", "features.transition1.conv.weight", "features.transition1.conv.weight"),
    ("mobilenet_v2", "features.1.conv.3.weight", "features.1.conv.1.weight"),
    ("mobilenet_v2", "features.2.conv.4.running_var", "features.2.conv.1.1.running_var"),
    ("mobilenet_v2", "features.18.0.weight", "features.18.0.weight"),
  ])
  func publishedNamesAreTranslated(architecture: String, name: String, path: String) throws {
    #expect(
      try Architecture(named: architecture).path(of: name, naming: .published)
        == ParameterPath(path))
  }

  @Test func whatANetworkLeavesOutIsNotUnexpected() throws {
    let inception = try Architecture(named: "inception_v3")
    #expect(inception.path(of: "AuxLogits.fc.weight", naming: .native) == nil)
    #expect(inception.path(of: "fc.weight", naming: .native) == "fc.weight")
    let pooled = try Architecture(named: "vgg16_pooled")
    #expect(pooled.path(of: "classifier.0.weight", naming: .native) == nil)
    #expect(pooled.path(of: "features.0.weight", naming: .native) == "features.0.weight")
  }

  @Test func strideIs32AndFeaturesAre1280() throws {
    let graph = try Architecture(named: "efficientnet_lite0").graph(Head(classes: 7))
    let shapes = try graph.shapes(batch: 2, size: Extent2D(224))
    let top = try #require(graph.nodes.first { $0.path == "conv_head" })
    #expect(shapes[top.id.index] == [2, 1280, 7, 7])
    #expect(shapes.last == [2, 7])
  }

  @Test func everyParameterOfLite1HasExactlyOnePublishedName() throws {
    // lite1 has other repeats than lite0, so numbering blocks across stages is exercised.
    let architecture = try Architecture(named: "efficientnet_lite1")
    let graph = architecture.graph(Head(classes: 1000))
    var found: [ParameterPath] = []
    for layer in ["_conv_stem", "_bn0", "_conv_head", "_bn1", "_fc"] {
      found += names(architecture, layer)
    }
    for block in 0..<32 {
      for layer in ["_expand_conv", "_bn0", "_depthwise_conv", "_bn1", "_project_conv", "_bn2"] {
        found += names(architecture, "_blocks.\(block).\(layer)")
      }
    }
    let known = Set(graph.parameters.map(\.path))
    #expect(Set(found.filter(known.contains)) == known)
  }

  private func names(_ architecture: Architecture, _ layer: String) -> [ParameterPath] {
    ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"].compactMap {
      architecture.path(of: "\(layer).\($0)", naming: .published)
    }
  }

  @Test func aHiddenLayerIsNamedAsInASequential() throws {
    let graph = try Architecture(named: "resnet18").graph(
      Head(classes: 3, hidden: 64, dropout: 0.5))
    let head = graph.nodes.filter { $0.group == graph.groups.count - 1 }
    #expect(head.map(\.path) == ["fc.0", "fc.1", "fc.2", "fc.3"])
  }
}
