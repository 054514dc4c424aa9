// SPDX-License-Identifier: Apache-2.0

import CThawKernels
import CThawOneDNN
import ThawExecution
import ThawNetwork
import ThawTensors

/// A 3x3 convolution of one image by Winograd's algorithm; see `thaw_winograd.h`.
struct WinogradKernel {
  /// Extents and channels, and the size of a tile.
  let geometry: thaw_winograd

  /// The faster of F(4x4, 3x3) and F(2x2, 3x3) for these extents; nil where neither is worth it or can be done.
  ///
  /// Follows from the shape alone, as every choice of kernels does.
  ///
  /// - Parameters:
  ///   - input: [N, C, H, W], and `output` likewise.
  ///   - block: how many channels lie beside each other; nil for all of them.
  init?(_ layer: Convolution2D, input: Shape, output: Shape, block: Int?) {
    guard layer.isWinograd else { return nil }
    let image = Extent2D(height: input[2], width: input[3])
    let insets = layer.window.insets(for: image)
    self.init(
      from: (input[1], image), to: (output[1], Extent2D(height: output[2], width: output[3])),
      before: (insets.top, insets.left), block: block)
  }

  /// The gradient by the source of a convolution, from that by its result, all channels beside each other.
  init?(backwardOf layer: Convolution2D, input: Shape, output: Shape) {
    guard layer.isWinograd else { return nil }
    let image = Extent2D(height: input[2], width: input[3])
    let insets = layer.window.insets(for: image)
    self.init(
      from: (output[1], Extent2D(height: output[2], width: output[3])), to: (input[1], image),
      before: (2 - insets.top, 2 - insets.left), block: nil)
  }

  private init?(
    from input: (channels: Int, image: Extent2D), to output: (channels: Int, image: Extent2D),
    before: (top: Int, left: Int), block: Int?
  ) {
    let panel = Int(thaw_winograd_panel())
    let (inputBlock, outputBlock) = (block ?? input.channels, block ?? output.channels)
    let (large, small) = (Self.cost(ofTile: 4, output.image), Self.cost(ofTile: 2, output.image))
    guard min(large, small) < Self.directCost(output.image), min(before.top, before.left) >= 0,
      min(input.channels, output.channels) >= Self.fewestChannels,
      inputBlock.isMultiple(of: panel / 2), outputBlock.isMultiple(of: panel / 2),
      input.channels.isMultiple(of: inputBlock), output.channels.isMultiple(of: outputBlock),
      output.channels.isMultiple(of: panel)
    else { return nil }
    geometry = thaw_winograd(
      tile: large <= small ? 4 : 2, inputs: Int64(input.channels),
      outputs: Int64(output.channels), input_block: Int64(inputBlock),
      output_block: Int64(outputBlock),
      input: (Int64(input.image.height), Int64(input.image.width)),
      output: (Int64(output.image.height), Int64(output.image.width)),
      before: (Int64(before.top), Int64(before.left)))
  }

  /// Channels below which tiles take longer to transform than products take.
  private static let fewestChannels = 32

  /// Tiles below which the time of an image is that of fetching the weights.
  private static let fewestTiles = 12

  /// Products a pair of channels.
  private static func cost(ofTile side: Int, _ output: Extent2D) -> Int {
    let rows = (output.height + side - 1) / side
    let columns = (output.width + side - 1) / side
    return (side + 2) * (side + 2) * max(rows * columns, fewestTiles)
  }

  private static func directCost(_ output: Extent2D) -> Int { 9 * output.height * output.width }

  /// Rows of tiles.
  var rows: Int { withUnsafePointer(to: geometry) { Int(thaw_winograd_rows($0)) } }
  /// Elements of the transformed weights.
  var weightCount: Int { withUnsafePointer(to: geometry) { Int(thaw_winograd_weight_count($0)) } }
  /// Elements that it works in.
  var scratchCount: Int { withUnsafePointer(to: geometry) { Int(thaw_winograd_scratch_count($0)) } }

  /// Elements of one image, and `outputCount` of one result.
  var inputCount: Int { Int(geometry.inputs * geometry.input.0 * geometry.input.1) }
  var outputCount: Int { Int(geometry.outputs * geometry.output.0 * geometry.output.1) }

