// SPDX-License-Identifier: Apache-2.0

import Glibc
import ThawCheckpoints
import ThawNetwork
import ThawTensors

/// Queries and keys that positions turn, as files spell it out: x times cosines, plus the halves of each head's
/// channels exchanged, the first of them negative, times sines. Sines and cosines are constants of the file,
/// for the patches alone or for all tokens, and have to be those of a `RotaryEmbedding`.
extension ONNXImporter {
  /// A part of the way.
  enum Turning {
    /// The second half of each head's channels, then the first; the second perhaps times -1.
    case exchanged(SequenceView, isNegated: Bool)
    /// Numbers times cosines, [tokens, width].
    case straight(SequenceView, Tensor<Float>)
    /// Exchanged numbers times sines; where the file negates numbers rather than sines, these are negated.
    case across(SequenceView, Tensor<Float>)
  }

  /// Translates a node that goes a part of the way; false when it does not.
  mutating func translateTurning(_ node: ONNXNode) throws -> Bool {
    let inputs = node.inputs.map { values[$0] }
    switch (node.operation, inputs.first ?? nil, inputs.count > 1 ? inputs[1] : nil) {
    case ("Neg", .view(var view)?, nil):
      view.scale = -view.scale
      set(node, .view(view))
    case ("Concat", .view(let first)?, .view(let second)?) where inputs.count == 2:
      if let joined = exchanged(node, first, second) {
        set(node, joined)
      } else if let joined = try withPrefix(node, first, second) {
        set(node, joined)
      } else {
        return false
      }
    case ("Mul", .view(let view)?, .constant(let table)?),
      ("Mul", .constant(let table)?, .view(let view)?):
      guard isTable(table, for: view) else { return false }
      set(node, .turning(.straight(view, try numbers(table))))
    case ("Mul", .turning(let turning)?, .constant(let table)?),
      ("Mul", .constant(let table)?, .turning(let turning)?):
      guard case .exchanged(let view, let isNegated) = turning, isTable(table, for: view) else {
        throw unknownTurn(node)
      }
      set(node, .turning(.across(view, negated(try numbers(table), view, isNegated))))
    case (
      "Add", .turning(.straight(let view, let cosines))?, .turning(.across(let other, let sines))?
    ),
      ("Add", .turning(.across(let other, let sines))?, .turning(.straight(let view, let cosines))?):
      guard view == other else { throw unknownTurn(node) }
      set(node, .view(try turned(node, view, cosines, sines)))
    case ("Cast", .turning?, _), ("Identity", .turning?, _): try identity(node)
    default:
      let isTurning = inputs.contains { if case .turning? = $0 { true } else { false } }
      if isTurning { throw unknownTurn(node) }
      return false
    }
    return true
  }

  private func unknownTurn(_ node: ONNXNode) -> GraphError {
    failure(
      node,
      "queries and keys are turned here as DINOv3 turns them (rotary embeddings, by halves of a head's"
        + " channels), and this is another way")
  }

  // MARK: Parts

  private func width(of view: SequenceView) -> Int {
    view.axes.last.flatMap(SequenceView.extent) ?? 0
  }

  /// Whether a constant has a number for each token and each channel of a head.
  private func isTable(_ tensor: StoredTensor, for view: SequenceView) -> Bool {
    let (tokens, width) = (view.tokenCount, width(of: view))
    let shape = tensor.shape.extents
    return view.axes.count == 4 && tokens > 1 && width > 1 && shape.count >= 2
      && Array(shape.suffix(2)) == [tokens, width] && tensor.shape.count == tokens * width
      && view.axes[2] == SequenceView.tokens(tokens)
  }

  private func exchanged(_ node: ONNXNode, _ first: SequenceView, _ second: SequenceView) -> Value?
  {
    let axis = node.integer("axis") ?? 0
    let half = width(of: second)
    guard axis == 3 || axis == -1, first.axes == second.axes, first.layer == second.layer,
      second.axes.count == 4, second.axes[3] == SequenceView.channels(half), half > 1,
      first.firstChannel == second.firstChannel + half, first.firstToken == second.firstToken,
      first.rotary == nil, second.rotary == nil, abs(first.scale) == second.scale
    else { return nil }
    var view = second
    view.axes[3] = SequenceView.channels(2 * half)
    return .turning(.exchanged(view, isNegated: first.scale < 0))
  }

