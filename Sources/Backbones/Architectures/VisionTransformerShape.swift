// SPDX-License-Identifier: Apache-2.0

package import ThawNetwork

/// Everything in which vision transformers of one build differ.
package struct VisionTransformerShape: Hashable, Sendable {
  /// What the classifier reads.
  package enum Pooling: String, Hashable, Sendable {
    /// The class token behind the last layer norm: ViT, DeiT, DINOv2 in timm.
    case classToken = "token"
    /// The mean of the patches behind it.
    case mean
    /// The mean of the patches, and a layer norm behind that: timm's `fc_norm`.
    case normalizedMean = "fcnorm"
    /// Class token and mean of the patches side by side: transformers' and facebook's DINOv2.
    case classTokenAndMean = "both"
    /// The mean of the patches as the last block leaves them, with no layer norm: transformers' classifier
    /// for CLIP.
    case plainMean = "plain"
    /// Class token and distillation token, the first register, side by side behind it: distilled DeiT, whose two
    /// classifiers are one here.
    case classAndDistillationToken = "distilled"
    /// What a query that is learned makes of the patches behind it, with two dense layers of its own: SigLIP.
    case attention = "map"
  }

  /// Which of an attention's queries, keys and values have a bias.
  package enum Biases: String, Hashable, Sendable {
    case all
    /// No keys: DINOv3's, whose bias of keys is masked.
    case queriesAndValues = "qvbias"
    case none = "nobias"
  }

  /// Side of a patch, in pixels.
  package var patch: Int
  /// Patches that the positions were learned for.
  package var grid: Extent2D
  /// Channels of a token.
  package var width: Int
  /// Blocks.
  package var depth: Int
  /// Heads of an attention; divides ``width``.
  package var heads: Int
  /// Channels between a block's two dense layers.
  package var hidden: Int
  package var hasClassToken = true
  package var registers = 0
  /// Tokens before the patches that have a position.
  package var positioned = 1
  /// Of the layer norms.
  package var epsilon = 1e-6
  package var activation = Activation.gelu
  /// Whether each branch ends with a channel scale.
  package var hasLayerScale = false
  /// Whether a layer norm stands before the blocks and the patches have no bias: CLIP.
  package var isPreNormalized = false
  package var pooling = Pooling.classToken
  package var resampling = PositionResampling.antialiased
  /// What the periods are powers of by which positions turn queries and keys, where none are added to the
  /// tokens: see `RotaryEmbedding`; nil for positions that are added.
  package var rotaryBase: Double?
  /// Whether those periods are rounded to bfloat16.
  package var roundsPeriods = false
  package var biases = Biases.all
  /// Whether the first dense layer of a block is a gated unit (SwiGLU).
  package var isGated = false

  /// A ViT as timm builds it, four times the width between the dense layers.
  package init(patch: Int, grid: Extent2D, width: Int, depth: Int, heads: Int, hidden: Int? = nil) {
    self.patch = patch
    self.grid = grid
    self.width = width
    self.depth = depth
    self.heads = heads
    self.hidden = hidden ?? 4 * width
  }

  /// The sequence of tokens.
  package var tokens: TokenSequence {
    TokenSequence(
      channels: width, grid: grid, hasClassToken: hasClassToken, registers: registers,
      positioned: positioned, resampling: resampling, hasPositions: rotaryBase == nil)
  }

  /// The attention of a block.
  package var attention: Attention {
    Attention(
      channels: width, heads: heads,
      rotary: rotaryBase.map {
        RotaryEmbedding(prefix: tokens.prefix, base: $0, isRounded: roundsPeriods)
      }, hasBiases: biases == .queriesAndValues)
  }

  /// The pooling by attention of ``Pooling/attention``.
  package var attentionPooling: AttentionPooling { AttentionPooling(channels: width, heads: heads) }

  /// Whether there is a distillation token, as in DeiT alone: a register with a position.
  package var isDistilled: Bool { hasClassToken && registers == 1 && positioned == 2 }

  /// Features that the classifier reads.
  package var features: Int {
    [.classTokenAndMean, .classAndDistillationToken].contains(pooling) ? 2 * width : width
  }

  /// Whether such a network can be built: what comes from a file is checked here.
  package var isPossible: Bool {
    let sizes = [patch, grid.height, grid.width, width, depth, heads, hidden]
    let isBounded =
      sizes.allSatisfy { (1...1_000_000).contains($0) }
      && max(grid.height, grid.width) * patch <= 16_384
    return isBounded && width % heads == 0 && depth <= 1000 && (0...1000).contains(registers)
      && (0...registers + (hasClassToken ? 1 : 0)).contains(positioned) && epsilon > 0
      && epsilon.isFinite
      && (hasClassToken
        || ![.classToken, .classTokenAndMean, .classAndDistillationToken].contains(pooling))
      && (pooling != .classAndDistillationToken || registers == 1)
      && isGated == (activation == .silu) && hasPossibleRotation
  }

  private var hasPossibleRotation: Bool {
    guard let rotaryBase else { return !roundsPeriods }
    return rotaryBase > 1 && rotaryBase < 1e9 && positioned == 0 && width / heads % 4 == 0
  }
}

