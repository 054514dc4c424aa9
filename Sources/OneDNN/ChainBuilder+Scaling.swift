// SPDX-License-Identifier: Apache-2.0

import CThawOneDNN
import ThawExecution
import ThawNetwork
import ThawTensors

extension ChainBuilder {
  /// A batch norm or channel scale that no convolution has absorbed: y = scale * x + shift per channel,
  /// and the activations behind it, in one pass where the library can.
  mutating func appendAffine(_ fused: FusedOperation, at index: Int) throws {
    let node = fused.lead
    guard let map = try ChannelAffine(node, parameters) else { return }
    let input = fused.inputs[0]
    let shape = Shape(
      shape(of: input).extents.enumerated().map { $0.offset == 1 ? $0.element : 1 })
    let data = tensor(of: input)
    let target = mayOverwrite(input, at: index) ? data : makeTensor(data.layout)
    let scale = Tensor(map.scale.map(Float.init), shape: shape)
    let shift = Tensor(map.shift.map(Float.init), shape: shape)
    define(fused.result, as: target)
    if try appendFusedAffine(fused, data, scale, shift, into: target) { return }
    try appendBroadcast(
      "batch normalization", multiplies: true, perChannel: true, data, scale, into: target, node)
    try appendBroadcast(
      "batch normalization", multiplies: false, perChannel: true, target, shift, into: target, node)
    for case .activation(let function) in fused.epilogue {
      try appendActivation(function, target, into: target, node.path)
    }
  }

  /// One kernel: multiply, then add and apply the functions on the way out. False where the library has
  /// only a plain loop for that.
  private mutating func appendFusedAffine(
    _ fused: FusedOperation, _ data: ChainTensor, _ scale: Tensor<Float>, _ shift: Tensor<Float>,
    into target: ChainTensor
  ) throws -> Bool {
    let path = fused.lead.path
    let layout = try OneDNNLayout(scale.shape, like: data.layout, path)
    var epilogue = [thaw_dnnl_epilogue(function: THAW_DNNL_ADD, operand: layout.handle)]
    for case .activation(let function) in fused.epilogue {
      for part in function.functions {
        epilogue.append(thaw_dnnl_epilogue(function: part, operand: nil))
      }
    }
    let primitive = try ifAvailable {
      try OneDNNPrimitive("batch normalization", path) {
        thaw_dnnl_binary(
          $0, true, data.layout.handle, layout.handle, epilogue, CInt(epilogue.count))
      }
    }
    guard let primitive, !primitive.isPlainLoop else { return false }
    append(
      ChainInstruction(
        "batch normalization", path, primitive,
        [
          (THAW_DNNL_SOURCE, 0, .tensor(data)),
          (
            THAW_DNNL_SECOND_SOURCE, 0, try constant(scale, as: scale.shape, in: layout, path)
          ),
          (
            THAW_DNNL_EPILOGUE_SOURCE, 0, try constant(shift, as: shift.shape, in: layout, path)
          ),
          (THAW_DNNL_DESTINATION, 0, .tensor(target)),
        ]))
    return true
  }

  /// Each channel times its gate, or each element times the other input's, in place where nobody else
  /// reads the input.
  mutating func appendGate(_ node: Node, at index: Int) throws {
    let data = tensor(of: node.inputs[0])
    let gates = try reordered(
      tensor(of: node.inputs[1]),
      to: try OneDNNLayout(
        shape(of: node.inputs[1]), like: data.layout, node.path, of: data.layout.element),
      node.path)
    let isOther = data.buffer != tensor(of: node.inputs[1]).buffer
    let target =
      isOther && mayOverwrite(node.inputs[0], at: index) ? data : makeTensor(data.layout)
    let primitive = try OneDNNPrimitive("gate", node.path) {
      thaw_dnnl_binary($0, true, data.layout.handle, gates.layout.handle, nil, 0)
    }
    append(
      ChainInstruction(
        "gate", node.path, primitive,
        [
          (THAW_DNNL_SOURCE, 0, .tensor(data)), (THAW_DNNL_SECOND_SOURCE, 0, .tensor(gates)),
          (THAW_DNNL_DESTINATION, 0, .tensor(target)),
        ]))
    define(node.id, as: target)
  }

