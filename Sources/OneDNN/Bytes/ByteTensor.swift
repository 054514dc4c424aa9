// SPDX-License-Identifier: Apache-2.0

import CThawKernels
import CThawOneDNN
import ThawExecution
package import ThawNetwork
import ThawTensors

/// Bytes in a chain.
@dynamicMemberLookup
struct ByteTensor {
  let tensor: ChainTensor
  let form: ByteImages

  subscript<Value>(dynamicMember path: KeyPath<ByteImages, Value>) -> Value {
    form[keyPath: path]
  }
}

/// How bytes lie in memory: images of pixels of channels, a step apart.
struct ByteImages: Sendable {
  let scale: ByteScale
  let images: Int
  let pixels: Extent2D
  let channels: Int

  /// Bytes between pixels: four for what has no more, so that a colour image stays small, else whole
  /// vectors of 16.
  var step: Int { ByteImages.step(channels) }
  /// Bytes of one image.
  var stride: Int { pixels.count * step }

  /// Rows of all images together.
  var rows: Int { images * pixels.height }
  /// The first pixel of some of the rows, and how many they have.
  func pixels(of rows: Range<Int>) -> (first: Int, count: Int) {
    (rows.lowerBound * pixels.width, rows.count * pixels.width)
  }

  static func step(_ channels: Int) -> Int { channels <= 4 ? 4 : (channels + 15) / 16 * 16 }
}

/// A step on bytes. Immutable, as every step.
final class ByteStep: ChainStep {
  let kernel: String
  let scratch: [Int]
  /// The rows of its result that it computes.
  private let rows: Range<Int>
  let mostParts: Int
  private let body: @Sendable (ByteMemory, Range<Int>) -> Void

  /// A step that computes any rows of its result by themselves.
  ///
  /// - Parameters:
  ///   - elements: of the result.
  ///   - products: for each of them.
  ///   - scratch: arguments that each part needs for itself.
  init(
    _ kernel: String, rows: Int, elements: Int, products: Int = 1, scratch: [Int] = [],
    _ body: @escaping @Sendable (ByteMemory, Range<Int>) -> Void
  ) {
    self.kernel = kernel
    self.scratch = scratch
    self.rows = 0..<rows
    // A few microseconds of work each: below, threads meeting costs more than it gains.
    mostParts = max(elements / 8192, elements * products / 200_000)
    self.body = body
  }

  /// A step that is done as a whole.
  convenience init(_ kernel: String, _ body: @escaping @Sendable (ByteMemory) -> Void) {
    self.init(kernel, rows: 1, elements: 1) { memory, _ in body(memory) }
  }

  private init(_ whole: ByteStep, _ rows: Range<Int>) {
    (kernel, scratch, body) = (whole.kernel, whole.scratch, whole.body)
    (self.rows, mostParts) = (rows, 1)
  }

  var units: Int { rows.count }

  func part(_ units: Range<Int>) -> any ChainStep { ByteStep(self, units) }

  func run(_ addresses: UnsafePointer<UnsafeMutableRawPointer?>) -> CInt {
    body(ByteMemory(addresses: addresses), rows)
    return 0
  }
}

/// The memory of a step's arguments, which a lane binds before it runs.
struct ByteMemory {
  let addresses: UnsafePointer<UnsafeMutableRawPointer?>

  subscript(index: Int) -> UnsafeMutableRawPointer {
    guard let address = addresses[index] else {
      preconditionFailure("Argument \(index) of a step has no memory.")
    }
    return address
  }

  func bytes(_ index: Int) -> UnsafeMutablePointer<UInt8> {
    self[index].assumingMemoryBound(to: UInt8.self)
  }

  func floats(_ index: Int) -> UnsafeMutablePointer<Float> {
    self[index].assumingMemoryBound(to: Float.self)
  }
}

extension ChainBuilder {
  /// Memory that only one instruction uses, with what vectors read beyond it.
  mutating func makeBytes(count: Int, _ layer: ParameterPath) throws -> ChainTensor {
    makeTensor(try OneDNNLayout([1, (count + 64 + 3) / 4], THAW_DNNL_DENSE, layer))
  }

  /// Room for a result of `node` in bytes.
  mutating func makeBytes(for node: NodeID, _ scale: ByteScale) throws -> ByteTensor {
    let (images, channels, pixels) = extents(of: node)
    let count = images * pixels.count * ByteImages.step(channels)
    return ByteTensor(
      tensor: try makeBytes(count: count, graph[node].path),
      form: ByteImages(scale: scale, images: images, pixels: pixels, channels: channels))
  }

  /// Images, channels and pixels of a node's result; features are one pixel.
  func extents(of node: NodeID) -> (images: Int, channels: Int, pixels: Extent2D) {
    let shape = shape(of: node)
    return (
      shape[0], shape[1],
      shape.rank == 4 ? Extent2D(height: shape[2], width: shape[3]) : Extent2D(1)
    )
  }

