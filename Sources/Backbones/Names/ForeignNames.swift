// SPDX-License-Identifier: Apache-2.0

import ThawCheckpoints
import ThawNetwork

/// The names that other libraries give to the tensors of networks that are known here.
///
/// Each entry is one library's names for one family. Prefixes (`resnet.`, `backbone.`) are not in it:
/// ``NetworkPart`` finds them. Classifiers are not in it either: they may have any name.
///
/// - Source: the modules of Hugging Face transformers, Detectron2, mmpretrain, EfficientNet-PyTorch,
///   facebookresearch/ConvNeXt and fastai's `create_body`.
struct ForeignNames: Sendable {
  /// For people: `transformers' names`.
  let label: String
  /// Whether an architecture has such names.
  let holds: @Sendable (String) -> Bool
  /// Our name for one of theirs; empty for what the network does not need, nil for a name that this
  /// library does not give.
  let translate: @Sendable (String) -> String?
  /// What these names leave open, as a sentence; nil for nothing.
  var remark: String?

  /// Those of `architecture`.
  static func all(for architecture: Architecture) -> [ForeignNames] {
    let name = architecture.name
    return tables.filter { $0.holds(name) } + EfficientNetBlocks.names(for: name)
  }

  @Sendable private static func isResNet(_ name: String) -> Bool {
    ["resnet", "wide_resnet", "resnext"].contains { name.hasPrefix($0) }
      && !name.hasSuffix("_keras")
  }

  @Sendable private static func isConvNeXt(_ name: String) -> Bool { name.hasPrefix("convnext_") }

  /// Whether it is a vision transformer whose positions turn queries and keys, with or without gated units.
  @Sendable private static func isRotary(_ name: String, isGated: Bool) -> Bool {
    guard let shape = VisionTransformerShape(name: name) else { return false }
    return shape.rotaryBase != nil && shape.isGated == isGated
  }

  /// Whether it is a vision transformer that pools as SigLIP does.
  @Sendable private static func isPooledByAttention(_ name: String) -> Bool {
    VisionTransformerShape(name: name)?.pooling == .attention
  }

  private static let tables: [ForeignNames] = [
    ForeignNames(
      label: "transformers' names", holds: isResNet,
      translate: { resNet.translate($0) }),
    ForeignNames(
      label: "Detectron's names", holds: isResNet, translate: { detectron.translate($0) },
      remark: "Detectron's own ResNets have a bottleneck's stride in its first 1x1 convolution and"
        + " blue first; this network has it in the 3x3 convolution"),
    ForeignNames(
      label: "the places of a Sequential", holds: isResNet,
      translate: { resNetSequence.translate($0) }),
    ForeignNames(
      label: "the places of a Sequential",
      holds: { name in
        ["densenet", "vgg", "mobilenet_v2", "efficientnet_b", "convnext_"].contains {
          name.hasPrefix($0)
        } && !name.hasSuffix("_keras")
      }, translate: { "features." + $0 }),
    ForeignNames(
      label: "transformers' names", holds: isConvNeXt,
      translate: { convNeXt.translate($0) }),
    ForeignNames(
      label: "transformers' names for DINOv3", holds: isConvNeXt,
      // Newer versions put all but the last norm into a module of its own.
      translate: { convNeXtOfDINOv3.translate(String($0.trimmingPrefix("model."))) }),
    ForeignNames(
      label: "the names of ConvNeXt's authors", holds: isConvNeXt,
      translate: { convNeXtAuthors.translate($0) }),
    ForeignNames(
      label: "mmpretrain's names", holds: isConvNeXt,
      translate: { convNeXtLab.translate($0) }),
    ForeignNames(
      label: "transformers' names", holds: { $0.hasPrefix("convnextv2_") },
      translate: { convNeXtV2.translate($0) }),
    ForeignNames(
      label: "the names of ConvNeXt's authors", holds: { $0.hasPrefix("convnextv2_") },
      translate: { convNeXtV2Authors.translate($0) }),
    ForeignNames(
      label: "transformers' names",
      // transformers pads as TensorFlow does and has its epsilon.
      holds: { $0.hasPrefix("mobilenet_v2") && $0.hasSuffix("_keras") },
      translate: { mobileNet.translate($0) }),
    ForeignNames(
      label: "transformers' names", holds: { $0.hasPrefix("vit_") || $0.hasPrefix("deit_") },
      translate: VisionTransformerNames.transformers),
    ForeignNames(
      label: "transformers' names", holds: { isRotary($0, isGated: false) },
      translate: { VisionTransformerNames.rotary($0, isGated: false) }),
    ForeignNames(
      label: "transformers' names", holds: { isRotary($0, isGated: true) },
      translate: { VisionTransformerNames.rotary($0, isGated: true) }),
    ForeignNames(
      label: "the names of SigLIP's vision tower", holds: isPooledByAttention,
      translate: VisionTransformerNames.tower),
    ForeignNames(
      label: "the names of CLIP's and SigLIP's vision towers",
      holds: {
        $0.hasPrefix("vit_") && !$0.contains("_plain") && !isPooledByAttention($0)
      },
      translate: VisionTransformerNames.towerWithoutPooling),
    ForeignNames(
      label: "the names of CLIP's vision tower",
      holds: { $0.hasPrefix("vit_") && $0.contains("_plain") },
      translate: VisionTransformerNames.towerBeforeNorm),
    ForeignNames(
      label: "transformers' names",
      holds: { $0.hasPrefix("regnet_y_") || $0.hasPrefix("regnety_") },
      translate: { (regNetGates + regNet).translate($0) }),
    ForeignNames(
      label: "transformers' names",
      holds: { $0.hasPrefix("regnet_x_") || $0.hasPrefix("regnetx_") },
      translate: { (regNetPlain + regNet).translate($0) }),
    ForeignNames(
      label: "transformers' names",
      // transformers pads as TensorFlow does and has its epsilon.
      holds: { $0.hasPrefix("mobilenetv1_") && $0.hasSuffix("_keras") },
      translate: { mobileNetV1($0) }),
    ForeignNames(
      label: "mmpretrain's names",
      holds: { $0.hasPrefix("mobilenet_v2") && !$0.hasSuffix("_keras") },
      translate: { mobileNetLab($0) }),
  ]

