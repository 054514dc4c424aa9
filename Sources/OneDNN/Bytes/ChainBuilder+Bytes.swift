// SPDX-License-Identifier: Apache-2.0

import CThawKernels
import CThawOneDNN
import ThawExecution
import ThawNetwork
import ThawTensors

/// What makes results of sums, without the pointers of a run.
struct ByteFinish: Sendable {
  /// One a channel of the kernel's order; empty where the kernel has one for all.
  var factor = AlignedStorage<Float>(count: 0)
  var residualStep = 0
  var residualScale: Float = 0
  var residualZero = 0
  var function = THAW_BYTE_IDENTITY
  var inverse: Float = 1
  var zero = 0
  var isFloat = false

  /// Bytes of an element of the result.
  var size: Int { isFloat ? 4 : 1 }

  /// The ending of one image, whose residual is at `residual`.
  func ending(_ residual: UnsafePointer<UInt8>? = nil) -> thaw_byte_ending {
    thaw_byte_ending(
      factor: factor.start, residual: residual, residual_step: Int64(residualStep),
      residual_scale: residualScale, residual_zero: Int32(residualZero), function: function,
      inverse: inverse, zero: Int32(zero), floats: isFloat)
  }
}

extension Activation {
  /// The function of the byte kernels; nil for one they do not have.
  fileprivate var byteFunction: thaw_byte_function? {
    switch self {
    case .relu: THAW_BYTE_RELU
    case .relu6: THAW_BYTE_RELU6
    case .silu: THAW_BYTE_SILU
    case .sigmoid: THAW_BYTE_SIGMOID
    case .hardSigmoid: THAW_BYTE_HARD_SIGMOID
    case .hardSwish: THAW_BYTE_HARD_SWISH
    case .gelu, .geluTanh, .quickGELU: nil
    }
  }
}

/// A result of a step: bytes, or Float32 where nobody reads bytes.
enum ByteResult {
  case bytes(ByteTensor)
  case floats(ChainTensor)

  var operand: ChainOperand {
    switch self {
    case .bytes(let tensor): .tensor(tensor.tensor)
    case .floats(let tensor): .tensor(tensor)
    }
  }
}

extension ChainBuilder {
  /// Translates an operation that is computed on bytes.
  mutating func appendBytes(_ fused: FusedOperation) throws {
    let node = fused.lead
    switch node.operation {
    case .convolution(let layer): try appendByteConvolution(fused, layer)
    case .dense(let layer): try appendByteDense(fused, layer)
    case .batchNormalization, .channelScale: try appendByteAffine(fused)
    case .activation(let function): try appendByteFunction(fused, function)
    case .add: try appendByteAddition(fused)
    case .gate: try appendByteGate(fused)
    case .concatenate: try appendByteConcatenation(fused)
    case .flatten: try appendByteFlatten(fused)
    case .dropout, .stochasticDepth:
      define(fused.result, as: byteTensor(of: fused.inputs[0]))
    case .pooling(let kind, let window): try appendBytePooling(fused, kind, window)
    case .globalMaximumPooling:
      try appendBytePooling(fused, .maximum, wholeByteImage(fused.inputs[0]))
    case .globalAveragePooling, .adaptiveAveragePooling:
      try appendBytePooling(
        fused, .average(includesPadding: true), wholeByteImage(fused.inputs[0]))
    case .input, .layerNormalization, .responseNormalization, .tokens, .attention,
      .attentionPooling, .selectTokens, .multiply:
      throw ExecutionError.unsupported(
        operation: "\(node.operation) on bytes", layer: node.path, engine: OneDNN.name)
    }
  }

  private func wholeByteImage(_ node: NodeID) -> Window2D {
    var window = Window2D(kernel: 1)
    window.kernel = extents(of: node).pixels
    window.stride = window.kernel
    return window
  }

