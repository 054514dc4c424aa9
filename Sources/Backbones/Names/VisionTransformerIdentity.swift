// SPDX-License-Identifier: Apache-2.0

package import ThawCheckpoints
import ThawNetwork
import ThawTensors

/// Which vision transformers the tensors of a checkpoint may be.
///
/// Widths, blocks, patches and positions are in the tensors' shapes, so such networks are not looked for
/// in a list. What no tensor shows is the number of heads, the layer norms' epsilon and the activation:
/// `config.json` says them, or they are those of the family (most have 64 channels a head), and that is noted.
struct VisionTransformerIdentity {
  /// Whose names a file has.
  enum Library {
    case timm
    case facebook
    case torchvision
    case transformers
    /// CLIP's and SigLIP's vision towers, transformers' names or OpenAI's.
    case tower
    /// DINOv3, whose positions turn queries and keys, by library.
    case timmRotary
    case facebookRotary
    case transformersRotary

    /// Whether positions turn queries and keys.
    var isRotary: Bool { [.timmRotary, .facebookRotary, .transformersRotary].contains(self) }
  }

  /// The architectures that are promising, best first; usually none or one.
  ///
  /// - Parameter configuration: the `config.json` beside the file.
  static func architectures(
    in checkpoint: Checkpoint, configuration: JSONValue?, key: String?
  ) -> [Architecture] {
    var found: [Architecture] = []
    for part in NetworkPart.all(checkpoint, key: key) {
      guard let identity = VisionTransformerIdentity(part, configuration),
        identity.shape.isPossible, !found.contains(where: { $0.name == identity.shape.name }),
        var architecture = try? Architecture(named: identity.shape.name)
      else { continue }
      architecture.remark = identity.remark
      found.append(architecture)
    }
    return found
  }

  /// The width of a vision transformer of which neither tensors nor `configuration` say how many heads it
  /// has; nil for any other checkpoint.
  static func widthWithoutHeads(in checkpoint: Checkpoint, configuration: JSONValue?) -> Int? {
    NetworkPart.all(checkpoint).lazy.compactMap {
      VisionTransformerIdentity($0, configuration)?.shape
    }.first { $0.heads == 0 }?.width
  }

  let shape: VisionTransformerShape
  /// What was taken for granted, as a sentence; nil for nothing.
  let remark: String?

  private init?(_ part: NetworkPart, _ configuration: JSONValue?) {
    let names = Set(part.tensors.map(\.name))
    guard let library = VisionTransformerIdentity.library(names) else { return nil }
    if let stated = configuration?["hidden_act"]?.text,
      VisionTransformerIdentity.activations[stated] == nil
    {
      return nil
    }
    var shapes: [String: Shape] = [:]
    for tensor in part.tensors {
      let path = VisionTransformerIdentity.path(of: tensor.name, library) ?? tensor.name
      shapes[path] = tensor.shape
    }
    guard var shape = VisionTransformerIdentity.sizes(shapes) else { return nil }
    if library.isRotary {
      guard let assumed = shape.readRotary(shapes, of: library, part, configuration) else {
        return nil
      }
      remark = assumed.isEmpty ? nil : assumed.joined(separator: "; ")
      self.shape = shape
      return
    }
    let isDistilled = !names.isDisjoint(with: ["embeddings.distillation_token", "dist_token"])
    guard shape.read(shapes, of: library, distilled: isDistilled) else { return nil }
    // transformers' has two classifiers only where both tokens are read.
    let readsBoth =
      library == .timm
      || (part.tensors + part.outside).contains {
        $0.shape.rank == 2 && $0.shape[1] == 2 * shape.width
          && $0.name.hasSuffix("cls_classifier.weight")
      }
    if isDistilled, readsBoth { shape.pooling = .classAndDistillationToken }
    if library == .transformers, shape.hasLayerScale,
      (part.tensors + part.outside).contains(where: {
        $0.shape.rank == 2 && $0.shape[1] == 2 * shape.width
          && $0.name.hasSuffix("classifier.weight")
      })
    {
      shape.pooling = .classTokenAndMean
    }
    if library == .tower {
      // transformers' classifier reads the patches' mean: behind SigLIP's last layer norm, but before
      // CLIP's. SigLIP's features without one are pooled by attention.
      let isClassified = (part.tensors + part.outside).contains {
        $0.name == "classifier.weight" || $0.name.hasSuffix(".classifier.weight")
      }
      if shape.hasClassToken, isClassified {
        // Somebody's own classifier reads what its author likes; of transformers' config.json says it.
        guard configuration?["architectures"]?.elements == [.string("CLIPForImageClassification")]
        else { return nil }
        shape.pooling = .plainMean
      } else if isClassified, shape.pooling == .attention {
        shape.pooling = .mean
      }
    }
    // An own classifier may as well be behind the pooling by attention that the file has.
    let skipsPooling = shape.pooling == .mean && names.contains("head.probe")
    let aboutRest = shape.apply(configuration)
    let isStated =
      configuration?["architectures"]?.elements?.contains(.string("SiglipForImageClassification"))
      ?? false
    let aboutPooling = skipsPooling && !isStated ? shape.assumedMean : nil
    let assumed = [aboutPooling, aboutRest].compactMap(\.self)
    remark = assumed.isEmpty ? nil : assumed.joined(separator: "; ")
    self.shape = shape
  }

