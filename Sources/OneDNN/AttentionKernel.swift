// SPDX-License-Identifier: Apache-2.0

import CThawKernels
import CThawOneDNN
import ThawNetwork

/// Multi-head self-attention on channels-last memory, head by head, for the inference and the training of
/// the fast engine: see ``Attention``.
///
/// An image is [T, 3 C]: a token's queries, keys and values side by side, so a head's are matrices with
/// 3 C between rows and nothing is copied. Scores are made for at most ``blockRows`` queries at a time,
/// scale and softmax applied while they are in the cache; so the memory does not grow with the square of
/// the tokens, and each image is computed alone, on one thread.
struct AttentionKernel {
  let layer: Attention
  /// Tokens of an image.
  let tokens: Int

  private static let blockRows = 256

  /// Queries that scores are made for at a time.
  var rows: Int { min(tokens, AttentionKernel.blockRows) }
  /// Scores of a block.
  var scoreCount: Int { rows * tokens }

  private var stride: Int64 { Int64(3 * layer.channels) }
  private var width: Int64 { Int64(layer.width) }
  private var scale: Float { Float(layer.scale) }

  /// A block of a head's queries.
  private struct Block {
    let first: Int
    let count: Int64
  }

  /// P of one block, into `scores`.
  private func weigh(
    _ block: Block, _ head: UnsafePointer<Float>, _ scores: UnsafeMutablePointer<Float>
  ) -> CInt {
    let status = thaw_dnnl_multiply(
      false, true, block.count, Int64(tokens), width, 1, head + block.first * Int(stride), stride,
      head + layer.channels, stride, 0, scores, Int64(tokens))
    thaw_softmax(scores, scale, block.count, Int64(tokens))
    return status
  }

  /// result [T, C] of one image, or the channels of it that belong to some of the heads.
  ///
  /// - Parameters:
  ///   - scores: room for ``scoreCount`` elements.
  ///   - heads: all where nil.
  /// - Returns: the library's status.
  func forward(
    _ input: UnsafePointer<Float>, into result: UnsafeMutablePointer<Float>,
    _ scores: UnsafeMutablePointer<Float>, heads: Range<Int>? = nil
  ) -> CInt {
    for number in heads ?? 0..<layer.heads {
      let head = input + number * layer.width
      let target = result + number * layer.width
      var first = 0
      while first < tokens {
        let block = Block(first: first, count: Int64(min(rows, tokens - first)))
        let status = weigh(block, head, scores)
        guard status == 0 else { return status }
        let values = thaw_dnnl_multiply(
          false, false, block.count, width, Int64(tokens), 1, scores, Int64(tokens),
          head + 2 * layer.channels, stride, 0, target + first * layer.channels,
          Int64(layer.channels))
        guard values == 0 else { return values }
        first += rows
      }
    }
    return 0
  }

  /// The gradient [T, 3 C] by one image's input from that by its result, [T, C]; P is computed anew.
  ///
  /// dV = P^T dY, dP = dY V^T, dS = P (dP - sum over the row of dP P), dQ = scale dS K,
  /// dK = scale dS^T Q; sums over blocks of queries in their order.
  ///
  /// - Parameter scores: room for 2 * ``scoreCount`` elements.
  func backward(
    _ outer: UnsafePointer<Float>, _ input: UnsafePointer<Float>,
    into gradient: UnsafeMutablePointer<Float>, _ scores: UnsafeMutablePointer<Float>
  ) -> CInt {
    let slopes = scores + scoreCount
    for number in 0..<layer.heads {
      let head = input + number * layer.width
      let target = gradient + number * layer.width
      var first = 0
      while first < tokens {
        let block = Block(first: first, count: Int64(min(rows, tokens - first)))
        let dy = outer + number * layer.width + first * layer.channels
        let status = weigh(block, head, scores)
        let found = addGradients(block, dy, head, target, scores, slopes)
        guard status == 0, found == 0 else { return status == 0 ? found : status }
        first += rows
      }
    }
    return 0
  }

  /// What one block of a head's queries adds; the first writes.
  private func addGradients(
    _ block: Block, _ dy: UnsafePointer<Float>, _ head: UnsafePointer<Float>,
    _ target: UnsafeMutablePointer<Float>, _ scores: UnsafePointer<Float>,
    _ slopes: UnsafeMutablePointer<Float>
  ) -> CInt {
    let (all, channels) = (Int64(tokens), Int64(layer.channels))
    let kept: Float = block.first == 0 ? 0 : 1
    let (keys, values) = (layer.channels, 2 * layer.channels)
    var status = thaw_dnnl_multiply(
      true, false, all, width, block.count, 1, scores, all, dy, channels, kept, target + values,
      stride)
    guard status == 0 else { return status }
    status = thaw_dnnl_multiply(
      false, true, block.count, all, width, 1, dy, channels, head + values, stride, 0, slopes, all)
    guard status == 0 else { return status }
    thaw_softmax_backward(slopes, scores, scale, block.count, all)
    let queries = block.first * Int(stride)
    status = thaw_dnnl_multiply(
      false, false, block.count, width, all, 1, slopes, all, head + keys, stride, 0,
      target + queries, stride)
    guard status == 0 else { return status }
    return thaw_dnnl_multiply(
      true, false, all, width, block.count, 1, slopes, all, head + queries, stride, kept,
      target + keys, stride)
  }
}