  /// Room for the result of `fused` and what its ending does.
  mutating func makeResult(
    _ fused: FusedOperation
  ) throws -> (result: ByteResult, finish: ByteFinish, step: Int) {
    var finish = ByteFinish()
    let ending = fused.byteEnding
    if let function = ending?.function?.byteFunction { finish.function = function }
    if let residual = ending?.residual {
      let other = byteTensor(of: residual)
      finish.residualStep = other.step
      finish.residualScale = other.scale.scale
      finish.residualZero = other.scale.zero
    }
    if let scale = byteScale(of: fused.result) {
      finish.inverse = 1 / scale.scale
      finish.zero = scale.zero
      let tensor = try makeBytes(for: fused.result, scale)
      return (.bytes(tensor), finish, tensor.step)
    }
    finish.isFloat = true
    return (.floats(try makeFloats(for: fused.result)), finish, extents(of: fused.result).channels)
  }

  mutating func define(_ node: NodeID, as result: ByteResult) {
    switch result {
    case .bytes(let tensor): define(node, as: tensor)
    case .floats(let tensor): define(node, as: tensor)
    }
  }

  // MARK: Layers with weights

  private mutating func appendByteDense(_ fused: FusedOperation, _ layer: Dense) throws {
    let source = byteTensor(of: fused.inputs[0])
    let numbers = try byteLayer(fused, layer.outputs, layer.hasBias, source)
    let rows = Extent2D(height: 1, width: source.images)
    try appendByteProducts(
      fused, numbers, source, image: rows, output: rows, window: Window2D(kernel: 1),
      inputs: layer.inputs, groups: 1, images: 1)
  }

  private func byteLayer(
    _ fused: FusedOperation, _ outputs: Int, _ hasBias: Bool, _ source: ByteTensor
  ) throws -> ByteLayer {
    try ByteLayer(
      fused, outputs: outputs, hasBias: hasBias, input: source.scale,
      steps: graph.quantization?.weights[fused.lead.path] ?? [], parameters)
  }

  private mutating func appendByteConvolution(
    _ fused: FusedOperation, _ layer: Convolution2D
  ) throws {
    let source = byteTensor(of: fused.inputs[0])
    let numbers = try byteLayer(fused, layer.outputs, layer.hasBias, source)
    let output = extents(of: fused.result).pixels
    if layer.groups > 1, layer.groups == layer.inputs, layer.outputs == layer.inputs {
      return try appendByteDepthwise(fused, layer, numbers, source, output)
    }
    try appendByteProducts(
      fused, numbers, source, image: source.pixels, output: output, window: layer.window,
      inputs: layer.inputs, groups: layer.groups, images: source.images)
  }

