// SPDX-License-Identifier: Apache-2.0

import CThawOneDNN
import ThawExecution
import ThawNetwork
import ThawTensors

extension ChainBuilder {
  /// Translates one operation; `index` is its position among the chain's operations.
  ///
  /// - Throws: ``NetworkError`` when parameters do not fit, ``ExecutionError`` naming the layer.
  mutating func append(_ fused: FusedOperation, at index: Int) throws {
    let path = fused.lead.path
    switch fused.lead.operation {
    case .input:
      preconditionFailure("The input node of \(graph.name) is not an operation.")
    case .convolution(let layer): try appendConvolution(fused, layer, at: index)
    case .dense(let layer): try appendDense(fused, layer, at: index)
    case .batchNormalization, .channelScale: try appendAffine(fused, at: index)
    case .responseNormalization(let layer): try appendResponse(fused.lead, layer)
    case .layerNormalization(let layer): try appendLayerNormalization(fused.lead, layer, at: index)
    case .activation(let function):
      let data = tensor(of: fused.inputs[0])
      let target = mayOverwrite(fused.inputs[0], at: index) ? data : makeTensor(data.layout)
      try appendActivation(function, data, into: target, path)
      define(fused.result, as: target)
    case .add: try appendAdd(fused.lead, at: index)
    case .gate, .multiply: try appendGate(fused.lead, at: index)
    case .concatenate: try appendConcatenation(fused.lead)
    case .pooling(let kind, let window): try appendPooling(fused.lead, kind, window)
    case .globalAveragePooling:
      try appendPooling(
        fused.lead, .average(includesPadding: true), wholeImage(fused.inputs[0]))
    case .globalMaximumPooling:
      try appendPooling(fused.lead, .maximum, wholeImage(fused.inputs[0]))
    case .adaptiveAveragePooling: try appendAdaptivePooling(fused.lead)
    case .flatten: try appendFlatten(fused.lead)
    case .dropout, .stochasticDepth: define(fused.result, as: tensor(of: fused.inputs[0]))
    case .tokens(let layer): try appendTokens(fused.lead, layer)
    case .attention(let layer): try appendAttention(fused.lead, layer)
    case .attentionPooling(let layer): try appendAttentionPooling(fused.lead, layer)
    case .selectTokens(let selection): try appendSelection(fused.lead, selection)
    }
  }

  private func wholeImage(_ node: NodeID) -> Window2D {
    let shape = shape(of: node)
    var window = Window2D(kernel: 1)
    window.kernel = Extent2D(height: shape[2], width: shape[3])
    window.stride = window.kernel
    return window
  }

  /// target = function(data); `target` may be `data`.
  mutating func appendActivation(
    _ function: Activation, _ data: ChainTensor, into target: ChainTensor, _ layer: ParameterPath
  ) throws {
    var source = data
    for part in function.functions {
      let primitive = try OneDNNPrimitive("activation \(function)", layer) {
        thaw_dnnl_activation($0, part, source.layout.handle)
      }
      append(
        ChainInstruction(
          "activation", layer, primitive,
          [(THAW_DNNL_SOURCE, 0, .tensor(source)), (THAW_DNNL_DESTINATION, 0, .tensor(target))]))
      source = target
    }
  }

  /// target = first + second; `target` has the first's layout and may be `first`.
  mutating func appendAddition(
    _ first: ChainTensor, _ second: ChainTensor, into target: ChainTensor, _ layer: ParameterPath
  ) throws {
    let second = try reordered(second, to: first.layout, layer)
    let primitive = try OneDNNPrimitive("addition", layer) {
      thaw_dnnl_binary($0, false, first.layout.handle, second.layout.handle, nil, 0)
    }
    append(
      ChainInstruction(
        "addition", layer, primitive,
        [
          (THAW_DNNL_SOURCE, 0, .tensor(first)), (THAW_DNNL_SECOND_SOURCE, 0, .tensor(second)),
          (THAW_DNNL_DESTINATION, 0, .tensor(target)),
        ]))
  }

  private mutating func appendAdd(_ node: Node, at index: Int) throws {
    let first = tensor(of: node.inputs[0])
    let inPlace = node.inputs[0] != node.inputs[1] && mayOverwrite(node.inputs[0], at: index)
    let target = inPlace ? first : makeTensor(first.layout)
    try appendAddition(first, tensor(of: node.inputs[1]), into: target, node.path)
    define(node.id, as: target)
  }

  /// target = data * values or data + values; `values` has extents of 1 where it repeats.
  ///
  /// `values` lies in the data's channel blocks: row major, it would take the library's plain loop
  /// where the data is blocked.
  mutating func appendBroadcast(
    _ operation: String, multiplies: Bool, perChannel: Bool, _ data: ChainTensor,
    _ values: Tensor<Float>,
    into target: ChainTensor, _ node: Node
  ) throws {
    // One value a pixel stays row major: in channel blocks the library reads it wrongly (2.6.3, AVX2).
    let layout =
      perChannel
      ? try OneDNNLayout(values.shape, like: data.layout, node.path)
      : try OneDNNLayout(values.shape, THAW_DNNL_DENSE, node.path)
    let primitive = try OneDNNPrimitive(operation, node.path) {
      thaw_dnnl_binary($0, multiplies, data.layout.handle, layout.handle, nil, 0)
    }
    append(
      ChainInstruction(
        operation, node.path, primitive,
        [
          (THAW_DNNL_SOURCE, 0, .tensor(data)),
          (
            THAW_DNNL_SECOND_SOURCE, 0,
            try constant(values, as: values.shape, in: layout, node.path)
          ),
          (THAW_DNNL_DESTINATION, 0, .tensor(target)),
        ]))
  }

