// SPDX-License-Identifier: Apache-2.0

import CThawKernels
import CThawOneDNN
import ThawExecution
import ThawNetwork
import ThawTensors

/// Pooling by attention on channels-last memory, head by head, for the inference and the training of the fast
/// engine: see ``AttentionPooling``.
///
/// An image is [T, 2 C]: a token's keys and values side by side. There is one query, so that each head's scores are
/// one row.
struct AttentionPoolingKernel {
  let layer: AttentionPooling
  /// Tokens of an image.
  let tokens: Int

  /// Elements of working memory for ``forward(_:_:into:_:)``.
  var workCount: Int { tokens }
  /// The same for ``backward(_:_:_:into:_:querySums:)``.
  var backwardWorkCount: Int { 2 * tokens }

  private var stride: Int64 { Int64(2 * layer.channels) }
  private var width: Int64 { Int64(layer.width) }
  private var scale: Float { Float(layer.scale) }

  /// The weights of head `number`, into `scores`.
  private func weigh(
    _ number: Int, _ input: UnsafePointer<Float>, _ query: UnsafePointer<Float>,
    _ scores: UnsafeMutablePointer<Float>
  ) -> CInt {
    let channel = number * layer.width
    let status = thaw_dnnl_multiply(
      false, true, 1, Int64(tokens), width, 1, query + channel, width, input + channel, stride, 0,
      scores, Int64(tokens))
    thaw_softmax(scores, scale, 1, Int64(tokens))
    return status
  }

  /// result [C] of one image.
  ///
  /// - Parameters:
  ///   - query: [C].
  ///   - working: room for ``workCount`` elements.
  /// - Returns: the library's status.
  func forward(
    _ input: UnsafePointer<Float>, _ query: UnsafePointer<Float>,
    into result: UnsafeMutablePointer<Float>, _ working: UnsafeMutablePointer<Float>
  ) -> CInt {
    for number in 0..<layer.heads {
      let channel = number * layer.width
      var status = weigh(number, input, query, working)
      guard status == 0 else { return status }
      status = thaw_dnnl_multiply(
        false, false, 1, width, Int64(tokens), 1, working, Int64(tokens),
        input + layer.channels + channel, stride, 0, result + channel, width)
      guard status == 0 else { return status }
    }
    return 0
  }

  /// The gradient [T, 2 C] by one image's input from that by its result, [C]; weights are computed anew.
  ///
  /// - Parameters:
  ///   - working: room for ``backwardWorkCount`` elements.
  ///   - querySums: the gradient by the query is added to it, [C].
  func backward(
    _ outer: UnsafePointer<Float>, _ input: UnsafePointer<Float>, _ query: UnsafePointer<Float>,
    into gradient: UnsafeMutablePointer<Float>, _ working: UnsafeMutablePointer<Float>,
    querySums: UnsafeMutablePointer<Float>
  ) -> CInt {
    let slopes = working + tokens
    let all = Int64(tokens)
    for number in 0..<layer.heads {
      let channel = number * layer.width
      let (keys, values) = (input + channel, input + layer.channels + channel)
      var status = weigh(number, input, query, working)
      guard status == 0 else { return status }
      status = thaw_dnnl_multiply(
        true, false, all, width, 1, 1, working, all, outer + channel, width, 0,
        gradient + layer.channels + channel, stride)
      guard status == 0 else { return status }
      status = thaw_dnnl_multiply(
        false, true, 1, all, width, 1, outer + channel, width, values, stride, 0, slopes, all)
      guard status == 0 else { return status }
      thaw_softmax_backward(slopes, working, scale, 1, all)
      status = thaw_dnnl_multiply(
        true, false, all, width, 1, 1, slopes, all, query + channel, width, 0, gradient + channel,
        stride)
      guard status == 0 else { return status }
      status = thaw_dnnl_multiply(
        false, false, 1, width, all, 1, slopes, all, keys, stride, 1, querySums + channel, width)
      guard status == 0 else { return status }
    }
    return 0
  }
}

extension ChainBuilder {
  /// Pooling of each image by itself; see ``AttentionPoolingKernel``.
  mutating func appendAttentionPooling(_ node: Node, _ layer: AttentionPooling) throws {
    let source = try rows(of: node.inputs[0], for: node.path)
    let sequence = shape(of: node.inputs[0])
    let kernel = AttentionPoolingKernel(layer: layer, tokens: sequence[2] * sequence[3])
    let stored = try node.parameters.map { try parameters.tensor(checked: $0) }
    let query = Tensor(layer.query(stored), shape: [1, layer.channels])
    let layout = try OneDNNLayout(query.shape, THAW_DNNL_DENSE, node.path)
    let target = try makeRows(for: node)
    let working = makeTensor(try OneDNNLayout([1, kernel.workCount], THAW_DNNL_DENSE, node.path))
    append(
      ChainInstruction(
        "attention pooling", node.path,
        AttentionPoolingStep(images: sequence[0], kernel: kernel),
        [
          .tensor(source), try constant(query, as: query.shape, in: layout, node.path),
          .tensor(working), .tensor(target),
        ]))
    define(node.id, as: target)
  }
}

private final class AttentionPoolingStep: ChainStep {
  let kernel = "sgemm, softmax"
  private let images: Int
  private let pooling: AttentionPoolingKernel

  init(images: Int, kernel: AttentionPoolingKernel) {
    self.images = images
    pooling = kernel
  }

  func run(_ addresses: UnsafePointer<UnsafeMutableRawPointer?>) -> CInt {
    guard let source = addresses.floats(0), let query = addresses.floats(1),
      let working = addresses.floats(2), let target = addresses.floats(3)
    else { return CInt(THAW_DNNL_OUT_OF_MEMORY) }
    let channels = pooling.layer.channels
    for image in 0..<images {
      let status = pooling.forward(
        source + 2 * image * pooling.tokens * channels, query, into: target + image * channels,
        working)
      if status != 0 { return status }
    }
    return 0
  }
}
