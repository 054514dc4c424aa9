// SPDX-License-Identifier: Apache-2.0

import CThawKernels
import CThawOneDNN
import Glibc
import ThawNetwork
import ThawTensors

/// Multi-head self-attention on channels-last memory, head by head, for the inference and the training of
/// the fast engine: see ``Attention``.
///
/// An image is [T, 3 C]: a token's queries, keys and values side by side, so a head's are matrices with
/// 3 C between rows and nothing is copied. Scores are made for at most ``blockRows`` queries at a time,
/// scale and softmax applied while they are in the cache; so the memory does not grow with the square of
/// the tokens, and each image is computed alone, on one thread.
///
/// Where positions turn queries and keys, or queries have a bias, a head's are copied as they are turned, so that
/// blocks read them side by side; gradients are turned back in place.
struct AttentionKernel {
  let layer: Attention
  /// Tokens of an image.
  let tokens: Int
  /// Cosines, then sines, each [patches, width / 2]; nil where nothing is turned.
  private let turns: AlignedStorage<Float>?

  private static let blockRows = 256

  /// - Parameter angles: those of ``Graph/rotaryAngles(of:_:)``.
  init(layer: Attention, tokens: Int, angles: Tensor<Double>?) {
    self.layer = layer
    self.tokens = tokens
    turns = angles.map { angles in
      let storage = AlignedStorage<Float>(count: 2 * angles.count)
      for (index, angle) in angles.elements.enumerated() {
        storage.start[index] = Float(cos(angle))
        storage.start[angles.count + index] = Float(sin(angle))
      }
      return storage
    }
  }

  /// Queries that scores are made for at a time.
  private var rows: Int { min(tokens, AttentionKernel.blockRows) }
  /// Scores of a block.
  private var scoreCount: Int { rows * tokens }
  /// Whether a head's queries and keys are copied.
  private var copies: Bool { turns != nil || layer.hasBiases }
  private var copyCount: Int { copies ? 2 * tokens * layer.width : 0 }
  /// Elements of working memory for ``forward(_:_:into:_:heads:)``.
  var workCount: Int { copyCount + scoreCount }
  /// The same for ``backward(_:_:_:into:_:)``.
  var backwardWorkCount: Int { copyCount + 2 * scoreCount }

  private var stride: Int64 { Int64(3 * layer.channels) }
  private var width: Int64 { Int64(layer.width) }
  private var scale: Float { Float(layer.scale) }

  /// A block of a head's queries.
  private struct Block {
    let first: Int
    let count: Int64
  }

  /// A head's queries and keys, [T, width], with `stride` elements from row to row.
  private struct Head {
    var queries: UnsafePointer<Float>
    var keys: UnsafePointer<Float>
    var stride: Int64
  }

  /// Turns a head's queries or keys, behind a bias, or turns them back with a `direction` of -1.
  private func turn(
    _ x: UnsafePointer<Float>, _ xStride: Int64, _ bias: UnsafePointer<Float>?, _ direction: Float,
    into y: UnsafeMutablePointer<Float>, _ yStride: Int64
  ) {
    let prefix = turns == nil ? tokens : layer.rotary?.prefix ?? tokens
    let cosines = turns?.start ?? y
    let sines = cosines + (tokens - prefix) * layer.width / 2
    thaw_turn(
      x, xStride, bias, cosines, sines, Int64(prefix), Int64(tokens - prefix), width, direction,
      y, yStride)
  }

  /// Queries and keys of head `number` as scores are made of them, copied into `working` where they change.
  private func head(
    _ number: Int, of input: UnsafePointer<Float>, _ biases: UnsafePointer<Float>?,
    _ working: UnsafeMutablePointer<Float>
  ) -> Head {
    let start = input + number * layer.width
    guard copies else {
      return Head(queries: start, keys: start + layer.channels, stride: stride)
    }
    let keys = working + tokens * layer.width
    turn(start, stride, biases.map { $0 + number * layer.width }, 1, into: working, width)
    turn(start + layer.channels, stride, nil, 1, into: keys, width)
    return Head(queries: UnsafePointer(working), keys: UnsafePointer(keys), stride: width)
  }

  /// P of one block, into `scores`.
  private func weigh(
    _ block: Block, _ head: Head, _ scores: UnsafeMutablePointer<Float>
  ) -> CInt {
    let status = thaw_dnnl_multiply(
      false, true, block.count, Int64(tokens), width, 1,
      head.queries + block.first * Int(head.stride), head.stride, head.keys, head.stride, 0, scores,
      Int64(tokens))
    thaw_softmax(scores, scale, block.count, Int64(tokens))
    return status
  }

