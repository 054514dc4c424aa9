// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing
import ThawBackbones
import ThawCheckpoints
import ThawNetwork
import ThawTensors
import ThawTestSupport

@Suite struct TransformerNamesTests {
  private static let heads = #"{"num_attention_heads": 3}"#

  /// What no classifier reads: a mask token, SigLIP's pooling by attention, and where transformers
  /// classifies by CLIP its last layer norm.
  private static func isUnused(_ name: String, _ key: String) -> Bool {
    name.hasSuffix("mask_token") || name.contains("vision_model.head.")
      || name == "rope_embed.periods" || name.hasSuffix("qkv.bias_mask")
      || key == clip && name.contains("post_layernorm.")
  }

  /// The fixture's tensors, each element a number of its own, below `prefix`.
  private func checkpoint(
    _ fixture: TransformerFixture, prefix: String = "", leavingOut out: Set<String> = []
  ) -> Checkpoint {
    let names = fixture.tensors.keys.filter { !out.contains($0) }.sorted()
    let tensors = names.map { name in
      StoredTensor(prefix + name, Self.values(name, Shape(fixture.tensors[name] ?? [])))
    }
    return Checkpoint(tensors: tensors, metadata: [:], format: .safetensors, path: "model")
  }

  /// Periods and masks are what facebook's files hold, everything else is made up.
  private static func values(_ name: String, _ shape: Shape) -> Tensor<Float> {
    switch name {
    case "rope_embed.periods":
      let periods = RotaryEmbedding(prefix: 0, isRounded: true).periods(width: 4 * shape.count)
      return Tensor(periods.map(Float.init), shape: shape)
    case let name where name.hasSuffix("bias_mask"):
      let third = shape.count / 3
      return Tensor((0..<3 * third).map { $0 / third == 1 ? 0 : 1 }, shape: shape)
    default: return .procedural(ParameterPath(name), shape: shape)
    }
  }

  private static let clip = "transformers, CLIP"

  private static func configuration(_ key: String) -> String {
    switch key {
    case clip: #"{"num_attention_heads": 3, "architectures": ["CLIPForImageClassification"]}"#
    case "timm, DINOv3", "timm, DINOv3 with gated units":
      #"{"architecture": "vit_small_patch16_dinov3", "model_args": {"num_heads": 3}}"#
    case "transformers, SigLIP":
      #"{"num_attention_heads": 3, "architectures": ["SiglipForImageClassification"]}"#
    case "SigLIP": #"{"num_attention_heads": 3, "hidden_act": "gelu_pytorch_tanh"}"#
    case "timm, SigLIP":
      #"{"architecture": "vit_base_patch16_siglip_224", "model_args": {"num_heads": 3}}"#
    case "transformers, DINOv3", "transformers, DINOv3 with gated units":
      #"{"num_attention_heads": 3, "rope_theta": 100.0}"#
    default: heads
    }
  }

  private func identity(
    _ checkpoint: Checkpoint, _ configuration: String? = heads
  ) throws -> CheckpointIdentity {
    try CheckpointIdentity(
      checkpoint, cards: [], configuration: try configuration.map { try JSONValue(parsing: $0) })
  }

