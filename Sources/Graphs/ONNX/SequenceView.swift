// SPDX-License-Identifier: Apache-2.0

import ThawNetwork
import ThawTensors

/// The numbers of a layer's result in the dimensions that the file has them in.
///
/// Exporters cut a sequence of tokens into heads, turn it and put it together again by reshapes and
/// transposes, which compute nothing. A view follows them: each of the file's dimensions is a product of
/// factors, the outermost first, and each factor steps through the photos, the tokens or the channels of the
/// layer. So it is known at every place what is there, whatever the order of the exporter's operations.
struct SequenceView: Equatable {
  /// What a factor steps through.
  enum Axis: Equatable {
    case batch
    /// The pixels of the layer's image, row by row; a sequence is an image one row high.
    case token
    case channel
  }

  struct Factor: Equatable {
    var axis: Axis
    /// Steps; 0 for the batch, which is free.
    var extent: Int
    /// Of the layer's tokens or channels from one step to the next.
    var stride: Int
  }

  var layer: Int
  var axes: [[Factor]]
  /// The channel and the token at which the first steps are.
  var firstChannel = 0
  var firstToken = 0
  /// What every number is multiplied by.
  var scale = 1.0
  /// How positions turn the numbers, the halves of the last dimension; nil where they do not.
  var rotary: RotaryEmbedding?

  static let batch = Factor(axis: .batch, extent: 0, stride: 0)

  /// All numbers of a layer in these dimensions.
  init(layer: Int, _ axes: [[Factor]]) {
    self.layer = layer
    self.axes = axes
  }

  static func tokens(_ count: Int) -> [Factor] {
    count == 1 ? [] : [Factor(axis: .token, extent: count, stride: 1)]
  }

  static func channels(_ count: Int) -> [Factor] {
    count == 1 ? [] : [Factor(axis: .channel, extent: count, stride: 1)]
  }

  // MARK: Extents

  /// The product of a dimension's factors; nil when the batch is among several.
  static func extent(_ factors: [Factor]) -> Int? {
    if factors == [batch] { return nil }
    guard !factors.contains(batch) else { return -1 }
    return factors.reduce(1) { $0 * $1.extent }
  }

  /// Tokens, and channels, that the view goes through.
  var tokenCount: Int { count(.token) }
  var channelCount: Int { count(.channel) }

  private func count(_ axis: Axis) -> Int {
    axes.joined().filter { $0.axis == axis }.reduce(1) { $0 * $1.extent }
  }

  // MARK: Changes that compute nothing

  /// The same numbers in dimensions of other extents: nil for the batch, -1 for what is left. Nil when
  /// the factors do not divide so.
  func reshaped(_ targets: [Int?]) -> SequenceView? {
    var rest = Array(axes.joined())
    var result = [[Factor]](repeating: [], count: targets.count)
    let free = targets.firstIndex(of: -1)
    for index in 0..<(free ?? targets.count) {
      guard let taken = SequenceView.take(targets[index], from: &rest) else { return nil }
      result[index] = taken
    }
    if let free {
      for index in stride(from: targets.count - 1, to: free, by: -1) {
        guard let taken = SequenceView.takeLast(targets[index], from: &rest) else { return nil }
        result[index] = taken
      }
      result[free] = rest
      rest = []
    }
    guard rest.isEmpty else { return nil }
    var view = self
    view.axes = result.map(SequenceView.merged)
    return view
  }

  private static func take(_ count: Int?, from list: inout [Factor]) -> [Factor]? {
    guard var needed = count else {
      guard list.first == batch else { return nil }
      return [list.removeFirst()]
    }
    var result: [Factor] = []
    while needed > 1 {
      guard let first = list.first, first.axis != .batch else { return nil }
      if needed.isMultiple(of: first.extent) {
        result.append(list.removeFirst())
        needed /= first.extent
      } else if first.extent.isMultiple(of: needed) {
        let inner = first.extent / needed
        result.append(Factor(axis: first.axis, extent: needed, stride: first.stride * inner))
        list[0].extent = inner
        needed = 1
      } else {
        return nil
      }
    }
    return needed == 1 ? result : nil
  }

  private static func takeLast(_ count: Int?, from list: inout [Factor]) -> [Factor]? {
    guard var needed = count else {
      guard list.last == batch else { return nil }
      return [list.removeLast()]
    }
    var result: [Factor] = []
    while needed > 1 {
      guard let last = list.last, last.axis != .batch else { return nil }
      if needed.isMultiple(of: last.extent) {
        result.insert(list.removeLast(), at: 0)
        needed /= last.extent
      } else if last.extent.isMultiple(of: needed) {
        result.insert(Factor(axis: last.axis, extent: needed, stride: last.stride), at: 0)
        list[list.count - 1] = Factor(
          axis: last.axis, extent: last.extent / needed, stride: last.stride * needed)
        needed = 1
      } else {
        return nil
      }
    }
    return needed == 1 ? result : nil
  }

  /// Factors that step on where the one before them ends, as one.
  private static func merged(_ factors: [Factor]) -> [Factor] {
    var result: [Factor] = []
    for factor in factors {
      if let last = result.last, last.axis == factor.axis, factor.axis != .batch,
        last.stride == factor.stride * factor.extent
      {
        result[result.count - 1] = Factor(
          axis: factor.axis, extent: last.extent * factor.extent, stride: factor.stride)
      } else {
        result.append(factor)
      }
    }
    return result
  }

  /// The dimensions in another order; nil for an order that is none.
  func permuted(_ order: [Int]) -> SequenceView? {
    guard order.sorted() == Array(axes.indices) else { return nil }
    var view = self
    view.axes = order.map { axes[$0] }
    return view
  }

  /// Some consecutive steps of a dimension; nil when they do not lie at equal distances.
  func sliced(_ axis: Int, _ steps: Range<Int>) -> SequenceView? {
    guard axes.indices.contains(axis), let extent = SequenceView.extent(axes[axis]), extent >= 1,
      steps.lowerBound >= 0, steps.upperBound <= extent, !steps.isEmpty
    else { return nil }
    if steps.count == extent { return self }
    guard var first = axes[axis].first else { return nil }
    let inner = extent / first.extent
    guard steps.lowerBound.isMultiple(of: inner), steps.count.isMultiple(of: inner) else {
      return nil
    }
    var view = self
    let offset = steps.lowerBound / inner * first.stride
    if first.axis == .channel { view.firstChannel += offset } else { view.firstToken += offset }
    first.extent = steps.count / inner
    view.axes[axis] = (first.extent == 1 ? [] : [first]) + axes[axis].dropFirst()
    return view
  }
}

extension SequenceView {
  /// Whether the last dimension is all channels of a layer that has `channels`, and the other ones hold
  /// all of its `tokens` and photos, in whatever order: what is computed of each token by itself.
  func isOfTokens(_ tokens: Int, channels: Int) -> Bool {
    guard let last = axes.last, last == SequenceView.channels(channels), firstChannel == 0 else {
      return false
    }
    return firstToken == 0 && channelCount == channels && tokenCount == tokens
  }
}