  private mutating func appendConcatenation(_ node: Node) throws {
    var sources: [ChainTensor] = []
    for input in node.inputs {
      sources.append(try converted(tensor(of: input), to: element, node.path))
    }
    let handles: [OpaquePointer?] = sources.map(\.layout.handle)
    let primitive = try OneDNNPrimitive("concatenation", node.path) {
      thaw_dnnl_concatenation($0, handles, CInt(handles.count))
    }
    let target = makeTensor(try primitive.layout(THAW_DNNL_DESTINATION))
    var arguments: [(thaw_dnnl_role, Int, ChainOperand)] = sources.enumerated().map {
      (THAW_DNNL_CONCAT_SOURCE, $0.offset, .tensor($0.element))
    }
    arguments.append((THAW_DNNL_DESTINATION, 0, .tensor(target)))
    append(ChainInstruction("concatenation", node.path, primitive, arguments))
    define(node.id, as: target)
  }

  /// The image as a row: the same bytes where the layout is row major already.
  private mutating func appendFlatten(_ node: Node) throws {
    let input = node.inputs[0]
    let element = tensor(of: input).layout.element
    let dense = try OneDNNLayout(shape(of: input), THAW_DNNL_DENSE, node.path, of: element)
    let image = try reordered(tensor(of: input), to: dense, node.path)
    let row = try OneDNNLayout(shape(of: node.id), THAW_DNNL_DENSE, node.path, of: element)
    define(node.id, as: ChainTensor(buffer: image.buffer, layout: row))
  }

  mutating func appendPooling(
    _ node: Node, _ kind: PoolingKind, _ window: Window2D
  ) throws {
    var source = tensor(of: node.inputs[0])
    let input = shape(of: node.inputs[0])
    let output = shape(of: node.id)
    let size = Extent2D(height: input[2], width: input[3])
    let outputSize = Extent2D(height: output[2], width: output[3])
    // A mean over the whole image is a sum of many numbers, and what comes after is small.
    if output[2] * output[3] == 1 {
      source = try converted(source, to: THAW_DNNL_FLOAT32, node.path)
    }
    let descriptor = try window.descriptor(for: size, output: outputSize, node.path)
    let any = try OneDNNLayout(
      output, THAW_DNNL_ANY, node.path, of: source.layout.element)
    let primitive = try OneDNNPrimitive("pooling", node.path) { made in
      withUnsafePointer(to: descriptor) {
        thaw_dnnl_pooling(made, kind.descriptor, source.layout.handle, any.handle, $0)
      }
    }
    let target = makeTensor(try primitive.layout(THAW_DNNL_DESTINATION))
    append(
      ChainInstruction(
        "pooling", node.path, primitive,
        [(THAW_DNNL_SOURCE, 0, .tensor(source)), (THAW_DNNL_DESTINATION, 0, .tensor(target))]))
    define(node.id, as: target)
    if case .average(includesPadding: true) = kind {
      try appendDivisorCorrection(window.divisorCorrection(for: size, output: outputSize), node)
    }
  }

  /// oneDNN divides by the whole window; the part beyond the declared padding does not count.
  private mutating func appendDivisorCorrection(_ factors: [Float]?, _ node: Node) throws {
    guard let factors else { return }
    let output = shape(of: node.id)
    let shape: Shape = [1, 1, output[2], output[3]]
    let data = tensor(of: node.id)
    try appendBroadcast(
      "pooling divisor", multiplies: true, perChannel: false, data, Tensor(factors, shape: shape),
      into: data, node)
  }
}

extension PoolingKind {
  fileprivate var descriptor: thaw_dnnl_pooling_kind {
    switch self {
    case .maximum: THAW_DNNL_MAXIMUM
    case .average(let includesPadding):
      includesPadding ? THAW_DNNL_AVERAGE_INCLUDING_PADDING : THAW_DNNL_AVERAGE_EXCLUDING_PADDING
    }
  }
}

extension Window2D {
  /// Whole window divided by the taps that lie in the image or its declared padding, per output
  /// pixel; nil when they are the same everywhere.
  ///
  /// - Source: PyTorch's divisor for `count_include_pad` with `ceil_mode`.
  fileprivate func divisorCorrection(for size: Extent2D, output: Extent2D) -> [Float]? {
    let insets = insets(for: size)
    func counts(_ outputs: Int, _ limit: Int, _ kernel: Int, _ stride: Int, _ spacing: Int)
      -> [Int]
    {
      (0..<outputs).map { output in
        (0..<kernel).count { output * stride + $0 * spacing < limit }
      }
    }
    let rows = counts(
      output.height, size.height + insets.top + insets.bottom, kernel.height, stride.height,
      dilation.height)
    let columns = counts(
      output.width, size.width + insets.left + insets.right, kernel.width, stride.width,
      dilation.width)
    let whole = kernel.height * kernel.width
    let factors = rows.flatMap { row in columns.map { Float(whole) / Float(row * $0) } }
    return factors.allSatisfy { $0 == 1 } ? nil : factors
  }
}