  /// Transforms weights in PyTorch's order into room for ``weightCount`` elements; see `thaw_winograd_pack`.
  func pack(
    _ weights: UnsafePointer<Float>, scale: [Float]? = nil, isBackward: Bool = false,
    into packed: UnsafeMutablePointer<Float>
  ) {
    withUnsafePointer(to: geometry) { geometry in
      if let scale {
        thaw_winograd_pack(geometry, weights, scale, isBackward, packed)
      } else {
        thaw_winograd_pack(geometry, weights, nil, isBackward, packed)
      }
    }
  }

  /// rectifier(x * weights + bias + residual) of so many images, in some rows of tiles.
  ///
  /// - Parameters:
  ///   - packed: what ``pack(_:scale:isBackward:into:)`` wrote.
  ///   - residual: lies as the result does, and may be it.
  ///   - rows: all where nil.
  ///   - scratch: room for ``scratchCount`` elements.
  func run(
    _ x: UnsafePointer<Float>, _ packed: UnsafePointer<Float>, bias: UnsafePointer<Float>?,
    residual: UnsafePointer<Float>?, _ rectifier: thaw_rectifier, images: Int,
    rows: Range<Int>? = nil, _ scratch: UnsafeMutablePointer<Float>,
    into y: UnsafeMutablePointer<Float>
  ) {
    let rows = rows ?? 0..<self.rows
    withUnsafePointer(to: geometry) { geometry in
      for image in 0..<images {
        thaw_winograd_forward(
          geometry, x + image * inputCount, packed, bias,
          residual.map { $0 + image * outputCount }, rectifier, Int64(rows.lowerBound),
          Int64(rows.upperBound), scratch, y + image * outputCount)
      }
    }
  }
}

extension Convolution2D {
  /// Whether Winograd's algorithm computes such a convolution.
  fileprivate var isWinograd: Bool {
    window.kernel == Extent2D(3) && window.stride == Extent2D(1) && window.dilation == Extent2D(1)
      && groups == 1
  }
}

extension ChainBuilder {
  /// A large 3x3 convolution in Float32 by Winograd's algorithm, with what follows it; false where it is
  /// not worth it, or its input lies row major.
  mutating func appendWinograd(
    _ fused: FusedOperation, _ layer: Convolution2D, at index: Int
  ) throws -> Bool {
    let path = fused.lead.path
    let source = tensor(of: fused.inputs[0])
    let (input, output) = (shape(of: fused.inputs[0]), shape(of: fused.result))
    // On some processors the library puts all channels of a pixel beside each other, on others blocks of them.
    let isChannelsLast = source.layout.matches(
      try OneDNNLayout(input, THAW_DNNL_CHANNELS_LAST, path))
    guard source.layout.element == THAW_DNNL_FLOAT32,
      let kernel = WinogradKernel(
        layer, input: input, output: output,
        block: isChannelsLast ? nil : source.layout.channelBlock)
    else { return false }
    let layout =
      isChannelsLast
      ? try OneDNNLayout(output, THAW_DNNL_CHANNELS_LAST, path)
      : try OneDNNLayout(output, like: source.layout, path)
    let ending = WinogradEnding(fused.epilogue)
    var residual: ChainTensor?
    if let ending, ending.hasAddition, let other = fused.residual {
      residual = try reordered(
        try converted(tensor(of: other), to: THAW_DNNL_FLOAT32, path), to: layout, path)
    }
    let isInPlace =
      fused.residual.map {
        mayOverwrite($0, at: index) && tensor(of: $0).buffer == residual?.buffer
      }
      ?? false
    let result =
      if let residual, isInPlace, residual.buffer != source.buffer { residual } else {
        makeTensor(layout)
      }
    let scratch = makeTensor(try OneDNNLayout([1, kernel.scratchCount], THAW_DNNL_DENSE, path))
    let parameters = try winogradConstants(fused, layer, kernel)
    let step = WinogradStep(
      images: input[0], kernel: kernel, rectifier: ending?.rectifier ?? THAW_IDENTITY,
      hasBias: parameters.count > 1, hasResidual: residual != nil, rows: 0..<kernel.rows)
    append(
      ChainInstruction(
        "convolution", path, step,
        [.tensor(source), .tensor(scratch), .tensor(result)] + parameters
          + (residual.map { [.tensor($0)] } ?? [])))
    define(fused.result, as: result)
    if ending == nil { try appendEpilogue(fused, at: index) }
    return true
  }

