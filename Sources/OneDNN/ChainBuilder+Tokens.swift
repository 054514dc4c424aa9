// SPDX-License-Identifier: Apache-2.0

import CThawKernels
import CThawOneDNN
import ThawExecution
import ThawNetwork
import ThawTensors

extension ChainBuilder {
  /// The result of `node` as rows of channels, in Float32: attention and what surrounds it sum long rows.
  mutating func rows(of node: NodeID, for layer: ParameterPath) throws -> ChainTensor {
    try reordered(
      tensor(of: node), to: try OneDNNLayout(shape(of: node), THAW_DNNL_CHANNELS_LAST, layer),
      layer)
  }

  mutating func makeRows(for node: Node) throws -> ChainTensor {
    makeTensor(try OneDNNLayout(shape(of: node.id), THAW_DNNL_CHANNELS_LAST, node.path))
  }

  /// Class token, registers and patches in one pass over the sequence, positions added.
  mutating func appendTokens(_ node: Node, _ layer: TokenSequence) throws {
    let source = try rows(of: node.inputs[0], for: node.path)
    let image = shape(of: node.inputs[0])
    let patches = Extent2D(height: image[2], width: image[3])
    let before = try layer.rowsBefore(node, parameters)
    let positions = try layer.positions(node, parameters, for: patches)
    func constant(_ values: Tensor<Float>) throws -> ChainOperand {
      let layout = try OneDNNLayout(values.shape, THAW_DNNL_DENSE, node.path)
      return try self.constant(values, as: values.shape, in: layout, node.path)
    }
    let target = try makeRows(for: node)
    let step = TokensStep(
      images: image[0], before: layer.prefix * layer.channels,
      patches: patches.count * layer.channels)
    append(
      ChainInstruction(
        "tokens", node.path, step,
        [
          .tensor(source), try constant(before), try constant(positions), .tensor(target),
        ]))
    define(node.id, as: target)
  }

  /// Attention of each image by itself; see ``AttentionKernel``.
  mutating func appendAttention(_ node: Node, _ layer: Attention) throws {
    let source = try rows(of: node.inputs[0], for: node.path)
    let image = shape(of: node.id)
    let kernel = AttentionKernel(
      layer: layer, tokens: image[2] * image[3], angles: graph.rotaryAngles(of: node, shapes))
    let target = try makeRows(for: node)
    let working = makeTensor(try OneDNNLayout([1, kernel.workCount], THAW_DNNL_DENSE, node.path))
    var operands = [ChainOperand.tensor(source), .tensor(target), .tensor(working)]
    if layer.hasBiases {
      let biases = Tensor(
        try node.parameters.flatMap { try parameters.tensor(checked: $0).elements },
        shape: [2, layer.channels])
      let layout = try OneDNNLayout(biases.shape, THAW_DNNL_DENSE, node.path)
      operands.append(try constant(biases, as: biases.shape, in: layout, node.path))
    }
    append(
      ChainInstruction(
        "attention", node.path,
        AttentionStep(
          images: image[0], kernel: kernel, heads: 0..<layer.heads, hasBiases: layer.hasBiases),
        operands))
    define(node.id, as: target)
  }

  /// Consecutive tokens are consecutive rows.
  mutating func appendSelection(_ node: Node, _ selection: TokenSelection) throws {
    let source = try rows(of: node.inputs[0], for: node.path)
    let (from, to) = (shape(of: node.inputs[0]), shape(of: node.id))
    let target = try makeRows(for: node)
    let step = SelectionStep(
      images: from[0], first: selection.first * from[1], from: from[3] * from[1],
      to: to[3] * to[1])
    append(
      ChainInstruction("token selection", node.path, step, [.tensor(source), .tensor(target)]))
    define(node.id, as: target)
  }
}

extension TokenSequence {
  /// Class token and registers with their positions, [max(prefix, 1), C].
  fileprivate func rowsBefore(_ node: Node, _ parameters: Parameters) throws -> Tensor<Float> {
    let stored = try node.parameters.map { try parameters.tensor(checked: $0) }
    var rows = stored.dropLast(hasPositions ? 1 : 0).flatMap(\.elements)
    if hasPositions, let positions = stored.last?.elements {
      for index in 0..<positioned * channels { rows[index] += positions[index] }
    }
    if rows.isEmpty { rows = [Float](repeating: 0, count: channels) }
    return Tensor(rows, shape: [rows.count / channels, channels])
  }

  /// The positions of an image's patches, [patches, C].
  fileprivate func positions(
    _ node: Node, _ parameters: Parameters, for patches: Extent2D
  ) throws -> Tensor<Float> {
    guard hasPositions else { return Tensor(zeros: [patches.count, channels]) }
    let description = node.parameters[node.parameters.count - 1]
    let stored = try parameters.tensor(checked: description).elements.dropFirst(
      positioned * channels)
    let grid = Tensor(stored, shape: [grid.count, channels])
    return resampling.resampled(grid, from: self.grid, to: patches)
  }
}

