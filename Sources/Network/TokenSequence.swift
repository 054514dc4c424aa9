// SPDX-License-Identifier: Apache-2.0

package import ThawTensors

/// Makes a sequence of tokens of an image of patches: a class token and registers before them, and a
/// position added to each.
///
/// The image [N, C, H, W] becomes [N, C, 1, T] with T = ``prefix`` + H * W. A token is thus a pixel of an
/// image one row high: a dense layer over tokens is a 1x1 convolution and their layer norm that of
/// pixels, so both engines have their kernels already, and in channels-last memory a token's channels
/// lie side by side ([N, T, C]), which is what both of them want.
///
/// y[:, k] = token k (+ position k where k < ``positioned``) for the tokens before the patches,
/// y[:, prefix + i] = x[:, i] + position of patch i. An image of another size than ``grid`` gets its
/// positions by resampling those of the grid, and gradients go back the same way.
///
/// Parameters, beside the node rather than below it, as everybody names them: `cls_token` [1, 1, C],
/// `reg_token` [1, registers, C], `pos_embed` [1, positioned + grid, C]; those that exist. Where positions
/// turn queries and keys (``RotaryEmbedding``) none is added, and there is no `pos_embed`.
///
/// - Source: Dosovitskiy et al. 2020, arXiv:2010.11929; Darcet et al. 2023, arXiv:2309.16588.
package struct TokenSequence: Hashable, Sendable {
  /// Channels of a token.
  package var channels: Int
  /// Patches that the positions were learned for, or that the network saw in training where it adds none.
  package var grid: Extent2D
  /// Whether a class token comes first.
  package var hasClassToken: Bool
  /// Registers behind it.
  package var registers: Int
  /// How many of the tokens before the patches have a position of their own, from the first on.
  package var positioned: Int
  /// How positions are carried to an image of another size.
  package var resampling: PositionResampling
  /// Whether positions are added.
  package var hasPositions: Bool

  /// Describes a sequence; traps when more tokens have positions than exist.
  package init(
    channels: Int, grid: Extent2D, hasClassToken: Bool = true, registers: Int = 0,
    positioned: Int = 1, resampling: PositionResampling, hasPositions: Bool = true
  ) {
    precondition(
      hasPositions || positioned == 0, "Tokens of a sequence without positions have none.")
    self.hasPositions = hasPositions
    precondition(
      positioned <= registers + (hasClassToken ? 1 : 0),
      "\(positioned) tokens before the patches cannot have positions.")
    self.channels = channels
    self.grid = grid
    self.hasClassToken = hasClassToken
    self.registers = registers
    self.positioned = positioned
    self.resampling = resampling
  }

  /// Tokens before the patches.
  package var prefix: Int { registers + (hasClassToken ? 1 : 0) }
}

/// Multi-head self-attention between tokens.
///
/// The input [N, 3 C, 1, T] holds the queries' channels, then the keys', then the values', each head by
/// head; per head, with d = C / heads, y = softmax(q k^T / sqrt(d)) v. The result is [N, C, 1, T].
///
/// With a ``rotary`` embedding q and k are turned by the patches' positions before. With biases of its own,
/// `q_bias` and `v_bias` [C], these are added to queries and values first: what a dense layer's bias would be
/// whose keys have none. (Without a rotary embedding a bias of keys changes nothing, with one it does.)
///
/// - Source: Vaswani et al. 2017, arXiv:1706.03762; PyTorch's `MultiheadAttention`, timm's `Attention`.
package struct Attention: Hashable, Sendable {
  /// Channels of the result.
  package var channels: Int
  /// Divides ``channels``.
  package var heads: Int
  /// How positions turn queries and keys; nil where they do not.
  package var rotary: RotaryEmbedding?
  /// Whether queries and values have biases here.
  package var hasBiases: Bool

  /// Describes an attention; traps unless the heads divide the channels, and with a rotary embedding 4 each
  /// head's.
  package init(
    channels: Int, heads: Int, rotary: RotaryEmbedding? = nil, hasBiases: Bool = false
  ) {
    precondition(
      heads >= 1 && channels % heads == 0, "\(heads) heads do not divide \(channels) channels.")
    precondition(
      rotary == nil || channels / heads % 4 == 0,
      "Heads of \(channels / heads) channels cannot be turned by rows and columns.")
    self.rotary = rotary
    self.hasBiases = hasBiases
    self.channels = channels
    self.heads = heads
  }

  /// Channels of a head.
  package var width: Int { channels / heads }
  /// What scores are multiplied by: 1 / sqrt(``width``).
  package var scale: Double { 1 / Double(width).squareRoot() }
}

/// Some consecutive tokens of a sequence: [N, C, 1, T] to [N, C, 1, count].
package struct TokenSelection: Hashable, Sendable {
  /// The first of them.
  package var first: Int
  /// How many; nil for all from the first on.
  package var count: Int?

  /// Describes a selection.
  package init(first: Int, count: Int? = nil) {
    self.first = first
    self.count = count
  }
}

extension TokenSequence {
  /// The parameters that exist, with their names.
  var parameterShapes: [(name: String, shape: Shape)] {
    var result: [(String, Shape)] = []
    if hasClassToken { result.append(("cls_token", [1, 1, channels])) }
    if registers > 0 { result.append(("reg_token", [1, registers, channels])) }
    if hasPositions { result.append(("pos_embed", [1, positioned + grid.count, channels])) }
    return result
  }
}

extension Graph {
  /// The patches that the tokens at `node` were made of, as rows and columns; nil where no sequence is.
  ///
  /// - Parameter shapes: of every node's result.
  package func patches(of node: Node, _ shapes: [Shape]) -> Extent2D? {
    var place = node
    while let input = place.inputs.first {
      if case .tokens = place.operation {
        return Extent2D(height: shapes[input.index][2], width: shapes[input.index][3])
      }
      place = self[input]
    }
    return nil
  }

  /// The angles by which the attention at `node` turns the patches, [patches, width / 2]; nil where it turns
  /// none.
  ///
  /// - Parameter shapes: of every node's result.
  package func rotaryAngles(of node: Node, _ shapes: [Shape]) -> Tensor<Double>? {
    guard case .attention(let layer) = node.operation, let rotary = layer.rotary,
      let patches = patches(of: node, shapes)
    else { return nil }
    return rotary.angles(for: patches, width: layer.width)
  }
}