  /// transformers' names of activations that are known here.
  fileprivate static let activations: [String: Activation] = [
    "gelu": .gelu, "gelu_new": .geluTanh, "gelu_pytorch_tanh": .geluTanh, "gelu_fast": .geluTanh,
    "quick_gelu": .quickGELU, "silu": .silu, "swish": .silu,
  ]

  private static func library(_ names: Set<String>) -> Library? {
    if names.contains("embeddings.patch_embeddings.weight") { return .transformersRotary }
    if names.contains("embeddings.patch_embeddings.projection.weight") { return .transformers }
    if names.contains("embeddings.patch_embedding.weight")
      || names.contains("conv1.weight") && names.contains("positional_embedding")
    {
      return .tower
    }
    if names.contains("conv_proj.weight"), names.contains("class_token") { return .torchvision }
    guard names.contains("patch_embed.proj.weight") else { return nil }
    if !names.contains("pos_embed") {
      if names.contains("rope_embed.periods") { return .facebookRotary }
      return names.contains("blocks.0.gamma_1") ? .timmRotary : nil
    }
    let isFacebook = names.contains("mask_token") || names.contains("register_tokens")
    return isFacebook ? .facebook : .timm
  }

  private static func path(of name: String, _ library: Library) -> String? {
    switch library {
    case .timm: name == "dist_token" ? "reg_token" : name
    case .facebook, .torchvision, .timmRotary, .facebookRotary:
      VisionTransformerNames.published(name)
    case .transformersRotary:
      // Of gated units it matters that there are some, which their gates say.
      VisionTransformerNames.rotary(name, isGated: name.contains(".gate_proj."))
    case .transformers: VisionTransformerNames.transformers(name)
    case .tower: VisionTransformerNames.tower(name)
    }
  }

  /// Heads of the published networks of these channels, which are not of 64 each: So400m, huge, giant, gigantic.
  ///
  /// - Source: Dosovitskiy et al. 2021, arXiv:2010.11929; Zhai et al. 2022, arXiv:2106.04560; Alabdulmohsin et
  ///   al. 2023, arXiv:2305.13035.
  private static let publishedHeads = [1152: 16, 1280: 16, 1408: 16, 1664: 16]

  /// What shapes say outright; heads as is usual for the width, to be corrected.
  private static func sizes(_ shapes: [String: Shape]) -> VisionTransformerShape? {
    guard let patches = shapes["patch_embed.proj.weight"], patches.rank == 4, patches[1] == 3,
      patches[2] == patches[3], patches.count > 0,
      let hidden = shapes["blocks.0.mlp.fc1_g.weight"] ?? shapes["blocks.0.mlp.fc1.weight"],
      hidden.rank == 2,
      hidden[1] == patches[0]
    else { return nil }
    var depth = 0
    while shapes["blocks.\(depth).norm1.weight"] != nil { depth += 1 }
    let width = patches[0]
    // Where heads of 64 do not divide the width, 0 stands for an unknown number.
    let heads = publishedHeads[width] ?? (width % 64 == 0 ? width / 64 : 0)
    return VisionTransformerShape(
      patch: patches[2], grid: Extent2D(0), width: width, depth: depth, heads: heads,
      hidden: hidden[0])
  }
}

extension VisionTransformerShape {
  /// Reads what tokens there are and what is added to them; false when the positions fit no square.
  fileprivate mutating func read(
    _ shapes: [String: Shape], of library: VisionTransformerIdentity.Library, distilled: Bool
  ) -> Bool {
    hasClassToken = shapes["cls_token"] != nil
    if let tokens = shapes["reg_token"], tokens.rank == 3 { registers = tokens[1] }
    hasLayerScale = shapes["blocks.0.ls1.gamma"] != nil
    isPreNormalized = shapes["norm_pre.weight"] != nil
    if shapes["attn_pool.latent"] != nil {
      pooling = .attention
    } else if shapes["fc_norm.weight"] != nil {
      pooling = .normalizedMean
    } else if !hasClassToken {
      pooling = .mean
    }
    guard let positions = shapes["pos_embed"], (2...3).contains(positions.rank) else {
      return false
    }
    let prefix = registers + (hasClassToken ? 1 : 0)
    // timm gives every token before the patches a position or none, the others the class token.
    let candidates =
      switch library {
      case .timm: registers > 0 && !distilled ? [0, prefix] : [prefix, 0]
      default: [distilled ? prefix : min(prefix, 1)]
      }
    for count in candidates {
      let patches = positions[positions.rank - 2] - count
      let side = Int(Double(max(patches, 0)).squareRoot().rounded())
      guard side > 0, side * side == patches else { continue }
      (positioned, grid) = (count, Extent2D(side))
      follow(library)
      return true
    }
    return false
  }

