// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawConfiguration

@Suite struct SuggestionsTests {
  private static let known = [
    "convnext_tiny", "efficientnet_b0", "efficientnet_b1", "efficientnet_b2", "efficientnet_lite0",
    "mobilenet_v2", "resnet18", "resnet50", "vgg16", "vgg16_bn",
  ]

  @Test(arguments: [
    ("efficientnet-lite0", ["efficientnet_lite0"]), ("ResNet-18", ["resnet18"]),
    ("MobileNetV2", ["mobilenet_v2"]), ("resent18", ["resnet18"]),
    ("efficientnet_b", ["efficientnet_b0", "efficientnet_b1", "efficientnet_b2"]),
    ("vgg", ["vgg16", "vgg16_bn"]), ("covnext_tiny", ["convnext_tiny"]),
    ("squeezenet", []), ("", []), ("x", []),
  ])
  func theNearestComeFirst(word: String, expected: [String]) {
    #expect(Suggestions.of(word, among: Self.known) == expected)
  }

  @Test func theQuestionReadsAsASentence() {
    #expect(Suggestions.question("vgg", among: Self.known) == "Did you mean 'vgg16' or 'vgg16_bn'?")
    #expect(
      Suggestions.question("efficientnet", among: Self.known)
        == "Did you mean 'efficientnet_b0', 'efficientnet_b1' or 'efficientnet_b2'?")
    #expect(Suggestions.question("zebra", among: Self.known) == nil)
  }
}