  private mutating func appendByteProducts(
    _ fused: FusedOperation, _ numbers: ByteLayer, _ source: ByteTensor, image: Extent2D,
    output: Extent2D, window: Window2D, inputs: Int, groups: Int, images: Int
  ) throws {
    let path = fused.lead.path
    let channels = numbers.factor.count
    let padding = BytePadding(window, input: image, output: output)
    let (result, prepared, resultStep) = try makeResult(fused)
    var finish = prepared
    let perGroup = inputs / groups
    let isWhole = groups == 1 && window.kernel.width > 1 && window.dilation.width == 1
    let depth = isWhole ? source.step : (perGroup + 3) / 4 * 4
    var geometry = padding.geometry(window, output, step: source.step)
    geometry.depth = Int64(depth)
    geometry.channels = Int64(channels / groups)
    geometry.result_step = Int64(resultStep)
    let taps = window.kernel.count
    let packedSize = Int(
      thaw_bytes_packed(Int64(channels / groups), Int64(taps), Int64(depth)))
    let packed = AlignedStorage<Int8>(count: packedSize * groups)
    let (bias, factor) = numbers.rounded(to: 64)
    finish.factor = factor
    numbers.weights.withUnsafeBufferPointer { weights in
      guard let from = weights.baseAddress else { return }
      for group in 0..<groups {
        thaw_bytes_pack(
          from + group * weights.count / groups, Int64(channels / groups), Int64(perGroup),
          Int64(taps), Int64(depth), packed.start + group * packedSize)
      }
    }
    var arguments: [ChainOperand] = [.tensor(source.tensor), result.operand]
    let residual = fused.residual.map { byteTensor(of: $0) }
    if let residual { arguments.append(.tensor(residual.tensor)) }
    if padding.isNeeded {
      arguments.append(.tensor(try makeBytes(count: padding.count * source.step, path)))
    }
    let scratch = padding.isNeeded ? arguments.count - 1 : nil
    let zero = UInt8(source.scale.zero)
    let sizes = (
      source: image.count * source.step, result: output.width * resultStep,
      residual: output.width * (residual?.step ?? 0)
    )
    let hasResidual = residual != nil
    let (own, step, geometryOfGroup) = (finish, source.step, geometry)
    let body: @Sendable (ByteMemory, Range<Int>) -> Void = { memory, rows in
      let read = padding.rows(rows, of: window)
      for number in 0..<images {
        let from = padding.source(
          memory.bytes(0) + number * sizes.source, rows: read, step: step, fill: zero,
          scratch: scratch.map { memory.bytes($0) })
        var geometry = geometryOfGroup
        geometry.output.0 = Int64(rows.count)
        let row = number * output.height + rows.lowerBound
        for group in 0..<groups {
          let first = group * channels / groups
          let other =
            hasResidual ? UnsafePointer(memory.bytes(2) + row * sizes.residual + first) : nil
          var ending = own.ending(other)
          ending.factor = UnsafePointer(own.factor.start + first)
          thaw_bytes_convolution(
            &geometry, from + group * perGroup, packed.start + group * packedSize,
            bias.start + first, &ending,
            memory[1] + (row * sizes.result + first) * own.size)
        }
      }
    }
    let convolution = ByteStep(
      "bytes", rows: output.height, elements: output.count * channels, products: taps * perGroup,
      scratch: scratch.map { [$0] } ?? [], body)
    append(ChainInstruction("convolution", path, convolution, arguments))
    define(fused.result, as: result)
  }

  private mutating func appendByteDepthwise(
    _ fused: FusedOperation, _ layer: Convolution2D, _ numbers: ByteLayer, _ source: ByteTensor,
    _ output: Extent2D
  ) throws {
    let path = fused.lead.path
    let padding = BytePadding(layer.window, input: source.pixels, output: output)
    let (result, prepared, resultStep) = try makeResult(fused)
    var finish = prepared
    var geometry = padding.geometry(layer.window, output, step: source.step)
    geometry.depth = Int64(source.step)
    geometry.channels = Int64(layer.outputs)
    geometry.result_step = Int64(resultStep)
    let rounded = (layer.outputs + 63) / 64 * 64
    var order = [Int32](repeating: -1, count: rounded)
    thaw_bytes_depthwise_order(&geometry, &order)
    let packed = AlignedStorage<Int8>(count: Int(thaw_bytes_depthwise_packed(&geometry)))
    thaw_bytes_depthwise_pack(&geometry, numbers.weights, packed.start)
    let bias = AlignedStorage<Int32>(count: rounded)
    let factor = AlignedStorage<Float>(count: rounded)
    for (place, channel) in order.enumerated() where channel >= 0 {
      bias.start[place] = numbers.bias[Int(channel)]
      factor.start[place] = numbers.factor[Int(channel)]
    }
    finish.factor = factor
    let scratch = try makeBytes(
      count: padding.count * source.step + 8 * source.step + 64, path)
    let (form, zero, window) = (source.form, UInt8(source.scale.zero), layer.window)
    let (own, fixed) = (finish, geometry)
    append(
      ChainInstruction(
        "convolution", path,
        ByteStep(
          "bytes, depthwise", rows: output.height, elements: output.count * layer.outputs,
          products: window.kernel.count, scratch: [2]
        ) { memory, rows in
          var geometry = fixed
          geometry.output.0 = Int64(rows.count)
          let read = padding.rows(rows, of: window)
          for number in 0..<form.images {
            padding.pad(
              memory.bytes(0) + number * form.stride, rows: read, step: form.step, fill: zero,
              into: memory.bytes(2))
            var ending = own.ending()
            let row = number * output.height + rows.lowerBound
            thaw_bytes_depthwise(
              &geometry, memory.bytes(2), packed.start, bias.start, &ending,
              memory[1] + row * output.width * resultStep * own.size)
          }
        }, [.tensor(source.tensor), result.operand, .tensor(scratch)]))
    define(fused.result, as: result)
  }
}

