// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawBackbones
import ThawNetwork

/// Our tensors under timm's names, which must be exactly those that timm's networks have.
struct TimmNamesTests {
  @Test(arguments: [
    ("timm_mobilenet_v2", "mobilenet_v2"), ("timm_vgg16", "vgg16"),
    ("timm_efficientnet_b0", "efficientnet_b0"), ("timm_convnext_tiny", "convnext_tiny"),
    ("timm_tf_efficientnet_lite0", "efficientnet_lite0"),
    ("timm_convnextv2_atto", "convnextv2_atto"),
    ("timm_mobilenetv3_large_100", "mobilenetv3_large_100"),
  ])
  func everyTensorHasTimmsNameAndShape(_ list: String, _ name: String) throws {
    let checkpoint = try NameMappingTests.checkpoint(list, format: .safetensors)
    let expected = Set(
      checkpoint.tensors.filter { !$0.name.hasSuffix("num_batches_tracked") }.map {
        "\($0.name) \($0.shape)"
      })
    let architecture = try Architecture(named: name)
    let classes = try #require(
      checkpoint.tensors.first { ["classifier.bias", "head.fc.bias"].contains($0.name) }
        ?? checkpoint.tensors.last
    ).shape[0]
    let theirs = try #require(
      architecture.timmTensors(architecture.graph(Head(classes: classes))))
    let found = Set(theirs.values.map { "\($0.name) \($0.shape)" })
    #expect(found.symmetricDifference(expected).isEmpty)
    #expect(theirs.count == expected.count)
  }

  @Test func networksThatTimmHasNotAreNone() throws {
    for name in ["resnet50_keras", "vgg16_pooled", "cifar_resnet20"] {
      let architecture = try Architecture(named: name)
      #expect(architecture.timmTensors(architecture.graph(Head(classes: 2))) == nil)
    }
  }
}