  /// How a library normalises, and resamples positions.
  private mutating func follow(_ library: VisionTransformerIdentity.Library) {
    switch library {
    case .timm:
      if isPreNormalized { epsilon = 1e-5 }
      if pooling == .attention { followSigLIP() }
    case .timmRotary, .facebookRotary, .transformersRotary: break
    case .facebook: resampling = registers > 0 ? .antialiased : .offset
    case .torchvision: resampling = .alignedCorners
    case .tower:
      resampling = .cubic
      // CLIP has the layer norm before the blocks, SigLIP has not.
      epsilon = isPreNormalized ? 1e-5 : 1e-6
      activation = isPreNormalized ? .quickGELU : .geluTanh
    case .transformers:
      if hasLayerScale {
        resampling = registers > 0 ? .antialiased : .cubic
      } else {
        (resampling, epsilon) = (.cubic, 1e-12)
      }
    }
  }

  /// Takes what no tensor shows from the published networks of these sizes, as timm has them.
  private mutating func followSigLIP() {
    let isSecond =
      patch == 32 || width == 1536 || width == 1152 && patch == 16
      || width == 1024 && grid == Extent2D(32)
    activation = isSecond ? .geluTanh : .gelu
    if width == 1536 { heads = 16 }
  }

  /// Takes over what `config.json` says; returns what it leaves to be assumed.
  mutating func apply(_ configuration: JSONValue?) -> String? {
    let configuration = configuration?["vision_config"] ?? configuration
    let stated =
      configuration?["num_attention_heads"]?.integer
      ?? configuration?["model_args"]?["num_heads"]?.integer
    if let value = configuration?["layer_norm_eps"]?.double { epsilon = value }
    if let stated = configuration?["hidden_act"]?.text,
      let function = VisionTransformerIdentity.activations[stated]
    {
      activation = function
    }
    if let name = configuration?["architecture"]?.text {
      if name.contains("quickgelu") { activation = .quickGELU }
      if name.contains("siglip") { followSigLIP() }
    }
    if let sides = configuration?["image_size"]?.integers, sides.count == 2,
      sides.allSatisfy({ (1...100_000).contains($0) })
    {
      let grid = Extent2D(height: sides[0] / patch, width: sides[1] / patch)
      if grid.count == self.grid.count { self.grid = grid }
    }
    if configuration?["global_pool"]?.text == "avg", pooling == .classToken { pooling = .mean }
    var assumed: [String] = []
    if let stated {
      heads = stated
    } else if let name = configuration?["architecture"]?.text,
      let known = VisionTransformerShape(name: name),
      known.width == width
    {
      heads = known.heads
    } else {
      assumed.append(
        "\(heads) heads are assumed, \(heads > 0 ? width / heads : 0) channels each, as in the published networks of this family:"
          + " no tensor shows it")
    }
    // transformers leaves out what is its default.
    let isStated =
      configuration?["architectures"] != nil
      || ["hidden_act", "architecture", "model_type"].contains {
        configuration?[$0]?.text != nil
      }
    if isPreNormalized || pooling == .attention, !isStated { assumed.append(assumedActivation) }
    return assumed.isEmpty ? nil : assumed.joined(separator: "; ")
  }

  /// transformers' classifier for SigLIP leaves out the pooling by attention that its tower has.
  fileprivate var assumedMean: String {
    var other = self
    other.pooling = .attention
    return "the classifier is assumed to read the patches' mean, as transformers' for SigLIP does;"
      + " --card \(other.name) has it behind the pooling by attention"
  }

  /// OpenAI trained CLIP's towers with an approximation of GELU, others theirs with GELU; of SigLIP's some
  /// have GELU, some the one by tanh.
  private var assumedActivation: String {
    var other = self
    let approximation = pooling == .attention ? Activation.geluTanh : .quickGELU
    other.activation = activation == approximation ? .gelu : approximation
    let names = [
      Activation.quickGELU: "the quick GELU of OpenAI's CLIP", .geluTanh: "GELU by tanh",
      .gelu: "GELU",
    ]
    return "\(names[activation] ?? "\(activation)") is assumed, which no tensor shows;"
      + " --card \(other.name) has \(names[other.activation] ?? "\(other.activation)")"
  }
}

extension Checkpoint {
  /// The width of a vision transformer whose number of heads is not known; nil for anything else.
  ///
  /// - Parameter configuration: the `config.json` beside the file.
  package func transformerWidthWithoutHeads(_ configuration: JSONValue?) -> Int? {
    VisionTransformerIdentity.widthWithoutHeads(in: self, configuration: configuration)
  }
}
