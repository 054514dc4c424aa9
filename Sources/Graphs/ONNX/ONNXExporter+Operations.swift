// SPDX-License-Identifier: Apache-2.0

import ThawCheckpoints
import ThawNetwork
import ThawTensors

extension ONNXExporter {
  /// Adds what `node` computes and returns the name of its result.
  mutating func add(_ node: Node) throws -> String {
    if let result = try addToSequence(node) { return result }
    let inputs = node.inputs.map { image(of: $0) }
    switch node.operation {
    case .input: return inputs.first ?? "input"
    case .convolution(let layer): return try addConvolution(node, layer, inputs)
    case .batchNormalization(let layer):
      if options.foldsBatchNormalization && isFolded(node) { return inputs[0] }
      return try addBatchNormalization(node, layer, inputs)
    case .activation(let function): return addActivation(node, function, inputs[0])
    case .layerNormalization(let layer): return try addLayerNormalization(node, layer, inputs[0])
    case .responseNormalization(let layer):
      return try addResponseNormalization(node, layer, inputs[0])
    case .channelScale(let layer):
      if let number = layer.constant {
        return emit("Mul", node, inputs + [constant("\(node.path).constant", number)])
      }
      return emit(
        "Mul", node, inputs + [try parameter(node, layer.name, shape: [layer.channels, 1, 1])])
    case .add: return emit("Add", node, inputs)
    case .gate, .multiply: return emit("Mul", node, inputs)
    case .concatenate: return emit("Concat", node, inputs, ["axis": .integer(1)])
    case .pooling(let kind, let window): return addPooling(node, kind, window, inputs)
    case .globalAveragePooling: return emit("GlobalAveragePool", node, inputs)
    case .globalMaximumPooling: return emit("GlobalMaxPool", node, inputs)
    case .adaptiveAveragePooling(let size): return addAdaptivePooling(node, size, inputs[0])
    // Leaves nothing out in inference.
    case .stochasticDepth: return inputs[0]
    case .flatten: return emit("Flatten", node, inputs, ["axis": .integer(1)])
    case .dropout(let probability):
      let ratio = constant("\(node.path).ratio", probability)
      return emit("Dropout", node, inputs + [ratio])
    case .dense(let layer):
      if let names = try byteParameters(node, outputs: layer.outputs, hasBias: layer.hasBias) {
        return emit("Gemm", node, inputs + names, ["transB": .integer(1)])
      }
      let bias = layer.hasBias ? [try parameter(node, "bias")] : []
      return emit(
        "Gemm", node, inputs + [try parameter(node, "weight")] + bias, ["transB": .integer(1)])
    case .tokens, .attention, .attentionPooling, .selectTokens:
      preconditionFailure("'\(node.path)' makes a sequence, which addToSequence(_:) exports.")
    }
  }

  /// Adds an operation named for `node`.
  mutating func emit(
    _ operation: String, _ node: Node, _ inputs: [String],
    _ attributes: [String: ONNXAttribute] = [:]
  ) -> String {
    let result = resultName(of: node)
    return emit(operation, node.path.description, inputs, attributes, result: result)
  }

  /// Adds an operation inside what `node` computes.
  mutating func step(
    _ operation: String, _ node: Node, _ step: String, _ inputs: [String],
    _ attributes: [String: ONNXAttribute] = [:]
  ) -> String {
    emit(operation, "\(node.path).\(step)", inputs, attributes)
  }

  // MARK: Convolution and batch normalisation

  private mutating func addConvolution(
    _ node: Node, _ layer: Convolution2D, _ inputs: [String]
  ) throws -> String {
    var attributes = window(layer.window, on: node)
    attributes["group"] = .integer(layer.groups)
    if options.foldsBatchNormalization, let (norm, settings) = foldedNormalization(behind: node) {
      let (weight, bias) = try folded(node, layer, norm, settings)
      let names = [
        constant("\(node.path).weight", weight), constant("\(node.path).bias", bias),
      ]
      return emit("Conv", node, inputs + names, attributes)
    }
    if let names = try byteParameters(
      node, outputs: layer.outputs, hasBias: layer.hasBias, shape: kernelShape(layer))
    {
      return emit("Conv", node, inputs + names, attributes)
    }
    let bias = layer.hasBias ? [try parameter(node, "bias")] : []
    let weight = try parameter(node, "weight", shape: kernelShape(layer))
    return emit("Conv", node, inputs + [weight] + bias, attributes)
  }