  /// Memory for its weights and, where it has one, its bias, which are put there later.
  private mutating func winogradConstants(
    _ fused: FusedOperation, _ layer: Convolution2D, _ kernel: WinogradKernel
  ) throws -> [ChainOperand] {
    let path = fused.lead.path
    let weightLayout = try OneDNNLayout([1, kernel.weightCount], THAW_DNNL_DENSE, path)
    let weights = try OneDNNBlock(bytes: weightLayout.bytes, path)
    var operands = [ChainOperand.constant(weights, weightLayout)]
    var bias: OneDNNBlock?
    let biasLayout = try OneDNNLayout([layer.outputs], THAW_DNNL_DENSE, path)
    if FoldedParameters.hasBias(fused, layer.hasBias) {
      let block = try OneDNNBlock(bytes: biasLayout.bytes, path)
      operands.append(.constant(block, biasLayout))
      bias = block
    }
    let fold = folding(fused, outputs: layer.outputs, hasBias: layer.hasBias)
    doLater { [bias] in
      let folded = try fold()
      folded.weights.withUnsafeElements {
        guard let elements = $0.baseAddress else { return }
        kernel.pack(elements, into: weights.floats)
      }
      if let bias, let values = folded.bias {
        try bias.fill(values, as: values.shape, in: biasLayout, path)
      }
    }
    return operands
  }
}

/// What follows a convolution, where its kernel does it on the way out.
private struct WinogradEnding {
  var hasAddition = false
  var rectifier = THAW_IDENTITY

  /// Nil where the epilogue is anything but an addition, a rectifier, or one behind the other.
  init?(_ epilogue: [FusedOperation.Epilogue]) {
    for step in epilogue {
      guard rectifier == THAW_IDENTITY else { return nil }
      switch step {
      case .addition:
        if hasAddition { return nil }
        hasAddition = true
      case .activation(.relu): rectifier = THAW_RELU
      case .activation(.relu6): rectifier = THAW_RELU6
      case .activation: return nil
      }
    }
  }
}

private final class WinogradStep: ChainStep {
  private let images: Int
  private let winograd: WinogradKernel
  private let rectifier: thaw_rectifier
  private let hasBias: Bool
  private let hasResidual: Bool
  /// The rows of tiles to compute.
  private let rows: Range<Int>

  init(
    images: Int, kernel: WinogradKernel, rectifier: thaw_rectifier, hasBias: Bool,
    hasResidual: Bool, rows: Range<Int>
  ) {
    self.images = images
    winograd = kernel
    self.rectifier = rectifier
    self.hasBias = hasBias
    self.hasResidual = hasResidual
    self.rows = rows
  }

  var kernel: String { "winograd \(winograd.geometry.tile)x\(winograd.geometry.tile)" }
  var units: Int { rows.count }
  /// A part reads all weights, so it has several tiles.
  var mostParts: Int {
    let tile = winograd.geometry.tile
    let columns = Int((winograd.geometry.output.1 + tile - 1) / tile)
    return max(rows.count * columns / 6, 1)
  }
  var scratch: [Int] { [1] }

  func part(_ units: Range<Int>) -> any ChainStep {
    WinogradStep(
      images: images, kernel: winograd, rectifier: rectifier, hasBias: hasBias,
      hasResidual: hasResidual,
      rows: rows.lowerBound + units.lowerBound..<rows.lowerBound + units.upperBound)
  }

  func run(_ addresses: UnsafePointer<UnsafeMutableRawPointer?>) -> CInt {
    guard let source = addresses.floats(0), let scratch = addresses.floats(1),
      let target = addresses.floats(2), let weights = addresses.floats(3)
    else { return CInt(THAW_DNNL_OUT_OF_MEMORY) }
    let bias = hasBias ? addresses.floats(4) : nil
    let residual = hasResidual ? addresses.floats(hasBias ? 5 : 4) : nil
    winograd.run(
      source, weights, bias: bias, residual: residual, rectifier, images: images, rows: rows,
      scratch, into: target)
    return 0
  }
}