  @Test(arguments: TransformerParityTests.networks, ["", "module."])
  func everyTensorOfTheRealNetworkHasItsPlace(_ key: String, prefix: String) throws {
    let fixture = try #require(TransformerFixture.all[key])
    let found = try identity(checkpoint(fixture, prefix: prefix), Self.configuration(key))
    let best = try #require(found.best)
    #expect(best.complaint == nil)
    #expect(best.architecture == fixture.name && found.certainty == .sure)
    // transformers' tower of SigLIP ends with the features.
    #expect(best.head == (key == "SigLIP" ? nil : Head(classes: TransformerFixture.classes)))
    #expect(best.ignored.allSatisfy { Self.isUnused($0, key) })
    // Which GELU OpenAI's tower has is in no tensor, and no config.json is beside it.
    #expect(best.notes.contains { $0.contains("the quick GELU of OpenAI") } == (key == "CLIP"))
    #expect(best.notes.count == (key == "CLIP" ? 1 : 0))
    // What facebook's files hold beside the weights is known to be no part of the network.
    let isListed = !key.hasPrefix("facebook")
    #expect(
      best.ignored.count
        == fixture.tensors.keys.count { isListed && Self.isUnused($0, key) })
  }

  /// Queries, keys and values lie below each other; everything else is what it was.
  @Test func apartStoredQueriesKeysAndValuesAreJoined() throws {
    let fixture = try #require(TransformerFixture.all["transformers, ViT"])
    let checkpoint = checkpoint(fixture)
    let best = try #require(try identity(checkpoint).best)
    let parameters = try best.parameters(of: checkpoint)
    let base = "vit.encoder.layer.1.attention.attention"
    let parts = try ["query", "key", "value"].flatMap {
      try #require(checkpoint["\(base).\($0).weight"]).floats().elements
    }
    #expect(try parameters.tensor("blocks.1.attn.qkv.weight").elements == parts)
    let out = try #require(checkpoint["vit.encoder.layer.1.attention.output.dense.weight"])
    #expect(try parameters.tensor("blocks.1.attn.proj.weight").elements == out.floats().elements)
  }

  @Test(arguments: TransformerParityTests.networks)
  func weightsGoBackUnderTheirOwnNames(_ key: String) throws {
    let fixture = try #require(TransformerFixture.all[key])
    let checkpoint = checkpoint(fixture)
    let fit = try #require(try identity(checkpoint, Self.configuration(key)).best)
    let original = try OriginalNames(checkpoint, Architecture(named: fit.architecture))
    var parameters = try fit.parameters(of: checkpoint)
    for path in parameters.paths {
      let tensor = try parameters.tensor(path)
      parameters[path] = Tensor(tensor.elements.map { 2 * $0 }, shape: tensor.shape)
    }
    let back = try original.tensors(parameters)
    #expect(back.map(\.name) == checkpoint.names)
    for (tensor, stored) in zip(back, checkpoint.tensors) {
      let isKept = Self.isUnused(stored.name, key)
      let isMasked = checkpoint[stored.name + "_mask"] != nil
      let third = stored.shape.count / 3
      var expected = try stored.floats().elements.enumerated().map { index, value in
        isKept || isMasked && index / third == 1 ? value : 2 * value
      }
      // Of two classifiers' biases the mean alone counts.
      if key == "timm, distilled", ["head.bias", "head_dist.bias"].contains(stored.name) {
        let both = ["head.bias", "head_dist.bias"].compactMap { checkpoint[$0] }
        expected = zip(try both[0].floats().elements, try both[1].floats().elements).map(+)
      }
      #expect(try tensor.floats().elements == expected && tensor.shape == stored.shape)
    }
  }

  @Test func timmTakesTheNamesOfItsOwnNetworks() throws {
    for key in [
      "timm", "timm, registers", "timm, mean", "timm, DINOv3", "timm, DINOv3 with gated units",
      "timm, SigLIP", "timm, distilled",
    ] {
      let fixture = try #require(TransformerFixture.all[key])
      let graph = try fixture.graph()
      let tensors = try #require(
        try Architecture(named: fixture.name).timmTensors(graph, .procedural(for: graph)))
      #expect(
        Dictionary(uniqueKeysWithValues: tensors.map { ($0.name, $0.shape.extents) })
          == fixture.tensors)
    }
  }

  /// The average of two classifiers is one that reads both tokens, and it becomes two again.
  @Test(arguments: ["head", "cls_classifier"])
  func twoClassifiersAreOneOfBothTokens(_ first: String) throws {
    let isTimm = first == "head"
    let second = isTimm ? "head_dist" : "distillation_classifier"
    let token = isTimm ? "dist_token" : "deit.embeddings.distillation_token"
    let key = isTimm ? "timm, distilled" : "transformers, DeiT"
    let fixture = try #require(TransformerFixture.all[key])
    let heads = [first, second].flatMap { layer in
      [("weight", [5, 48] as Shape), ("bias", [5])].map { array, shape in
        let name = "\(layer).\(array)"
        return StoredTensor(name, .procedural(ParameterPath(name), shape: shape))
      }
    }
    let rest = checkpoint(fixture).tensors.filter { tensor in
      !tensor.name.hasPrefix("head") && !tensor.name.hasPrefix("classifier")
    }
    let file = Checkpoint(tensors: rest + heads, metadata: [:], format: .safetensors, path: "model")
    #expect(file[token] != nil)
    let found = try identity(file)
    let best = try #require(found.best)
    #expect(best.complaint == nil && best.head == Head(classes: 5))
    #expect(VisionTransformerShape(name: best.architecture)?.pooling == .classAndDistillationToken)
    // DeiT's photos, which a ViT of timm's without that token does not have.
    #expect(found.preprocessing?.mean == [0.485, 0.456, 0.406])
    let parameters = try best.parameters(of: file)
    func numbers(_ name: String) throws -> [Float] { try #require(file[name]).floats().elements }
    let weights = [try numbers("\(first).weight"), try numbers("\(second).weight")]
    let joined: [Float] = (0..<5).flatMap { row in
      weights.flatMap { $0[row * 48..<(row + 1) * 48].map { $0 / 2 } }
    }
    #expect(try parameters.tensor("head.weight").elements == joined)
    let biases = [try numbers("\(first).bias"), try numbers("\(second).bias")]
    let mean: [Float] = zip(biases[0], biases[1]).map { ($0 + $1) / 2 }
    #expect(try parameters.tensor("head.bias").elements == mean)
    let back = try OriginalNames(file, Architecture(named: best.architecture)).tensors(parameters)
    let weight = try #require(back.first { $0.name == "\(second).weight" })
    #expect(try weight.floats().elements == numbers("\(second).weight"))
  }

  /// A classifier beside a pooling by attention may read it or not: what is taken is said.
  @Test func whatAClassifierOfSigLIPReadsIsSaidToBeAssumed() throws {
    let fixture = try #require(TransformerFixture.all["transformers, SigLIP"])
    let best = try #require(try identity(checkpoint(fixture)).best)
    #expect(VisionTransformerShape(name: best.architecture)?.pooling == .mean)
    let other = fixture.name.replacingOccurrences(of: "_mean", with: "_map")
    #expect(best.notes.contains { $0.contains("--card \(other) ") }, "\(best.notes)")
    let chosen = try #require(
      try CheckpointIdentity(checkpoint(fixture), cards: [], architecture: other).best)
    #expect(chosen.complaint == nil && chosen.head == Head(classes: TransformerFixture.classes))
  }

  /// SigLIP's tensors do not show which GELU it has.
  @Test func whichGELUSigLIPHasIsSaidToBeAssumed() throws {
    for (key, taken) in [
      ("SigLIP", "GELU by tanh is assumed"), ("timm, SigLIP", "GELU is assumed"),
    ] {
      let fixture = try #require(TransformerFixture.all[key])
      let best = try #require(try identity(checkpoint(fixture)).best)
      #expect(best.architecture == fixture.name)
      #expect(best.notes.contains { $0.contains(taken) }, "\(best.notes)")
    }
  }

  @Test func facebooksNamesAreDINOv2sWithItsOwnResampling() throws {
    let graph = try #require(VisionTransformerShape(name: "vit_small_patch14_dinov2"))
    for registers in [0, 4] {
      var shape = graph
      (shape.registers, shape.depth) = (registers, 2)
      let network = try Architecture(named: shape.name).graph(Head(classes: 1))
      var tensors = network.parameters.filter { !$0.path.description.hasPrefix("head.") }.map {
        let name = $0.path.description.replacingOccurrences(
          of: "reg_token", with: "register_tokens")
        return StoredTensor(name, Tensor<Float>(zeros: $0.shape))
      }
      tensors.append(StoredTensor("mask_token", Tensor<Float>(zeros: [1, 384])))
      let found = try identity(
        Checkpoint(tensors: tensors, metadata: [:], format: .torchZip, path: "model"), nil)
      let best = try #require(found.best)
      #expect(best.isComplete && best.head == nil)
      let name = try #require(VisionTransformerShape(name: best.architecture))
      #expect(name.registers == registers && name.positioned == 1 && name.hasLayerScale)
      #expect(name.resampling == (registers == 0 ? .offset : .antialiased))
      #expect(best.notes.contains { $0.contains("6 heads are assumed") })
    }
  }

  /// Of most widths heads have 64 channels, of the published networks of these widths they have not.
  @Test(arguments: [(1024, 16), (1152, 16), (1280, 16), (1408, 16), (1536, 24), (1664, 16)])
  func headsAreAssumedAsThePublishedNetworksHaveThem(width: Int, heads: Int) throws {
    let name = "vit_p14_g2x2_w\(width)_d1_h\(heads)_m256"
    let network = try Architecture(named: name).graph(Head(classes: 2))
    let tensors = network.parameters.map {
      StoredTensor($0.path.description, Tensor<Float>(zeros: $0.shape))
    }
    let found = try identity(
      Checkpoint(tensors: tensors, metadata: [:], format: .torchZip, path: "model"), nil)
    let best = try #require(found.best)
    #expect(best.architecture == name)
    let note = "\(heads) heads are assumed, \(width / heads) channels each"
    #expect(best.notes.contains { $0.contains(note) }, "\(best.notes)")
  }

  @Test func anUnknownNumberOfHeadsIsNotGuessed() throws {
    let fixture = try #require(TransformerFixture.all["timm"])
    let checkpoint = checkpoint(fixture)
    #expect(try identity(checkpoint, nil).best == nil)
    #expect(checkpoint.transformerWidthWithoutHeads(nil) == 48)
    let stated = try JSONValue(parsing: Self.heads)
    #expect(checkpoint.transformerWidthWithoutHeads(stated) == nil)
    // Heads that do not divide the width are no network, nor are those of a hostile file.
    for stated in ["7", "0", "-3", "9223372036854775807"] {
      let text = #"{"num_attention_heads": \#(stated), "image_size": [9223372036854775807, 2]}"#
      #expect(try identity(checkpoint, text).best == nil)
    }
  }

  @Test func configurationSaysEpsilonActivationAndGrid() throws {
    let fixture = try #require(TransformerFixture.all["transformers, ViT"])
    let best = try identity(
      checkpoint(fixture),
      #"{"num_attention_heads": 6, "layer_norm_eps": 1e-5, "hidden_act": "quick_gelu", "#
        + #""image_size": [16, 64]}"#
    ).best
    let architecture = try #require(best).architecture
    let shape = try #require(VisionTransformerShape(name: architecture))
    #expect(shape.heads == 6 && shape.epsilon == 1e-5 && shape.activation == .quickGELU)
    #expect(shape.grid == Extent2D(height: 2, width: 8))
  }

  /// CLIP with a classifier of somebody's own: nothing but transformers' configuration says what it reads.
  @Test func anotherClassifierBehindCLIPIsNotGuessed() throws {
    let fixture = try #require(TransformerFixture.all[Self.clip])
    #expect(try identity(checkpoint(fixture)).best == nil)
    let other = #"{"num_attention_heads": 3, "architectures": ["MyCLIP"]}"#
    #expect(try identity(checkpoint(fixture), other).best == nil)
  }

  /// What of DINOv3 no tensor shows is said; networks of the same tensors that turn otherwise are not taken.
  @Test func anotherRotationIsNotGuessed() throws {
    let fixture = try #require(TransformerFixture.all["timm, DINOv3"])
    let assumed = try #require(try identity(checkpoint(fixture)).best)
    #expect(assumed.architecture == fixture.name)
    #expect(assumed.notes.contains { $0.contains("rotary embeddings are assumed") })
    let token = try identity(
      checkpoint(fixture),
      #"{"architecture": "vit_small_patch16_dinov3", "global_pool": "token", "#
        + #""model_args": {"num_heads": 3}}"#)
    let name = try #require(token.best).architecture
    #expect(VisionTransformerShape(name: name)?.pooling == .classToken)
    for other in [
      #"{"architecture": "vit_medium_patch16_rope_reg1_gap_256", "num_attention_heads": 3}"#,
      #"{"num_attention_heads": 3, "global_pool": "max"}"#,
      #"{"num_attention_heads": 3, "hidden_act": "relu"}"#,
      #"{"num_attention_heads": 4, "hidden_act": "silu"}"#,
    ] { #expect(try identity(checkpoint(fixture), other).best == nil, "\(other)") }
    let whole = checkpoint(fixture)
    let biased = Checkpoint(
      tensors: whole.tensors
        + [StoredTensor("blocks.0.attn.qkv.bias", Tensor<Float>(zeros: [144]))],
      metadata: [:], format: .safetensors, path: "model")
    #expect(try identity(biased).best == nil)
    let theirs = try #require(TransformerFixture.all["transformers, DINOv3"])
    let based = try identity(
      checkpoint(theirs), #"{"num_attention_heads": 3, "rope_theta": 10000}"#)
    #expect(try #require(based.best).architecture.contains("_rope10000_"))
  }

  /// facebook's periods are looked at, and so is the mask that takes the keys' bias away.
  @Test func periodsAndMasksAreLookedAt() throws {
    let fixture = try #require(TransformerFixture.all["facebook, DINOv3"])
    func changed(_ name: String, _ change: ([Float]) -> [Float]) throws -> Checkpoint {
      let whole = checkpoint(fixture)
      let tensors = try whole.tensors.map { tensor in
        guard tensor.name == name else { return tensor }
        let values = change(try tensor.floats().elements)
        return StoredTensor(name, Tensor(values, shape: tensor.shape))
      }
      return Checkpoint(tensors: tensors, metadata: [:], format: .torchZip, path: "model")
    }
    let exact = RotaryEmbedding(prefix: 0).periods(width: 16).map(Float.init)
    let unrounded = try changed("rope_embed.periods") { _ in exact }
    #expect(
      try #require(try identity(unrounded, nil).best).architecture
        == fixture.name.replacingOccurrences(of: "bf16", with: ""))
    let other = try changed("rope_embed.periods") { $0.map { 1.01 * $0 } }
    #expect(try identity(other, nil).best == nil)
    let open = try changed("blocks.1.attn.qkv.bias_mask") { $0.map { _ in 1 } }
    let best = try #require(try identity(open, nil).best)
    #expect(throws: CheckpointError.self) { try best.parameters(of: open) }
  }

  @Test func aMissingTensorIsNamed() throws {
    let fixture = try #require(TransformerFixture.all["transformers, DINOv2"])
    let name = "dinov2.encoder.layer.1.attention.attention.key.weight"
    let best = try #require(try identity(checkpoint(fixture, leavingOut: [name])).best)
    #expect(best.missing == ["blocks.1.attn.qkv.weight"] && !best.isComplete)
  }
}