extension Parameters {
  /// The tensor of `description`.
  ///
  /// - Throws: ``NetworkError`` when it is missing or has another shape.
  func tensor(checked description: ParameterDescription) throws -> Tensor<Float> {
    let tensor = try tensor(description.path)
    guard tensor.shape == description.shape else {
      throw NetworkError.parameterShape(
        description.path, expected: description.shape, found: tensor.shape)
    }
    return tensor
  }
}

/// The resampling of positions as a product, in Float32 as the rest of the engine.
struct PositionMatrix {
  private let weights: Tensor<Float>

  /// `matrix` is [patches, grid].
  init(_ matrix: Tensor<Double>) {
    weights = Tensor(matrix.elements.map(Float.init), shape: matrix.shape)
  }

  private var patches: Int { weights.shape[0] }
  private var grid: Int { weights.shape[1] }

  /// target [patches, C] = weights * source [grid, C].
  func apply(
    _ source: UnsafePointer<Float>, into target: UnsafeMutablePointer<Float>, channels: Int
  ) {
    weights.withUnsafeElements { matrix in
      guard let matrix = matrix.baseAddress else { return }
      LinearAlgebra.multiply(
        MatrixView(matrix, rows: patches, columns: grid),
        MatrixView(source, rows: grid, columns: channels), into: target)
    }
  }

  /// target [grid, C] += weights^T * source [patches, C].
  func addTransposed(
    _ source: UnsafePointer<Float>, to target: UnsafeMutablePointer<Float>, channels: Int
  ) {
    weights.withUnsafeElements { matrix in
      guard let matrix = matrix.baseAddress else { return }
      LinearAlgebra.multiply(
        MatrixView(matrix, rows: grid, columns: patches, transposed: true),
        MatrixView(source, rows: patches, columns: channels), into: target, beta: 1)
    }
  }
}

/// Rows before the patches copied, patches and positions added.
private final class TokensStep: ChainStep {
  let kernel = "rows"
  private let images: Int
  private let before: Int
  private let patches: Int

  /// Elements of an image's rows before the patches, and of its patches.
  init(images: Int, before: Int, patches: Int) {
    self.images = images
    self.before = before
    self.patches = patches
  }

  func run(_ addresses: UnsafePointer<UnsafeMutableRawPointer?>) -> CInt {
    guard let source = addresses.floats(0), let rows = addresses.floats(1),
      let positions = addresses.floats(2), let target = addresses.floats(3)
    else { return CInt(THAW_DNNL_OUT_OF_MEMORY) }
    for image in 0..<images {
      let start = target + image * (before + patches)
      start.update(from: rows, count: before)
      thaw_sum(
        source + image * patches, positions, THAW_IDENTITY, start + before, Int64(patches))
    }
    return 0
  }
}

private final class AttentionStep: ChainStep {
  let kernel = "sgemm, softmax"
  private let images: Int
  private let attention: AttentionKernel
  private let heads: Range<Int>
  private let hasBiases: Bool

  init(images: Int, kernel: AttentionKernel, heads: Range<Int>, hasBiases: Bool) {
    self.images = images
    attention = kernel
    self.heads = heads
    self.hasBiases = hasBiases
  }

  var units: Int { heads.count }
  /// The working memory.
  var scratch: [Int] { [2] }

  func part(_ units: Range<Int>) -> any ChainStep {
    AttentionStep(images: images, kernel: attention, heads: units, hasBiases: hasBiases)
  }

  func run(_ addresses: UnsafePointer<UnsafeMutableRawPointer?>) -> CInt {
    guard let source = addresses.floats(0), let target = addresses.floats(1),
      let working = addresses.floats(2)
    else { return CInt(THAW_DNNL_OUT_OF_MEMORY) }
    let biases = hasBiases ? addresses.floats(3).map { UnsafePointer($0) } : nil
    let size = attention.tokens * attention.layer.channels
    for image in 0..<images {
      let status = attention.forward(
        source + 3 * image * size, biases, into: target + image * size, working, heads: heads)
      if status != 0 { return status }
    }
    return 0
  }
}

private final class SelectionStep: ChainStep {
  let kernel = "rows"
  private let images: Int
  private let first: Int
  private let from: Int
  private let to: Int

  /// Elements before the selection, and of an image's sequence before and after it.
  init(images: Int, first: Int, from: Int, to: Int) {
    self.images = images
    self.first = first
    self.from = from
    self.to = to
  }

  func run(_ addresses: UnsafePointer<UnsafeMutableRawPointer?>) -> CInt {
    guard let source = addresses.floats(0), let target = addresses.floats(1) else {
      return CInt(THAW_DNNL_OUT_OF_MEMORY)
    }
    for image in 0..<images {
      (target + image * to).update(from: source + image * from + first, count: to)
    }
    return 0
  }
}

extension UnsafePointer<UnsafeMutableRawPointer?> {
  /// Argument `index` as numbers.
  func floats(_ index: Int) -> UnsafeMutablePointer<Float>? {
    self[index]?.assumingMemoryBound(to: Float.self)
  }
}