  private static let resNet = [NamePattern]([
    "embedder.embedder.convolution.*": "conv1.*",
    "embedder.embedder.normalization.*": "bn1.*",
    "encoder.stages.#.layers.#.shortcut.convolution.*": "layer{0+1}.{1}.downsample.0.*",
    "encoder.stages.#.layers.#.shortcut.normalization.*": "layer{0+1}.{1}.downsample.1.*",
    "encoder.stages.#.layers.#.layer.#.convolution.*": "layer{0+1}.{1}.conv{2+1}.*",
    "encoder.stages.#.layers.#.layer.#.normalization.*": "layer{0+1}.{1}.bn{2+1}.*",
  ])

  private static let detectron = [NamePattern]([
    "stem.conv1.norm.*": "bn1.*",
    "stem.conv1.*": "conv1.*",
    "res#.#.shortcut.norm.*": "layer{0-1}.{1}.downsample.1.*",
    "res#.#.shortcut.*": "layer{0-1}.{1}.downsample.0.*",
    "res#.#.conv#.norm.*": "layer{0-1}.{1}.bn{2}.*",
    "res#.#.conv#.*": "layer{0-1}.{1}.conv{2}.*",
  ])

  private static let resNetSequence = [NamePattern]([
    "0.weight": "conv1.weight",
    "1.weight": "bn1.weight",
    "1.bias": "bn1.bias",
    "1.running_mean": "bn1.running_mean",
    "1.running_var": "bn1.running_var",
    "4.#.*": "layer1.{0}.*",
    "5.#.*": "layer2.{0}.*",
    "6.#.*": "layer3.{0}.*",
    "7.#.*": "layer4.{0}.*",
  ])

  private static let convNeXt = [NamePattern]([
    "embeddings.patch_embeddings.*": "features.0.0.*",
    "embeddings.layernorm.*": "features.0.1.*",
    "encoder.stages.#.downsampling_layer.#.*": "features.{0*2}.{1}.*",
    "encoder.stages.#.layers.#.dwconv.*": "features.{0*2+1}.{1}.block.0.*",
    "encoder.stages.#.layers.#.layernorm.*": "features.{0*2+1}.{1}.block.2.*",
    "encoder.stages.#.layers.#.pwconv1.*": "features.{0*2+1}.{1}.block.3.*",
    "encoder.stages.#.layers.#.pwconv2.*": "features.{0*2+1}.{1}.block.5.*",
    "encoder.stages.#.layers.#.layer_scale_parameter": "features.{0*2+1}.{1}.layer_scale",
    "layernorm.*": "classifier.0.*",
  ])

