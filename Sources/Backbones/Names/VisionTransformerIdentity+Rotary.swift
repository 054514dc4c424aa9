// SPDX-License-Identifier: Apache-2.0

import ThawCheckpoints
import ThawNetwork
import ThawTensors

extension VisionTransformerShape {
  /// Reads what DINOv3's tensors and `config.json` say.
  ///
  /// - Returns: what had to be assumed, as clauses; nil when it is another network of that kind.
  mutating func readRotary(
    _ shapes: [String: Shape], of library: VisionTransformerIdentity.Library, _ part: NetworkPart,
    _ configuration: JSONValue?
  ) -> [String]? {
    guard shapes["cls_token"] != nil, shapes["norm.weight"] != nil,
      shapes["blocks.0.ls1.gamma"] != nil
    else { return nil }
    followDINOv3()
    // Its huge network has heads of 64, too.
    if width % 64 == 0 { heads = width / 64 }
    if let tokens = shapes["reg_token"], tokens.rank == 3 { registers = tokens[1] }
    isGated = shapes["blocks.0.mlp.fc1_g.weight"] != nil
    if isGated { activation = .silu }
    let attention = "blocks.0.attn"
    biases = shapes["\(attention).qkv.bias"] != nil ? .all : .none
    if shapes["\(attention).q_bias"] != nil { biases = .queriesAndValues }
    grid = Extent2D(max(224 / patch, 1))
    let aboutHeads = apply(configuration)
    switch library {
    case .facebookRotary: return readPeriods(part) ? [] : nil
    case .transformersRotary:
      if let theta = configuration?["rope_theta"] {
        guard let base = theta.double else { return nil }
        rotaryBase = base
        return [aboutHeads].compactMap(\.self)
      }
      return [aboutHeads, assumedRotation].compactMap(\.self)
    default:
      guard followTimm(configuration) else { return nil }
      let isStated = configuration?["architecture"]?.text != nil
      return [aboutHeads, isStated ? nil : assumedRotation].compactMap(\.self)
    }
  }

  private var assumedRotation: String {
    "rotary embeddings are assumed to be DINOv3's, with a base of 100: no tensor shows them"
  }

  /// False for timm's networks of the same tensors that turn by other angles.
  private mutating func followTimm(_ configuration: JSONValue?) -> Bool {
    // A bias of all three is of timm's own networks with rotary embeddings.
    guard biases != .all else { return false }
    grid = Extent2D(max(256 / patch, 1))
    let name = configuration?["architecture"]?.text
    // LingBot-Vision is DINOv3 trained by others, who read the class token.
    let isOthers = name?.contains("lingbot") == true
    if let name, !name.contains("dinov3"), !isOthers { return false }
    let stated = configuration?["model_args"]?["global_pool"] ?? configuration?["global_pool"]
    switch stated?.text {
    case "avg": pooling = .mean
    case "token": pooling = .classToken
    case nil: pooling = isOthers ? .classToken : .mean
    default: return false
    }
    return true
  }

  /// Takes the number of heads from the periods that facebook's files hold; false when these are not DINOv3's.
  private mutating func readPeriods(_ part: NetworkPart) -> Bool {
    guard let stored = part.tensors.first(where: { $0.name == "rope_embed.periods" }),
      stored.shape.rank == 1, stored.shape[0] >= 1, width.isMultiple(of: 4 * stored.shape[0]),
      let periods = try? stored.floats().elements.map(Double.init)
    else { return false }
    heads = width / (4 * periods.count)
    for isRounded in [false, true] {
      let rotary = RotaryEmbedding(prefix: 0, base: 100, isRounded: isRounded)
      let expected = rotary.periods(width: 4 * periods.count)
      guard zip(periods, expected).allSatisfy({ abs($0 / $1 - 1) < 1e-5 }) else { continue }
      roundsPeriods = isRounded
      return true
    }
    return false
  }
}