  /// result [T, C] of one image, or the channels of it that belong to some of the heads.
  ///
  /// - Parameters:
  ///   - biases: of queries, then of values, [2, C]; nil for none.
  ///   - working: room for ``workCount`` elements.
  ///   - heads: all where nil.
  /// - Returns: the library's status.
  func forward(
    _ input: UnsafePointer<Float>, _ biases: UnsafePointer<Float>?,
    into result: UnsafeMutablePointer<Float>, _ working: UnsafeMutablePointer<Float>,
    heads: Range<Int>? = nil
  ) -> CInt {
    let scores = working + copyCount
    let heads = heads ?? 0..<layer.heads
    for number in heads {
      let head = head(number, of: input, biases, working)
      let values = input + number * layer.width + 2 * layer.channels
      let target = result + number * layer.width
      var first = 0
      while first < tokens {
        let block = Block(first: first, count: Int64(min(rows, tokens - first)))
        var status = weigh(block, head, scores)
        guard status == 0 else { return status }
        status = thaw_dnnl_multiply(
          false, false, block.count, width, Int64(tokens), 1, scores, Int64(tokens), values, stride,
          0, target + first * layer.channels, Int64(layer.channels))
        guard status == 0 else { return status }
        first += rows
      }
    }
    // Weights sum up to 1, so a bias of the values is one of the result.
    if let biases {
      let (first, count) = (heads.lowerBound * layer.width, Int64(heads.count * layer.width))
      for token in 0..<tokens {
        thaw_add(
          result + token * layer.channels + first, biases + layer.channels + first, count)
      }
    }
    return 0
  }

  /// The gradient [T, 3 C] by one image's input from that by its result, [T, C]; P is computed anew.
  ///
  /// dV = P^T dY, dP = dY V^T, dS = P (dP - sum over the row of dP P), dQ = scale dS K,
  /// dK = scale dS^T Q; sums over blocks of queries in their order; dQ and dK are turned back at the end.
  ///
  /// - Parameters:
  ///   - biases: as in ``forward(_:_:into:_:heads:)``.
  ///   - working: room for ``backwardWorkCount`` elements.
  func backward(
    _ outer: UnsafePointer<Float>, _ input: UnsafePointer<Float>, _ biases: UnsafePointer<Float>?,
    into gradient: UnsafeMutablePointer<Float>, _ working: UnsafeMutablePointer<Float>
  ) -> CInt {
    let scores = working + copyCount
    for number in 0..<layer.heads {
      let head = head(number, of: input, biases, working)
      let target = gradient + number * layer.width
      let values = input + number * layer.width + 2 * layer.channels
      var first = 0
      while first < tokens {
        let block = Block(first: first, count: Int64(min(rows, tokens - first)))
        let dy = outer + number * layer.width + first * layer.channels
        let status = weigh(block, head, scores)
        let found = addGradients(block, dy, head, values, target, scores)
        guard status == 0, found == 0 else { return status == 0 ? found : status }
        first += rows
      }
      if turns != nil {
        for part in [target, target + layer.channels] {
          turn(part, stride, nil, -1, into: part, stride)
        }
      }
    }
    return 0
  }

  /// What one block of a head's queries adds; the first writes. `scores` holds P, and room for as much
  /// behind it.
  private func addGradients(
    _ block: Block, _ dy: UnsafePointer<Float>, _ head: Head, _ values: UnsafePointer<Float>,
    _ target: UnsafeMutablePointer<Float>, _ scores: UnsafeMutablePointer<Float>
  ) -> CInt {
    let slopes = scores + scoreCount
    let (all, channels) = (Int64(tokens), Int64(layer.channels))
    let kept: Float = block.first == 0 ? 0 : 1
    var status = thaw_dnnl_multiply(
      true, false, all, width, block.count, 1, scores, all, dy, channels, kept,
      target + 2 * layer.channels, stride)
    guard status == 0 else { return status }
    status = thaw_dnnl_multiply(
      false, true, block.count, all, width, 1, dy, channels, values, stride, 0, slopes, all)
    guard status == 0 else { return status }
    thaw_softmax_backward(slopes, scores, scale, block.count, all)
    status = thaw_dnnl_multiply(
      false, false, block.count, width, all, 1, slopes, all, head.keys, head.stride, 0,
      target + block.first * Int(stride), stride)
    guard status == 0 else { return status }
    return thaw_dnnl_multiply(
      true, false, all, width, block.count, 1, slopes, all,
      head.queries + block.first * Int(head.stride), head.stride, kept, target + layer.channels,
      stride)
  }
}