extension ByteLayer {
  /// Bias and factors with zeros up to a multiple of `count`.
  fileprivate func rounded(
    to count: Int
  ) -> (bias: AlignedStorage<Int32>, factor: AlignedStorage<Float>) {
    let size = (bias.count + count - 1) / count * count + count
    let sums = AlignedStorage<Int32>(count: size)
    let factors = AlignedStorage<Float>(count: size)
    for channel in bias.indices {
      sums.start[channel] = bias[channel]
      factors.start[channel] = factor[channel]
    }
    return (sums, factors)
  }
}

/// The zero bytes around an image that a window needs.
struct BytePadding: Sendable {
  let input: Extent2D
  let before: Extent2D
  let after: Extent2D

  init(_ window: Window2D, input: Extent2D, output: Extent2D) {
    let insets = window.insets(for: input)
    func after(_ size: Int, _ before: Int, _ outputs: Int, _ stride: Int, _ span: Int) -> Int {
      max((outputs - 1) * stride + span - size - before, 0)
    }
    self.input = input
    before = Extent2D(height: insets.top, width: insets.left)
    self.after = Extent2D(
      height: after(
        input.height, insets.top, output.height, window.stride.height,
        (window.kernel.height - 1) * window.dilation.height + 1),
      width: after(
        input.width, insets.left, output.width, window.stride.width,
        (window.kernel.width - 1) * window.dilation.width + 1))
  }

  var isNeeded: Bool { before.height + before.width + after.height + after.width > 0 }
  var padded: Extent2D {
    Extent2D(
      height: before.height + input.height + after.height,
      width: before.width + input.width + after.width)
  }
  /// Pixels with the padding.
  var count: Int { padded.count }

  /// The window over the padded image; depth, channels and the result's step are left to be set.
  func geometry(_ window: Window2D, _ output: Extent2D, step: Int) -> thaw_byte_geometry {
    var geometry = thaw_byte_geometry()
    geometry.input = padded.pair
    geometry.output = output.pair
    geometry.kernel = window.kernel.pair
    geometry.stride = window.stride.pair
    geometry.dilation = window.dilation.pair
    geometry.step = Int64(step)
    return geometry
  }

  /// The rows of the padded image under the windows of these rows of the result.
  func rows(_ rows: Range<Int>, of window: Window2D) -> Range<Int> {
    let span = (window.kernel.height - 1) * window.dilation.height + 1
    let first = rows.lowerBound * window.stride.height
    return first..<first + (rows.count - 1) * window.stride.height + span
  }

  /// Some rows of `image` with the padding around it: within `scratch`, which is nil where there is none.
  func source(
    _ image: UnsafePointer<UInt8>, rows: Range<Int>, step: Int, fill: UInt8,
    scratch: UnsafeMutablePointer<UInt8>?
  ) -> UnsafePointer<UInt8> {
    guard let scratch else { return image + rows.lowerBound * input.width * step }
    pad(image, rows: rows, step: step, fill: fill, into: scratch)
    return UnsafePointer(scratch)
  }

  /// Writes some rows of the padded image.
  func pad(
    _ image: UnsafePointer<UInt8>, rows: Range<Int>, step: Int, fill: UInt8,
    into target: UnsafeMutablePointer<UInt8>
  ) {
    let end = before.height + input.height
    let inside = rows.clamped(to: before.height..<end)
    let above = Int64(min(rows.upperBound, before.height) - rows.lowerBound)
    let below = Int64(rows.upperBound - max(rows.lowerBound, end))
    thaw_bytes_pad(
      image + max(inside.lowerBound - before.height, 0) * input.width * step, Int64(inside.count),
      Int64(input.width), Int64(step), [max(above, 0), Int64(before.width)],
      [max(below, 0), Int64(after.width)], fill, target)
  }
}

extension Extent2D {
  fileprivate var pair: (Int64, Int64) { (Int64(height), Int64(width)) }
}