extension VisionTransformerShape {
  /// The shape of a published name, or of one that spells it out; nil for any other.
  package init?(name: String) {
    if let known = VisionTransformerShape.published.first(where: { $0.name == name }) {
      self = known.shape
    } else if let alias = VisionTransformerShape.aliases[name] {
      self.init(name: alias)
    } else {
      self.init(spelled: name)
    }
  }

  /// The published name of this shape, else one that spells it out.
  package var name: String {
    VisionTransformerShape.published.first { $0.shape == self }?.name ?? spelled
  }

  /// Every number of the shape in one name: `vit_p16_g14x14_w384_d12_h6_m1536`, then what differs from
  /// timm's ViT (`noclass`, `reg4`, `pos0`, `eps1e-12`, `tanh`, `scale`, `pre`, `mean`, `map`, `distilled`, `cubic`,
  /// `rope100`, `qvbias`, `swiglu`).
  package var spelled: String {
    var parts = [
      "vit", "p\(patch)", "g\(grid)", "w\(width)", "d\(depth)", "h\(heads)", "m\(hidden)",
    ]
    if !hasClassToken { parts.append("noclass") }
    if registers > 0 { parts.append("reg\(registers)") }
    if positioned != 1 { parts.append("pos\(positioned)") }
    if epsilon != 1e-6 { parts.append("eps\(epsilon)") }
    switch activation {
    case .geluTanh: parts.append("tanh")
    case .quickGELU: parts.append("quick")
    default: break
    }
    if hasLayerScale { parts.append("scale") }
    if isPreNormalized { parts.append("pre") }
    if pooling != .classToken { parts.append(pooling.rawValue) }
    switch resampling {
    case .antialiased: break
    case .cubic: parts.append("cubic")
    case .offset: parts.append("offset")
    case .alignedCorners: parts.append("corners")
    }
    if let rotaryBase {
      let whole = Int(exactly: rotaryBase).map(String.init)
      parts.append("rope" + (whole ?? "\(rotaryBase)") + (roundsPeriods ? "bf16" : ""))
    }
    if biases != .all { parts.append(biases.rawValue) }
    if isGated { parts.append("swiglu") }
    return parts.joined(separator: "_")
  }

  /// Reads what ``spelled`` writes; nil for anything else.
  package init?(spelled name: String) {
    let parts = name.split(separator: "_").map(String.init)
    guard parts.count >= 7, parts[0] == "vit" else { return nil }
    func number(_ index: Int, _ letter: Character) -> Int? {
      parts[index].first == letter ? Int(parts[index].dropFirst()) : nil
    }
    let grid = parts[2].dropFirst().split(separator: "x").compactMap { Int($0) }
    guard let patch = number(1, "p"), parts[2].first == "g", grid.count == 2,
      let width = number(3, "w"), let depth = number(4, "d"), let heads = number(5, "h"),
      let hidden = number(6, "m")
    else { return nil }
    self.init(
      patch: patch, grid: Extent2D(height: grid[0], width: grid[1]), width: width, depth: depth,
      heads: heads, hidden: hidden)
    for part in parts.dropFirst(7) where !apply(part) { return nil }
    // One shape has one name.
    guard isPossible, spelled == name else { return nil }
  }

  private mutating func apply(_ part: String) -> Bool {
    switch part {
    case "noclass": hasClassToken = false
    case "tanh": activation = .geluTanh
    case "quick": activation = .quickGELU
    case "scale": hasLayerScale = true
    case "pre": isPreNormalized = true
    case "cubic": resampling = .cubic
    case "offset": resampling = .offset
    case "corners": resampling = .alignedCorners
    case "swiglu": (isGated, activation) = (true, .silu)
    default:
      if let pooling = Pooling(rawValue: part) {
        self.pooling = pooling
      } else if let biases = Biases(rawValue: part) {
        self.biases = biases
      } else if part.hasPrefix("rope") {
        roundsPeriods = part.hasSuffix("bf16")
        rotaryBase = Double(part.dropFirst(4).dropLast(roundsPeriods ? 4 : 0))
        return rotaryBase != nil
      } else if part.hasPrefix("reg"), let count = Int(part.dropFirst(3)) {
        registers = count
      } else if part.hasPrefix("pos"), let count = Int(part.dropFirst(3)) {
        positioned = count
      } else if part.hasPrefix("eps"), let value = Double(part.dropFirst(3)) {
        epsilon = value
      } else {
        return false
      }
    }
    return true
  }
}