  /// The tokens before the patches, which are not turned, and the patches.
  private func withPrefix(
    _ node: ONNXNode, _ first: SequenceView, _ second: SequenceView
  ) throws -> Value? {
    let axis = node.integer("axis") ?? 0
    guard let rotary = second.rotary, axis == 2 || axis == -2 else { return nil }
    var view = second
    let tokens = shape(of: second).tokens
    guard second.axes.count == 4, first.axes.count == 4, first.rotary == nil,
      first.layer == second.layer, first.firstChannel == second.firstChannel,
      first.axes[3] == second.axes[3], first.axes[..<2] == second.axes[..<2],
      first.firstToken == 0, first.axes[2] == SequenceView.tokens(rotary.prefix),
      second.firstToken == rotary.prefix, second.tokenCount == tokens - rotary.prefix,
      first.scale == second.scale
    else { throw unknownTurn(node) }
    view.firstToken = 0
    view.axes[2] = SequenceView.tokens(tokens)
    return .view(view)
  }

  private func negated(
    _ table: Tensor<Float>, _ view: SequenceView, _ isNegated: Bool
  ) -> Tensor<Float> {
    guard isNegated else { return table }
    let width = width(of: view)
    let values = table.elements.enumerated().map {
      $0.offset % width < width / 2 ? -$0.element : $0.element
    }
    return Tensor(values, shape: table.shape)
  }

  // MARK: What they make

  /// `view` with the embedding that cosines and sines are of.
  private func turned(
    _ node: ONNXNode, _ view: SequenceView, _ cosines: Tensor<Float>, _ sines: Tensor<Float>
  ) throws -> SequenceView {
    let (width, tokens) = (width(of: view), shape(of: view).tokens)
    guard width.isMultiple(of: 4), let grid = patches(before: view.layer) else {
      throw unknownTurn(node)
    }
    let prefix = tokens - grid.count
    // Rows of tokens that are not turned, where the file has some.
    let before = view.firstToken == 0 ? prefix : 0
    guard prefix >= 0, view.tokenCount == grid.count + before,
      view.firstToken == prefix - before
    else { throw unknownTurn(node) }
    let (straight, across) = (cosines.elements, sines.elements)
    let still = before * width
    guard straight[..<still].allSatisfy({ $0 == 1 }), across[..<still].allSatisfy({ $0 == 0 })
    else {
      throw unknownTurn(node)
    }
    let found = bases(straight, across, grid, width, from: still).lazy.flatMap { base in
      [false, true].map { RotaryEmbedding(prefix: prefix, base: base, isRounded: $0) }
    }.first { rotary in
      let angles = rotary.angles(for: grid, width: width).elements
      let half = width / 2
      return angles.enumerated().allSatisfy { index, angle in
        let place = still + index / half * width + index % half
        let (cosine, sine) = (Float(cos(angle)), Float(sin(angle)))
        return abs(straight[place] - cosine) < 1e-4 && abs(straight[place + half] - cosine) < 1e-4
          && abs(across[place] + sine) < 1e-4 && abs(across[place + half] - sine) < 1e-4
      }
    }
    guard let found else { throw unknownTurn(node) }
    var view = view
    view.rotary = found
    return view
  }

  /// Bases that the slowest of a patch's angles allows: as it is, and the usual ones.
  private func bases(
    _ straight: [Float], _ across: [Float], _ grid: Extent2D, _ width: Int, from still: Int
  ) -> [Double] {
    let usual = [100.0, 10_000]
    guard width > 4, grid.height > 1 else { return usual }
    let place = still + (grid.height - 1) * grid.width * width + width / 4 - 1
    let angle = atan2(Double(-across[place]), Double(straight[place]))
    let period = 2 * Double.pi * (1 - 1 / Double(grid.height)) / angle
    let base = pow(period, Double(width) / Double(width - 4))
    guard angle > 0, base.isFinite, base > 1, base < 1e9 else { return usual }
    let unit = pow(10, floor(log10(base)) - 3)
    return usual + [(base / unit).rounded() * unit]
  }

  /// The patches that the tokens of a layer were made of.
  private func patches(before layer: Int) -> Extent2D? {
    var place = layer
    while let input = draft[place].inputs.first {
      if case .tokens = draft[place].operation {
        let image = draft[input].shape
        return Extent2D(height: image[2], width: image[3])
      }
      place = input
    }
    return nil
  }
}