  private mutating func addBatchNormalization(
    _ node: Node, _ layer: BatchNormalization, _ inputs: [String]
  ) throws -> String {
    let scale =
      layer.hasScale
      ? try parameter(node, "weight")
      : constant(
        "\(node.path).weight",
        Tensor([Float](repeating: 1, count: layer.channels), shape: [layer.channels]))
    let shift =
      layer.hasShift
      ? try parameter(node, "bias")
      : constant("\(node.path).bias", Tensor(zeros: [layer.channels]))
    let statistics = [
      try parameter(node, "running_mean"), try parameter(node, "running_var"),
    ]
    // ONNX's momentum is the weight of the old statistic.
    return emit(
      "BatchNormalization", node, inputs + [scale, shift] + statistics,
      ["epsilon": .float(Float(layer.epsilon)), "momentum": .float(Float(1 - layer.momentum))])
  }

  /// The batch norm that alone uses the result of a convolution.
  private func foldedNormalization(behind node: Node) -> (Node, BatchNormalization)? {
    guard case .convolution = node.operation, consumers[node.id.index].count == 1 else {
      return nil
    }
    let user = graph[consumers[node.id.index][0]]
    guard case .batchNormalization(let layer) = user.operation else { return nil }
    return (user, layer)
  }

  private func isFolded(_ node: Node) -> Bool {
    foldedNormalization(behind: graph[node.inputs[0]])?.0.id == node.id
  }

  /// Weight and bias of the convolution with the batch norm inside, computed in Double.
  private func folded(
    _ node: Node, _ layer: Convolution2D, _ norm: Node, _ settings: BatchNormalization
  ) throws -> (weight: Tensor<Float>, bias: Tensor<Float>) {
    let weight = try parameters.tensor(node.path.appending("weight"))
    let bias = try layer.hasBias ? parameters.tensor(node.path.appending("bias")).elements : nil
    let scale =
      try settings.hasScale ? parameters.tensor(norm.path.appending("weight")).elements : nil
    let shift =
      try settings.hasShift ? parameters.tensor(norm.path.appending("bias")).elements : nil
    let mean = try parameters.tensor(norm.path.appending("running_mean")).elements
    let variance = try parameters.tensor(norm.path.appending("running_var")).elements
    let factors = (0..<layer.outputs).map { channel in
      Double(scale?[channel] ?? 1) / (Double(variance[channel]) + settings.epsilon).squareRoot()
    }
    let perOutput = weight.count / layer.outputs
    var elements = weight.elements
    for index in elements.indices {
      elements[index] = Float(Double(elements[index]) * factors[index / perOutput])
    }
    let biases = (0..<layer.outputs).map { channel in
      let centred = Double(bias?[channel] ?? 0) - Double(mean[channel])
      return Float(Double(shift?[channel] ?? 0) + centred * factors[channel])
    }
    return (
      Tensor(elements, shape: kernelShape(layer)), Tensor(biases, shape: [layer.outputs])
    )
  }

  private func kernelShape(_ layer: Convolution2D) -> Shape {
    [
      layer.outputs, layer.inputs / layer.groups, layer.window.kernel.height,
      layer.window.kernel.width,
    ]
  }

  // MARK: Windows

  private func imageSize(of id: NodeID) -> Extent2D {
    Extent2D(height: shapes[id.index][2], width: shapes[id.index][3])
  }

  private func window(_ window: Window2D, on node: Node) -> [String: ONNXAttribute] {
    let insets = window.insets(for: imageSize(of: node.inputs[0]))
    return [
      "kernel_shape": .integers([window.kernel.height, window.kernel.width]),
      "strides": .integers([window.stride.height, window.stride.width]),
      "dilations": .integers([window.dilation.height, window.dilation.width]),
      "pads": .integers([insets.top, insets.left, insets.bottom, insets.right]),
    ]
  }