extension VisionTransformerShape {
  /// The networks that have a name of their own.
  package static let published: [(name: String, shape: VisionTransformerShape)] =
    timm + distilled + torchvision + dino + dino3

  /// Other names of the same networks: DeiT is a ViT that was trained otherwise.
  static let aliases = [
    "deit_tiny_patch16_224": "vit_tiny_patch16_224",
    "deit_small_patch16_224": "vit_small_patch16_224",
    "deit_base_patch16_224": "vit_base_patch16_224",
    "deit_base_patch16_384": "vit_base_patch16_384",
    "vit_small_patch16_dinov1": "vit_small_patch16_224",
  ]

  /// Width, blocks and heads by size.
  private static let sizes: [(name: String, letter: String, width: Int, depth: Int, heads: Int)] = [
    ("tiny", "t", 192, 12, 3), ("small", "s", 384, 12, 6), ("base", "b", 768, 12, 12),
    ("large", "l", 1024, 24, 16),
  ]

  private static let timm = sizes.flatMap { size in
    [(16, 224), (16, 384), (32, 224), (32, 384), (8, 224)].compactMap {
      patch, side -> (String, VisionTransformerShape)? in
      // As timm has them.
      if size.name == "tiny" && patch != 16 || size.name == "large" && patch == 8 { return nil }
      return (
        "vit_\(size.name)_patch\(patch)_\(side)",
        VisionTransformerShape(
          patch: patch, grid: Extent2D(side / patch), width: size.width, depth: size.depth,
          heads: size.heads)
      )
    }
  }

  private static let distilled = [("tiny", 224), ("small", 224), ("base", 224), ("base", 384)]
    .compactMap { name, side -> (String, VisionTransformerShape)? in
      guard let size = sizes.first(where: { $0.name == name }) else { return nil }
      var shape = VisionTransformerShape(
        patch: 16, grid: Extent2D(side / 16), width: size.width, depth: size.depth,
        heads: size.heads)
      (shape.registers, shape.positioned, shape.pooling) = (1, 2, .classAndDistillationToken)
      return ("deit_\(name)_distilled_patch16_\(side)", shape)
    }

  private static let torchvision = sizes.flatMap { size in
    [16, 32].compactMap { patch -> (String, VisionTransformerShape)? in
      guard ["b", "l"].contains(size.letter) else { return nil }
      var shape = VisionTransformerShape(
        patch: patch, grid: Extent2D(224 / patch), width: size.width, depth: size.depth,
        heads: size.heads)
      shape.resampling = .alignedCorners
      return ("vit_\(size.letter)_\(patch)", shape)
    }
  }

  private static let dino = sizes.flatMap { size in
    [0, 4].compactMap { registers -> (String, VisionTransformerShape)? in
      guard size.name != "tiny" else { return nil }
      var shape = VisionTransformerShape(
        patch: 14, grid: Extent2D(37), width: size.width, depth: size.depth, heads: size.heads)
      shape.hasLayerScale = true
      shape.registers = registers
      shape.positioned = registers == 0 ? 1 : 0
      let suffix = registers == 0 ? "dinov2" : "reg\(registers)_dinov2"
      return ("vit_\(size.name)_patch14_\(suffix)", shape)
    }
  }

  /// As timm has them: features are the patches' mean, where the authors read the class token; and each with
  /// the biases that the published weights hold as zeros (`_qkvb`), and without.
  private static let dino3: [(name: String, shape: VisionTransformerShape)] = {
    let huge = (name: "huge", letter: "h", width: 1280, depth: 32, heads: 20)
    return (sizes + [huge]).flatMap { size in
      [false, true].flatMap { isGated in
        [Biases.none, .queriesAndValues].compactMap { biases in
          // As timm has them.
          let isKnown =
            isGated ? ["small", "huge"].contains(size.name) : size.name != "huge"
          guard isKnown, size.name != "tiny" || biases != .none else { return nil }
          var shape = VisionTransformerShape(
            patch: 16, grid: Extent2D(16), width: size.width, depth: size.depth, heads: size.heads)
          shape.followDINOv3()
          (shape.pooling, shape.registers, shape.biases) = (.mean, 4, biases)
          if isGated { (shape.isGated, shape.activation) = (true, .silu) }
          let suffix = biases == .none ? "" : "_qkvb"
          let plus = isGated ? "_plus" : ""
          return ("vit_\(size.name)\(plus)_patch16_dinov3\(suffix)", shape)
        }
      }
    }
  }()

  /// What all of DINOv3's have in common: turned positions, layer scales, an epsilon.
  package mutating func followDINOv3() {
    (rotaryBase, positioned, epsilon, hasLayerScale) = (100, 0, 1e-5, true)
  }
}
