// SPDX-License-Identifier: Apache-2.0

import CThawKernels
import CThawOneDNN
import ThawNetwork
import ThawTensors

/// A response normalisation of one image, [pixels, C], by the kernels that sum and scale channels; see
/// ``ResponseNormalization``. Sums are taken in Double.
struct ResponseKernel {
  let channels: Int
  let pixels: Int
  let epsilon: Double

  /// Memory that a pass works in, bytes.
  var scratchBytes: Int {
    channels * (4 * MemoryLayout<Double>.stride + 3 * MemoryLayout<Float>.stride)
  }

  /// Places in the scratch memory, each [C].
  private struct Scratch {
    let sums: UnsafeMutablePointer<Double>
    let norms: UnsafeMutablePointer<Double>
    let outerSums: UnsafeMutablePointer<Double>
    let products: UnsafeMutablePointer<Double>
    let factors: UnsafeMutablePointer<Float>
    let pulls: UnsafeMutablePointer<Float>
    let zeros: UnsafeMutablePointer<Float>

    init(_ memory: UnsafeMutableRawPointer, _ channels: Int) {
      sums = memory.assumingMemoryBound(to: Double.self)
      norms = sums + channels
      outerSums = norms + channels
      products = outerSums + channels
      factors = UnsafeMutableRawPointer(products + channels).assumingMemoryBound(to: Float.self)
      pulls = factors + channels
      zeros = pulls + channels
      zeros.update(repeating: 0, count: channels)
    }
  }

  /// Fills in the norms and what each channel is multiplied by; returns the mean norm with epsilon.
  private func prepare(
    _ x: UnsafePointer<Float>, _ weight: UnsafePointer<Float>, _ scratch: Scratch
  ) -> Double {
    scratch.sums.update(repeating: 0, count: 2 * channels)
    thaw_gradient_moments(
      x, x, scratch.zeros, Int64(pixels), Int64(channels), scratch.sums, scratch.norms)
    var total = 0.0
    for channel in 0..<channels {
      scratch.norms[channel] = scratch.norms[channel].squareRoot()
      total += scratch.norms[channel]
    }
    let mean = total / Double(channels) + epsilon
    for channel in 0..<channels {
      scratch.factors[channel] = Float(1 + Double(weight[channel]) * scratch.norms[channel] / mean)
    }
    return mean
  }

  func forward(
    _ x: UnsafePointer<Float>, _ weight: UnsafePointer<Float>, _ bias: UnsafePointer<Float>,
    _ memory: UnsafeMutableRawPointer, into y: UnsafeMutablePointer<Float>
  ) {
    let scratch = Scratch(memory, channels)
    _ = prepare(x, weight, scratch)
    thaw_affine(
      x, scratch.factors, bias, nil, THAW_IDENTITY, Int64(pixels), Int64(channels), y)
  }

  /// Adds to the parameters' gradients, where there are some, and writes or adds to that of x.
  func backward(
    _ dy: UnsafePointer<Float>, _ x: UnsafePointer<Float>, _ weight: UnsafePointer<Float>,
    _ memory: UnsafeMutableRawPointer, weightSums: UnsafeMutablePointer<Double>?,
    biasSums: UnsafeMutablePointer<Double>?, accumulates: Bool,
    into dx: UnsafeMutablePointer<Float>?
  ) {
    let scratch = Scratch(memory, channels)
    let mean = prepare(x, weight, scratch)
    scratch.outerSums.update(repeating: 0, count: 2 * channels)
    thaw_gradient_moments(
      dy, x, scratch.zeros, Int64(pixels), Int64(channels), scratch.outerSums, scratch.products)
    var shared = 0.0
    for channel in 0..<channels {
      let (norm, product) = (scratch.norms[channel], scratch.products[channel])
      weightSums?[channel] += product * norm / mean
      biasSums?[channel] += scratch.outerSums[channel]
      shared += Double(weight[channel]) * product * norm
    }
    guard let dx else { return }
    for channel in 0..<channels {
      let norm = scratch.norms[channel]
      let slope =
        Double(weight[channel]) * scratch.products[channel] / mean
        - shared / (Double(channels) * mean * mean)
      scratch.pulls[channel] = norm > 0 ? Float(slope / norm) : 0
    }
    thaw_affine_backward(
      dy, x, scratch.factors, scratch.pulls, scratch.zeros, accumulates, Int64(pixels),
      Int64(channels), dx)
  }
}

extension ChainBuilder {
  /// A response normalisation, image by image on rows of channels.
  mutating func appendResponse(_ node: Node, _ layer: ResponseNormalization) throws {
    let source = try rows(of: node.inputs[0], for: node.path)
    let image = shape(of: node.id)
    let kernel = ResponseKernel(
      channels: layer.channels, pixels: image[2] * image[3], epsilon: layer.epsilon)
    func constant(_ name: String) throws -> ChainOperand {
      let values = try parameters.checked(name, of: node)
      let layout = try OneDNNLayout(values.shape, THAW_DNNL_DENSE, node.path)
      return try self.constant(values, as: values.shape, in: layout, node.path)
    }
    let target = try makeRows(for: node)
    let scratch = makeTensor(
      try OneDNNLayout([1, kernel.scratchBytes / 4], THAW_DNNL_DENSE, node.path))
    append(
      ChainInstruction(
        "response normalization", node.path, ResponseStep(images: image[0], kernel: kernel),
        [
          .tensor(source), try constant("weight"), try constant("bias"), .tensor(scratch),
          .tensor(target),
        ]))
    define(node.id, as: target)
  }
}

private final class ResponseStep: ChainStep {
  let kernel = "sums, affine"
  private let images: Int
  private let response: ResponseKernel

  init(images: Int, kernel: ResponseKernel) {
    self.images = images
    response = kernel
  }

  func run(_ addresses: UnsafePointer<UnsafeMutableRawPointer?>) -> CInt {
    guard let source = addresses.floats(0), let weight = addresses.floats(1),
      let bias = addresses.floats(2), let scratch = addresses[3], let target = addresses.floats(4)
    else { return CInt(THAW_DNNL_OUT_OF_MEMORY) }
    let size = response.pixels * response.channels
    for image in 0..<images {
      response.forward(
        source + image * size, weight, bias, scratch, into: target + image * size)
    }
    return 0
  }
}