  /// Room for a result of `node` in Float32, channels last.
  mutating func makeFloats(for node: NodeID) throws -> ChainTensor {
    makeTensor(try OneDNNLayout(shape(of: node), floatOrder(of: node), graph[node].path))
  }

  private func floatOrder(of node: NodeID) -> thaw_dnnl_order {
    extents(of: node).pixels.count == 1 ? THAW_DNNL_DENSE : THAW_DNNL_CHANNELS_LAST
  }

  /// The bytes that the result of `node` is rounded to; nil where it stays Float32.
  func byteScale(of node: NodeID) -> ByteScale? {
    graph.precision == .int8 ? graph.quantization?.activations[graph[node].path] : nil
  }

  /// The bytes of a result that was rounded to them.
  func byteTensor(of node: NodeID) -> ByteTensor {
    guard let tensor = bytes[node] else {
      preconditionFailure("The result of '\(graph[node].path)' is no bytes.")
    }
    return tensor
  }

  /// Rounds a result in Float32 to bytes where the graph says so.
  mutating func roundToBytes(_ node: NodeID) throws {
    guard let scale = byteScale(of: node), bytes[node] == nil else { return }
    let path = graph[node].path
    var source = tensor(of: node)
    let (images, channels, pixels) = extents(of: node)
    let isPlanar = source.layout.isDense && source.layout.element == THAW_DNNL_FLOAT32
    if !isPlanar {
      source = try reordered(
        source, to: try OneDNNLayout(shape(of: node), floatOrder(of: node), path), path)
    }
    let target = try makeBytes(for: node, scale)
    let count = pixels.count
    let (pixelStep, channelStep) = isPlanar && count > 1 ? (1, count) : (channels, 1)
    let (step, stride) = (target.step, target.stride)
    append(
      ChainInstruction(
        "to bytes", path,
        ByteStep("bytes", rows: pixels.height, elements: count * channels) { memory, rows in
          let first = rows.lowerBound * pixels.width
          for image in 0..<images {
            thaw_bytes_quantize(
              memory.floats(0) + image * count * channels + first * pixelStep,
              Int64(rows.count * pixels.width), Int64(channels), Int64(pixelStep),
              Int64(channelStep), 1 / scale.scale, Int32(scale.zero), Int64(step),
              memory.bytes(1) + image * stride + first * step)
          }
        }, [.tensor(source), .tensor(target.tensor)]))
    define(node, as: target)
  }

  /// Makes a copy in Float32 of a result that is bytes.
  mutating func requireFloats(_ node: NodeID) throws {
    guard !hasFloats(node), let source = bytes[node] else { return }
    let target = try makeFloats(for: node)
    let (form, channels, step) = (source.form, source.channels, source.step)
    append(
      ChainInstruction(
        "from bytes", graph[node].path,
        ByteStep("bytes", rows: form.rows, elements: form.rows * form.pixels.width * channels) {
          memory, rows in
          let (first, count) = form.pixels(of: rows)
          thaw_bytes_dequantize(
            memory.bytes(0) + first * step, Int64(count), Int64(channels), Int64(step),
            form.scale.scale, Int32(form.scale.zero), memory.floats(1) + first * channels)
        }, [.tensor(source.tensor), .tensor(target)]))
    define(node, as: target)
  }

  /// Translates one operation, on bytes or in Float32 as the graph says.
  mutating func appendInPrecision(_ fused: FusedOperation, at index: Int) throws {
    if fused.isInBytes(of: graph, shapes) {
      return try appendBytes(fused)
    }
    for operand in fused.operands { try requireFloats(operand) }
    try append(fused, at: index)
    try roundToBytes(fused.result)
  }
}

/// Sees every result of a plan, in Float32, one image after the other.
package struct LayerObserver: Sendable {
  /// Called on the lanes' threads with the node and [pixels, channels] of one image.
  package let see: @Sendable (NodeID, UnsafeBufferPointer<Float>) -> Void
  /// Calls `see`, which has to be safe on several threads.
  package init(_ see: @escaping @Sendable (NodeID, UnsafeBufferPointer<Float>) -> Void) {
    self.see = see
  }
}

extension ChainBuilder {
  /// Shows the result of `node` to `observer`.
  mutating func appendObservation(of node: NodeID, by observer: LayerObserver) throws {
    try requireFloats(node)
    let path = graph[node].path
    let source = tensor(of: node)
    let copy = try makeFloats(for: node)
    let primitive = try OneDNNPrimitive("reorder", path) {
      thaw_dnnl_reorder($0, source.layout.handle, copy.layout.handle)
    }
    append(
      ChainInstruction(
        "reorder", path, primitive,
        [(THAW_DNNL_SOURCE, 0, .tensor(source)), (THAW_DNNL_DESTINATION, 0, .tensor(copy))]))
    let (images, channels, pixels) = extents(of: node)
    let count = channels * pixels.count
    append(
      ChainInstruction(
        "observation", path,
        ByteStep("observer") { memory in
          for image in 0..<images {
            observer.see(
              node, UnsafeBufferPointer(start: memory.floats(0) + image * count, count: count))
          }
        }, [.tensor(copy)]))
  }
}