  private static let convNeXtOfDINOv3 = [NamePattern]([
    "stages.#.downsample_layers.#.*": "features.{0*2}.{1}.*",
    "stages.#.layers.#.depthwise_conv.*": "features.{0*2+1}.{1}.block.0.*",
    "stages.#.layers.#.layer_norm.*": "features.{0*2+1}.{1}.block.2.*",
    "stages.#.layers.#.pointwise_conv1.*": "features.{0*2+1}.{1}.block.3.*",
    "stages.#.layers.#.pointwise_conv2.*": "features.{0*2+1}.{1}.block.5.*",
    "stages.#.layers.#.gamma": "features.{0*2+1}.{1}.layer_scale",
    "layer_norm.*": "classifier.0.*",
  ])

  private static let convNeXtAuthors = [NamePattern]([
    "downsample_layers.#.#.*": "features.{0*2}.{1}.*",
    "stages.#.#.dwconv.*": "features.{0*2+1}.{1}.block.0.*",
    "stages.#.#.norm.*": "features.{0*2+1}.{1}.block.2.*",
    "stages.#.#.pwconv1.*": "features.{0*2+1}.{1}.block.3.*",
    "stages.#.#.pwconv2.*": "features.{0*2+1}.{1}.block.5.*",
    "stages.#.#.gamma": "features.{0*2+1}.{1}.layer_scale",
    "norm.*": "classifier.0.*",
  ])

  private static let convNeXtV2 = [NamePattern]([
    "embeddings.patch_embeddings.*": "stem.0.*",
    "embeddings.layernorm.*": "stem.1.*",
    "encoder.stages.#.downsampling_layer.#.*": "stages.{0}.downsample.{1}.*",
    "encoder.stages.#.layers.#.dwconv.*": "stages.{0}.blocks.{1}.conv_dw.*",
    "encoder.stages.#.layers.#.layernorm.*": "stages.{0}.blocks.{1}.norm.*",
    "encoder.stages.#.layers.#.pwconv1.*": "stages.{0}.blocks.{1}.mlp.fc1.*",
    "encoder.stages.#.layers.#.grn.*": "stages.{0}.blocks.{1}.mlp.grn.*",
    "encoder.stages.#.layers.#.pwconv2.*": "stages.{0}.blocks.{1}.mlp.fc2.*",
    "layernorm.*": "head.norm.*",
  ])

  private static let convNeXtV2Authors = [NamePattern]([
    "downsample_layers.0.#.*": "stem.{0}.*",
    "downsample_layers.#.#.*": "stages.{0}.downsample.{1}.*",
    "stages.#.#.dwconv.*": "stages.{0}.blocks.{1}.conv_dw.*",
    "stages.#.#.norm.*": "stages.{0}.blocks.{1}.norm.*",
    "stages.#.#.pwconv1.*": "stages.{0}.blocks.{1}.mlp.fc1.*",
    "stages.#.#.grn.gamma": "stages.{0}.blocks.{1}.mlp.grn.weight",
    "stages.#.#.grn.beta": "stages.{0}.blocks.{1}.mlp.grn.bias",
    "stages.#.#.pwconv2.*": "stages.{0}.blocks.{1}.mlp.fc2.*",
    "norm.*": "head.norm.*",
  ])

  private static let convNeXtLab = [NamePattern]([
    "downsample_layers.#.#.*": "features.{0*2}.{1}.*",
    "stages.#.#.depthwise_conv.*": "features.{0*2+1}.{1}.block.0.*",
    "stages.#.#.norm.*": "features.{0*2+1}.{1}.block.2.*",
    "stages.#.#.pointwise_conv1.*": "features.{0*2+1}.{1}.block.3.*",
    "stages.#.#.pointwise_conv2.*": "features.{0*2+1}.{1}.block.5.*",
    "stages.#.#.gamma": "features.{0*2+1}.{1}.layer_scale",
    "norm3.*": "classifier.0.*",
  ])