  /// A last, partial window is written as more padding below and right: runtimes disagree about
  /// `ceil_mode`, and that padding counts neither in a maximum nor in a mean without padding.
  private mutating func addPooling(
    _ node: Node, _ kind: PoolingKind, _ window: Window2D, _ inputs: [String]
  ) -> String {
    var attributes = self.window(window, on: node)
    let insets = window.insets(for: imageSize(of: node.inputs[0]))
    let (input, output) = (imageSize(of: node.inputs[0]), imageSize(of: node.id))
    func missing(_ keyPath: KeyPath<Extent2D, Int>, _ padding: Int) -> Int {
      let reach = (window.kernel[keyPath: keyPath] - 1) * window.dilation[keyPath: keyPath] + 1
      let needed = (output[keyPath: keyPath] - 1) * window.stride[keyPath: keyPath] + reach
      return max(0, needed - input[keyPath: keyPath] - padding)
    }
    let below = missing(\.height, insets.top + insets.bottom)
    let right = missing(\.width, insets.left + insets.right)
    let isExact: Bool
    if case .average(includesPadding: true) = kind { isExact = false } else { isExact = true }
    if isExact {
      attributes["pads"] = .integers([
        insets.top, insets.left, insets.bottom + below, insets.right + right,
      ])
    } else if below > 0 || right > 0 {
      attributes["ceil_mode"] = .integer(1)
    }
    switch kind {
    case .maximum: return emit("MaxPool", node, inputs, attributes)
    case .average(let includesPadding):
      // Operation set 17 knows no dilated average, and no graph here has one.
      attributes["dilations"] = nil
      attributes["count_include_pad"] = .integer(includesPadding ? 1 : 0)
      return emit("AveragePool", node, inputs, attributes)
    }
  }

  // MARK: Activations

  mutating func addActivation(
    _ node: Node, _ function: Activation, _ input: String
  ) -> String {
    switch function {
    case .relu: return emit("Relu", node, [input])
    case .relu6:
      let bounds = [constant("constant.0", 0), constant("constant.6", 6)]
      return emit("Clip", node, [input] + bounds)
    case .gelu: return addGELU(node, input)
    case .geluTanh: return addTanhGELU(node, input)
    case .quickGELU:
      let scaled = step("Mul", node, "scaled", [input, constant("constant.1.702", 1.702)])
      let gate = step("Sigmoid", node, "sigmoid", [scaled])
      return emit("Mul", node, [input, gate])
    case .sigmoid: return emit("Sigmoid", node, [input])
    case .hardSwish: return emit("HardSwish", node, [input])
    case .hardSigmoid:
      return emit(
        "HardSigmoid", node, [input], ["alpha": .float(1 / 6), "beta": .float(0.5)])
    case .silu:
      let gate = step("Sigmoid", node, "sigmoid", [input])
      return emit("Mul", node, [input, gate])
    }
  }

  // MARK: Preprocessing

  /// uint8 [N, H, W, 3] to (x * scale - mean) / std, [N, C, H, W], as x * factor + shift; returns the
  /// name of the result.
  mutating func addPreprocessing() -> String {
    let real = emit("Cast", "preprocessing.cast", ["image"], ["to": .integer(1)])
    var planar = emit(
      "Transpose", "preprocessing.planes", [real], ["perm": .integers([0, 3, 1, 2])])
    if preprocessing.channelOrder == .bgr {
      let order = constant("preprocessing.order", integers: [2, 1, 0])
      planar = emit(
        "Gather", "preprocessing.bgr", [planar, order], ["axis": .integer(1)])
    }
    func row(_ values: [Double]) -> Tensor<Float> {
      Tensor(values.map(Float.init), shape: [1, 3, 1, 1])
    }
    let centre = constant(
      "preprocessing.mean", row(preprocessing.mean.map { $0 / preprocessing.scale }))
    let factor = constant(
      "preprocessing.factor", row(preprocessing.std.map { preprocessing.scale / $0 }))
    let centred = emit("Sub", "preprocessing.centred", [planar, centre])
    return emit("Mul", "preprocessing.normalised", [centred, factor])
  }
}