  /// Every pixel's channels as one row of the library's layer normalisation.
  mutating func appendLayerNormalization(
    _ node: Node, _ layer: LayerNormalization, at index: Int
  ) throws {
    let input = node.inputs[0]
    let shape = shape(of: input)
    let order = shape.rank == 4 ? THAW_DNNL_CHANNELS_LAST : THAW_DNNL_DENSE
    let source = try reordered(
      tensor(of: input),
      to: try OneDNNLayout(shape, order, node.path, of: tensor(of: input).layout.element),
      node.path)
    let isCopy = source.buffer != tensor(of: input).buffer
    let target =
      isCopy || mayOverwrite(input, at: index) ? source : makeTensor(source.layout)
    let rows = try OneDNNLayout(
      [shape.count / layer.channels, layer.channels], THAW_DNNL_DENSE, node.path,
      of: source.layout.element)
    let primitive = try OneDNNPrimitive("layer normalization", node.path) {
      thaw_dnnl_layer_normalization($0, rows.handle, Float(layer.epsilon))
    }
    let affine = Tensor(
      try parameters.checked("weight", of: node).elements
        + (try parameters.checked("bias", of: node).elements), shape: [2, layer.channels])
    let affineLayout = try OneDNNLayout(affine.shape, THAW_DNNL_DENSE, node.path)
    func row(_ tensor: ChainTensor) -> ChainOperand {
      .tensor(ChainTensor(buffer: tensor.buffer, layout: rows))
    }
    append(
      ChainInstruction(
        "layer normalization", node.path, primitive,
        [
          (THAW_DNNL_SOURCE, 0, row(source)),
          (
            THAW_DNNL_WEIGHTS, 0,
            try constant(affine, as: affine.shape, in: affineLayout, node.path)
          ),
          (THAW_DNNL_DESTINATION, 0, row(target)),
        ]))
    define(node.id, as: target)
  }

  /// Equal windows are an ordinary pooling; others a product of each plane with a matrix of weights.
  mutating func appendAdaptivePooling(_ node: Node) throws {
    let input = shape(of: node.inputs[0])
    let output = shape(of: node.id)
    let (from, to) = (
      Extent2D(height: input[2], width: input[3]), Extent2D(height: output[2], width: output[3])
    )
    guard from.height % to.height != 0 || from.width % to.width != 0 else {
      var window = Window2D(kernel: 1)
      window.kernel = Extent2D(height: from.height / to.height, width: from.width / to.width)
      window.stride = window.kernel
      return try appendPooling(node, .average(includesPadding: true), window)
    }
    let dense = try OneDNNLayout(input, THAW_DNNL_DENSE, node.path)
    let image = try reordered(tensor(of: node.inputs[0]), to: dense, node.path)
    let planes = input[0] * input[1]
    let source = try OneDNNLayout([planes, from.count], THAW_DNNL_DENSE, node.path)
    let result = try OneDNNLayout([planes, to.count], THAW_DNNL_DENSE, node.path)
    let any = try OneDNNLayout([to.count, from.count], THAW_DNNL_ANY, node.path)
    let primitive = try OneDNNPrimitive("adaptive pooling", node.path) {
      thaw_dnnl_inner_product($0, source.handle, any.handle, nil, result.handle, nil, 0)
    }
    let weights = try constant(
      AdaptiveWindow.matrix(from: from, to: to), as: [to.count, from.count],
      in: try primitive.layout(THAW_DNNL_WEIGHTS), node.path)
    let target = makeTensor(try OneDNNLayout(output, THAW_DNNL_DENSE, node.path))
    append(
      ChainInstruction(
        "adaptive pooling", node.path, primitive,
        [
          (
            THAW_DNNL_SOURCE, 0, .tensor(ChainTensor(buffer: image.buffer, layout: source))
          ),
          (THAW_DNNL_WEIGHTS, 0, weights),
          (
            THAW_DNNL_DESTINATION, 0, .tensor(ChainTensor(buffer: target.buffer, layout: result))
          ),
        ]))
    define(node.id, as: target)
  }
}