  private static let mobileNet = [NamePattern]([
    "conv_stem.first_conv.convolution.*": "features.0.0.*",
    "conv_stem.first_conv.normalization.*": "features.0.1.*",
    "conv_stem.conv_3x3.convolution.*": "features.1.conv.0.0.*",
    "conv_stem.conv_3x3.normalization.*": "features.1.conv.0.1.*",
    "conv_stem.reduce_1x1.convolution.*": "features.1.conv.1.*",
    "conv_stem.reduce_1x1.normalization.*": "features.1.conv.2.*",
    "layer.#.expand_1x1.convolution.*": "features.{0+2}.conv.0.0.*",
    "layer.#.expand_1x1.normalization.*": "features.{0+2}.conv.0.1.*",
    "layer.#.conv_3x3.convolution.*": "features.{0+2}.conv.1.0.*",
    "layer.#.conv_3x3.normalization.*": "features.{0+2}.conv.1.1.*",
    "layer.#.reduce_1x1.convolution.*": "features.{0+2}.conv.2.*",
    "layer.#.reduce_1x1.normalization.*": "features.{0+2}.conv.3.*",
    "conv_1x1.convolution.*": "features.18.0.*",
    "conv_1x1.normalization.*": "features.18.1.*",
  ])

  private static let regNet = [NamePattern]([
    "embedder.embedder.convolution.*": "stem.0.*", "embedder.embedder.normalization.*": "stem.1.*",
    "encoder.stages.#.layers.#.shortcut.convolution.*":
      "trunk_output.block{0+1}.block{0+1}-{1}.proj.0.*",
    "encoder.stages.#.layers.#.shortcut.normalization.*":
      "trunk_output.block{0+1}.block{0+1}-{1}.proj.1.*",
    "encoder.stages.#.layers.#.layer.0.convolution.*":
      "trunk_output.block{0+1}.block{0+1}-{1}.f.a.0.*",
    "encoder.stages.#.layers.#.layer.0.normalization.*":
      "trunk_output.block{0+1}.block{0+1}-{1}.f.a.1.*",
    "encoder.stages.#.layers.#.layer.1.convolution.*":
      "trunk_output.block{0+1}.block{0+1}-{1}.f.b.0.*",
    "encoder.stages.#.layers.#.layer.1.normalization.*":
      "trunk_output.block{0+1}.block{0+1}-{1}.f.b.1.*",
  ])
  private static let regNetPlain = [NamePattern]([
    "encoder.stages.#.layers.#.layer.2.convolution.*":
      "trunk_output.block{0+1}.block{0+1}-{1}.f.c.0.*",
    "encoder.stages.#.layers.#.layer.2.normalization.*":
      "trunk_output.block{0+1}.block{0+1}-{1}.f.c.1.*",
  ])
  private static let regNetGates = [NamePattern]([
    "encoder.stages.#.layers.#.layer.2.attention.0.*":
      "trunk_output.block{0+1}.block{0+1}-{1}.f.se.fc1.*",
    "encoder.stages.#.layers.#.layer.2.attention.2.*":
      "trunk_output.block{0+1}.block{0+1}-{1}.f.se.fc2.*",
    "encoder.stages.#.layers.#.layer.3.convolution.*":
      "trunk_output.block{0+1}.block{0+1}-{1}.f.c.0.*",
    "encoder.stages.#.layers.#.layer.3.normalization.*":
      "trunk_output.block{0+1}.block{0+1}-{1}.f.c.1.*",
  ])

  private static let mobileNetV1Stem = [NamePattern]([
    "conv_stem.convolution.*": "conv_stem.*", "conv_stem.normalization.*": "bn1.*",
  ])

  /// transformers counts the convolutions through: even ones are depthwise.
  @Sendable private static func mobileNetV1(_ name: String) -> String? {
    let parts = name.split(separator: ".").map(String.init)
    guard parts.count == 4, parts[0] == "layer", let number = Int(parts[1]), number >= 0,
      let (stage, index) = MobileNetV1.place(ofBlock: number / 2)
    else {
      return mobileNetV1Stem.translate(name)
    }
    let isDepthwise = number.isMultiple(of: 2)
    let layer =
      parts[2] == "convolution"
      ? (isDepthwise ? "conv_dw" : "conv_pw") : (isDepthwise ? "bn1" : "bn2")
    return "blocks.\(stage).\(index).\(layer).\(parts[3])"
  }

