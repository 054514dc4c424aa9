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
    ("resnext50_32x4d", 25_028_904), ("resnext101_32x8d", 88_791_336),
    ("resnext101_64x4d", 83_455_272), ("wide_resnet50_2", 68_883_240),
    ("wide_resnet101_2", 126_886_696), ("resnet18d", 11_708_744), ("resnet26d", 16_014_408),
    ("resnet34d", 21_816_904), ("resnet50d", 25_576_264), ("resnet101d", 44_568_392),
    ("resnet152d", 60_212_040), ("mobilenetv1_100", 4_231_976), ("mobilenetv1_125", 6_270_840),
    ("efficientnet_v2_s", 21_458_488), ("efficientnet_v2_m", 54_139_356),
    ("efficientnet_v2_l", 118_515_272), ("regnet_y_400mf", 4_344_144),
    ("regnet_y_800mf", 6_432_512), ("regnet_y_1_6gf", 11_202_430), ("regnet_y_3_2gf", 19_436_338),
    ("regnet_y_8gf", 39_381_472), ("regnet_y_16gf", 83_590_140), ("regnet_y_32gf", 145_046_770),
    ("regnet_x_400mf", 5_495_976), ("regnet_x_800mf", 7_259_656), ("regnet_x_1_6gf", 9_190_136),
    ("regnet_x_3_2gf", 15_296_552), ("regnet_x_8gf", 39_572_648), ("regnet_x_16gf", 54_278_536),
    ("regnet_x_32gf", 107_811_560), ("regnet_x_200mf", 2_684_792), ("regnet_x_600mf", 6_196_040),
    ("regnet_x_6_4gf", 26_209_256), ("regnet_x_12gf", 46_106_056),
    ("regnet_y_200mf", 3_162_996), ("regnet_y_600mf", 6_055_160),
    ("regnet_y_6_4gf", 30_583_252), ("regnet_y_12gf", 51_822_544),
    ("efficientnet_lite0_timm", 4_652_008),
    ("tf_efficientnetv2_s", 21_458_488), ("tf_efficientnetv2_m", 54_139_356),
    ("tf_efficientnetv2_l", 118_515_272), ("tf_efficientnetv2_xl", 208_119_808),
    ("tf_efficientnetv2_b0", 7_139_704), ("tf_efficientnetv2_b1", 8_141_052),
    ("tf_efficientnetv2_b2", 10_096_086), ("tf_efficientnetv2_b3", 14_358_406),
    ("efficientnetv2_s", 21_458_488), ("efficientnetv2_rw_t", 13_649_388),
    ("efficientnetv2_rw_s", 23_941_296), ("efficientnetv2_rw_m", 53_236_442),
    ("regnetx_004", 5_157_512), ("regnety_008", 6_263_168), ("regnety_080", 39_180_068),
    ("regnetx_040", 22_118_248), ("regnety_040", 20_646_656),
    ("mobilenet_v3_large", 5_483_032), ("mobilenet_v3_small", 2_542_856),
    ("mobilenetv3_large_100", 5_483_032), ("mobilenetv3_large_075", 3_993_528),
    ("mobilenetv3_small_100", 2_542_856), ("mobilenetv3_small_075", 2_041_872),
    ("mobilenetv3_small_050", 1_593_224), ("tf_mobilenetv3_small_075", 2_041_872),
    ("convnextv2_atto", 3_708_400), ("convnextv2_femto", 5_233_240),
    ("convnextv2_pico", 9_066_280), ("convnextv2_nano", 15_623_800),
    ("convnextv2_tiny", 28_635_496), ("convnextv2_base", 88_717_800),
    ("inception_resnet_v2", 55_843_464), ("squeezenet1_0", 1_248_424),
    ("squeezenet1_1", 1_235_496), ("xception", 22_855_952), ("vit_tiny_patch16_224", 5_717_416),
    ("vit_small_patch16_224", 22_050_664),
    ("vit_base_patch16_224", 86_567_656), ("vit_base_patch32_224", 88_224_232),
    ("vit_b_16", 86_567_656), ("vit_b_32", 88_224_232), ("vit_l_16", 304_326_632),
    ("vit_l_32", 306_535_400), ("deit_small_patch16_224", 22_050_664),
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
    ("efficientnet_lite4", 32), ("regnet_y_400mf", 32), ("efficientnet_v2_s", 32),
    ("mobilenet_v3_large", 32), ("mobilenetv3_small_050", 32), ("convnextv2_atto", 32),
    ("mobilenetv1_050", 32),
    ("resnet50d", 32), ("resnext50_32x4d", 32), ("xception", 32),
    ("vit_small_patch16_224", 16), ("vit_small_patch14_reg4_dinov2", 28), ("vit_b_32", 64),
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
