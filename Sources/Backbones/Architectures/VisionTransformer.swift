// SPDX-License-Identifier: Apache-2.0

package import ThawNetwork

/// Vision transformers: ViT, DeiT, DINOv2 with and without registers, DINOv3, and others of the same build.
///
/// Layer names are timm's; torchvision's, transformers' and facebook's are translated
/// (``VisionTransformerNames``). No batch norm anywhere, so no `BatchNormMode` matters. Features are the
/// class token behind the last layer norm, or as ``VisionTransformerShape/pooling`` says.
///
/// Layer groups: `embedding` (patches, class token, registers and positions), then a group for each
/// block (`block1` …), so that layer-wise decay goes block by block as the papers do; the last layer
/// norm, which is pretrained, is in the last block's; `pool` where a query pools; then `head`. Any input of whole patches: positions
/// are resampled as the library that the name stands for does it; DINOv3's are shares of the image.
///
/// - Source: Dosovitskiy et al. 2020, arXiv:2010.11929; Touvron et al. 2020, arXiv:2012.12877; Oquab et
///   al. 2023, arXiv:2304.07193; Siméoni et al. 2025, arXiv:2508.10104; timm,
///   timm/models/vision_transformer.py and eva.py, timm/layers/attention_pool.py.
package struct VisionTransformer: NetworkFamily {
  static let names = VisionTransformerShape.published.map(\.name)

  private let name: String
  /// What is built.
  package let shape: VisionTransformerShape

  /// A published name, or one that spells a shape out (``VisionTransformerShape/init(spelled:)``).
  init?(name: String) {
    guard let shape = VisionTransformerShape(name: name) else { return nil }
    self.name = name
    self.shape = shape
  }

  /// The network with `head` behind its features.
  package func graph(head: Head) -> Graph {
    let width = shape.width
    var builder = GraphBuilder(name: name, inputChannels: 3, firstGroup: "embedding")
    builder.add(
      "patch_embed.proj",
      .convolution(
        Convolution2D(
          inputs: 3, outputs: width, window: Window2D(kernel: shape.patch, stride: shape.patch),
          hasBias: !shape.isPreNormalized)))
    builder.add("tokens", .tokens(shape.tokens))
    if shape.isPreNormalized { builder.add("norm_pre", norm) }
    for index in 0..<shape.depth {
      builder.beginGroup("block\(index + 1)")
      addBlock(&builder, "blocks.\(index)")
    }
    addFeatures(&builder)
    builder.addHead(head, features: shape.features, path: "head")
    return builder.build()
  }

  private var norm: ThawNetwork.Operation {
    .layerNormalization(LayerNormalization(channels: shape.width, epsilon: shape.epsilon))
  }

  private func dense(
    _ inputs: Int, _ outputs: Int, hasBias: Bool = true
  ) -> ThawNetwork.Operation {
    .convolution(
      Convolution2D(
        inputs: inputs, outputs: outputs, window: Window2D(kernel: 1), hasBias: hasBias,
        storesMatrix: true))
  }

  /// Attention and two dense layers, each behind a layer norm and beside a shortcut.
  private func addBlock(_ builder: inout GraphBuilder, _ path: ParameterPath) {
    let width = shape.width
    let entry = builder.last
    builder.add("\(path).norm1", norm)
    builder.add("\(path).attn.qkv", dense(width, 3 * width, hasBias: shape.biases == .all))
    builder.add("\(path).attn", .attention(shape.attention))
    builder.add("\(path).attn.proj", dense(width, width))
    addScale(&builder, "\(path).ls1")
    let middle = builder.add("\(path).add1", .add, [builder.last, entry])
    builder.add("\(path).norm2", norm)
    addHidden(&builder, "\(path).mlp")
    builder.add("\(path).mlp.fc2", dense(shape.hidden, width))
    addScale(&builder, "\(path).ls2")
    builder.add("\(path).add2", .add, [builder.last, middle])
  }

  /// The first dense layer and its activation; of a gated unit there are two, and one gates the other.
  private func addHidden(_ builder: inout GraphBuilder, _ path: ParameterPath) {
    let entry = builder.last
    guard shape.isGated else {
      builder.add("\(path).fc1", dense(shape.width, shape.hidden))
      builder.add("\(path).act", .activation(shape.activation))
      return
    }
    builder.add("\(path).fc1_g", dense(shape.width, shape.hidden))
    let gates = builder.add("\(path).act", .activation(shape.activation))
    let values = builder.add("\(path).fc1_x", dense(shape.width, shape.hidden), [entry])
    builder.add("\(path).gate", .multiply, [gates, values])
  }

  private func addScale(_ builder: inout GraphBuilder, _ path: ParameterPath) {
    guard shape.hasLayerScale else { return }
    builder.add(
      path, .channelScale(ChannelScale(channels: shape.width, name: "gamma", isVector: true)))
  }

  /// A layer norm is a token's own, so behind the class token alone it costs next to nothing; for means
  /// it comes before them, or with timm's `fc_norm` behind.
  private func addFeatures(_ builder: inout GraphBuilder) {
    let patches = ThawNetwork.Operation.selectTokens(TokenSelection(first: shape.tokens.prefix))
    let token = ThawNetwork.Operation.selectTokens(TokenSelection(first: 0, count: 1))
    switch shape.pooling {
    case .classToken:
      builder.add("token", token)
      builder.add("norm", norm)
    case .mean, .normalizedMean:
      if shape.pooling == .mean { builder.add("norm", norm) }
      if shape.tokens.prefix > 0 { builder.add("patches", patches) }
      builder.add("pool", .globalAveragePooling)
      if shape.pooling == .normalizedMean { builder.add("fc_norm", norm) }
    case .classAndDistillationToken:
      builder.add("tokens_read", .selectTokens(TokenSelection(first: 0, count: 2)))
      let both = builder.add("norm", norm)
      let first = builder.add("token", token, [both])
      let second = builder.add(
        "distillation", .selectTokens(TokenSelection(first: 1, count: 1)), [both])
      builder.add("both", .concatenate, [first, second])
    case .attention:
      builder.add("norm", norm)
      if shape.tokens.prefix > 0 { builder.add("patches", patches) }
      builder.beginGroup("pool")
      addPooling(&builder, "attn_pool")
    case .plainMean:
      builder.add("patches", patches)
      builder.add("pool", .globalAveragePooling)
    case .classTokenAndMean:
      let all = builder.add("norm", norm)
      let first = builder.add("token", token, [all])
      builder.add("patches", patches, [all])
      let mean = builder.add("pool", .globalAveragePooling)
      builder.add("both", .concatenate, [first, mean])
    }
    builder.add("flatten", .flatten)
  }

  /// A query that is learned, and two dense layers beside a shortcut as in a block.
  private func addPooling(_ builder: inout GraphBuilder, _ path: ParameterPath) {
    let width = shape.width
    builder.add("\(path).kv", dense(width, 2 * width))
    builder.add(path, .attentionPooling(shape.attentionPooling))
    let entry = builder.add("\(path).proj", dense(width, width))
    builder.add("\(path).norm", norm)
    builder.add("\(path).mlp.fc1", dense(width, shape.hidden))
    builder.add("\(path).mlp.act", .activation(shape.activation))
    builder.add("\(path).mlp.fc2", dense(shape.hidden, width))
    builder.add("\(path).add", .add, [builder.last, entry])
  }

  func path(ofPublished name: String) -> ParameterPath? {
    keeps(name) ? ParameterPath(VisionTransformerNames.published(name)) : nil
  }

  /// A mask token stood for hidden patches in a training. Periods are computed anew from the base, which they
  /// were set against; a layer norm of small crops was used in training alone.
  func keeps(_ name: String) -> Bool {
    if name == "mask_token" { return false }
    guard shape.rotaryBase != nil else { return true }
    return name != "rope_embed.periods" && !name.hasPrefix("local_cls_norm.")
  }
}