  private static let mobileNetStem = [NamePattern]([
    "conv1.conv.*": "features.0.0.*", "conv1.bn.*": "features.0.1.*",
    "conv2.conv.*": "features.18.0.*", "conv2.bn.*": "features.18.1.*",
  ])

  /// mmpretrain counts blocks within a stage, torchvision through.
  private static func mobileNetLab(_ name: String) -> String? {
    if let known = mobileNetStem.translate(name) { return known }
    let parts = name.split(separator: ".").map(String.init)
    guard parts.count == 6, parts[0].hasPrefix("layer"), parts[2] == "conv",
      let stage = Int(parts[0].dropFirst(5)), (1...7).contains(stage), let index = Int(parts[1]),
      let layer = Int(parts[3]), (0...2).contains(layer), (0..<100).contains(index)
    else { return nil }
    let block = [0, 1, 3, 6, 10, 13, 16][stage - 1] + index + 1
    let isNorm = parts[4] == "bn"
    let last = stage == 1 ? 1 : 2
    let inner = layer == last ? "\(last + (isNorm ? 1 : 0))" : "\(layer).\(isNorm ? 1 : 0)"
    return "features.\(block).conv.\(inner).\(parts[5])"
  }
}

/// The names of libraries that count the blocks of an EfficientNet through.
private enum EfficientNetBlocks {
  /// Both pad as TensorFlow does and have its epsilon.
  static func names(for architecture: String) -> [ForeignNames] {
    guard architecture.hasPrefix("tf_efficientnet_b"),
      let network = EfficientNet(name: architecture)
    else { return [] }
    return [
      table("EfficientNet-PyTorch's names", ends, "_blocks.", layers, network),
      table(
        "transformers' names", transformersEnds, "encoder.blocks.", transformersLayers, network),
    ]
  }

  private static func table(
    _ label: String, _ ends: [NamePattern], _ blocks: String, _ layers: [String: String],
    _ network: EfficientNet
  ) -> ForeignNames {
    ForeignNames(
      label: label, holds: { _ in true },
      translate: { name in
        if let known = ends.translate(name) { return known }
        guard name.hasPrefix(blocks) else { return nil }
        let rest = name.dropFirst(blocks.count)
        guard let dot = rest.firstIndex(of: "."), let number = Int(rest[..<dot]),
          let (stage, index) = network.place(ofBlock: number),
          let end = rest.lastIndex(of: "."), end > dot,
          let layer = layers[String(rest[rest.index(after: dot)..<end])]
        else { return nil }
        // timm calls the layers of a block that does not expand otherwise.
        let own = stage == 0 ? first[layer] ?? layer : layer
        return "blocks.\(stage).\(index).\(own)\(rest[end...])"
      })
  }

  private static let first = ["conv_pwl": "conv_pw", "bn2": "bn1", "bn3": "bn2"]

  private static let ends = [NamePattern]([
    "_conv_stem.*": "conv_stem.*", "_bn0.*": "bn1.*", "_conv_head.*": "conv_head.*",
    "_bn1.*": "bn2.*",
  ])
  private static let layers = [
    "_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2",
    "_se_reduce": "se.conv_reduce", "_se_expand": "se.conv_expand", "_project_conv": "conv_pwl",
    "_bn2": "bn3",
  ]
  private static let transformersEnds = [NamePattern]([
    "embeddings.convolution.*": "conv_stem.*", "embeddings.batchnorm.*": "bn1.*",
    "encoder.top_conv.*": "conv_head.*", "encoder.top_bn.*": "bn2.*",
  ])
  private static let transformersLayers = [
    "expansion.expand_conv": "conv_pw", "expansion.expand_bn": "bn1",
    "depthwise_conv.depthwise_conv": "conv_dw", "depthwise_conv.depthwise_norm": "bn2",
    "squeeze_excite.reduce": "se.conv_reduce", "squeeze_excite.expand": "se.conv_expand",
    "projection.project_conv": "conv_pwl", "projection.project_bn": "bn3",
  ]
}
