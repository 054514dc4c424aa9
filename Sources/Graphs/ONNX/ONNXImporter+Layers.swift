// SPDX-License-Identifier: Apache-2.0

import ThawCheckpoints
import ThawNetwork
import ThawTensors

extension ONNXImporter {
  /// Operations that are translated, for messages.
  static let supported = [
    "Add", "AveragePool", "BatchNormalization", "Cast", "Clip", "Concat", "Constant", "Conv", "Div",
    "Dropout", "Flatten", "Gather", "Erf (as a part of GELU)", "Gelu", "Gemm", "GlobalAveragePool",
    "GlobalMaxPool", "HardSigmoid", "HardSwish", "Identity",
    "LayerNormalization", "LinearClassifier", "LogSoftmax", "MatMul", "MaxPool", "Mul", "Pad",
    "ReduceL2 (as a part of ConvNeXt V2's normalisation)", "ReduceMax", "ReduceMean", "Relu",
    "Reshape", "Shape",
    "Sigmoid", "Slice", "Softmax", "Squeeze", "Sub", "Transpose", "Unsqueeze", "ZipMap",
  ]

  /// Translates one node whose inputs are known.
  mutating func translate(_ node: ONNXNode) throws {
    if ["ai.onnx.ml", "ai.onnx"].contains(node.domain), try translateClassifier(node) { return }
    guard node.domain.isEmpty || node.domain == "ai.onnx" else {
      throw failure(node, ONNXAdvice.domain(node.domain))
    }
    if try constantArithmetic(node) { return }
    if try splitConstant(node) { return }
    if try foldConstants(node) { return }
    if try translateResponse(node) { return }
    if try translateRow(node) { return }
    if try translateSequence(node) { return }
    switch node.operation {
    case "Conv": try convolution(node)
    case "BatchNormalization": try batchNormalization(node)
    case "LayerNormalization": try layerNormalization(node)
    case "Gelu":
      let isExact = node.text("approximate") ?? "none" == "none"
      try set(node, .activation(isExact ? .gelu : .geluTanh), [image(node)])
    case "Gemm": try gemm(node)
    case "MatMul": try product(node)
    case "MaxPool", "AveragePool": try pooling(node)
    case "GlobalAveragePool": try globalPooling(node, .globalAveragePooling)
    case "GlobalMaxPool": try globalPooling(node, .globalMaximumPooling)
    case "ReduceMean": try reduction(node, .globalAveragePooling)
    case "ReduceMax": try reduction(node, .globalMaximumPooling)
    case "Relu": try set(node, .activation(.relu), [image(node)])
    case "Sigmoid": try set(node, .activation(.sigmoid), [image(node)])
    case "HardSwish": try set(node, .activation(.hardSwish), [image(node)])
    case "HardSigmoid": try hardSigmoid(node)
    case "Clip": try clip(node)
    case "Dropout": try dropout(node)
    case "Softmax", "LogSoftmax": try softmax(node)
    case "Log": try logarithm(node)
    case "Div"
    where model.metadata["thaw.calibration"] != nil && node.outputs == [ONNXExporter.scaled]:
      try calibratedLogits(node)
    case "Add", "Mul", "Sub", "Div": try elementwise(node)
    case "Concat": try concatenation(node)
    case "Constant": try constantNode(node)
    case "Identity": try identity(node)
    case "Cast", "CastLike": try cast(node)
    case "Expand": try expand(node)
    case "ArgMax", "TopK": try label(node)
    case "GatherND": try channels(node)
    case "Shape", "Gather", "Slice": try extents(node)
    case "Flatten": try flatten(node)
    case "Reshape": try reshape(node)
    case "Squeeze", "Unsqueeze": try squeeze(node)
    case "Transpose": try transpose(node)
    case "Pad": try pad(node)
    default:
      throw failure(
        node,
        "no network here has such an operation."
          + (ONNXAdvice.operation(node.operation).map { " \($0)" } ?? "")
          + " Known are " + Self.supported.joined(separator: ", "))
    }
  }

  // MARK: Convolution

  mutating func convolution(_ node: ONNXNode) throws {
    let input = try image(node, paddingAllowed: true)
    guard case .channelsFirst = input.layout else {
      throw failure(node, "its input is no [N, C, H, W]")
    }
    guard let weight = try constant(node, 1), weight.shape.rank == 4 || weight.shape.rank == 2
    else {
      throw failure(node, "a constant weight of four dimensions is expected")
    }
    // Two dimensions: a matrix of a model file, for a 1x1 convolution that keeps it so.
    let extents = weight.shape.extents + (weight.shape.rank == 2 ? [1, 1] : [])
    let channels = draft[input.layer].shape[1]
    let groups = node.integer("group") ?? 1
    guard groups >= 1, extents.allSatisfy({ $0 > 0 }), extents[0].isMultiple(of: groups),
      extents[1] <= channels, extents[1] * groups == channels
    else {
      throw failure(
        node, "a weight of \(weight.shape) in \(groups) groups does not fit \(channels) channels")
    }
    if let kernel = node.integers("kernel_shape"), kernel != Array(extents[2...]) {
      throw failure(node, "kernel_shape \(kernel) is not that of the weight \(weight.shape)")
    }
    let bias = try constant(node, 2)
    guard weight.shape.rank == 4 || groups == 1 else { throw failure(node, "a matrix in groups") }
    let layer = Convolution2D(
      inputs: channels, outputs: extents[0],
      window: try window(node, kernel: Array(extents[2...]), on: input, padsWithZeros: true),
      groups: groups, hasBias: bias != nil, storesMatrix: weight.shape.rank == 2)
    var tensors = ["weight": try numbers(weight)]
    if let bias { tensors["bias"] = try vector(bias, extents[0], node) }
    try set(node, .convolution(layer), [input], tensors, weight: weight.name)
  }

  /// A constant of `count` numbers as a list.
  mutating func vector(
    _ tensor: StoredTensor, _ count: Int, _ node: ONNXNode
  ) throws -> Tensor<Float> {
    guard tensor.shape.count == count else {
      throw failure(node, "\(count) numbers are expected, a constant is \(tensor.shape)")
    }
    let values = try numbers(tensor)
    return values.shape.rank == 1 ? values : Tensor(values.elements, shape: [count])
  }

  /// Kernel, stride, dilation and padding of a node, with padding that an operation before it adds.
  func window(
    _ node: ONNXNode, kernel: [Int], on input: Image, padsWithZeros: Bool
  ) throws -> Window2D {
    func pair(_ name: String, _ numbers: [Int], _ limits: ClosedRange<Int>) throws -> Extent2D {
      guard numbers.count == 2, numbers.allSatisfy(limits.contains) else {
        throw failure(node, "\(name) \(numbers.prefix(9)) is not two numbers from \(limits)")
      }
      return Extent2D(height: numbers[0], width: numbers[1])
    }
    var window = Window2D(kernel: 1)
    window.kernel = try pair("kernel_shape", kernel, 1...4096)
    window.stride = try pair("strides", node.integers("strides") ?? [1, 1], 1...4096)
    window.dilation = try pair("dilations", node.integers("dilations") ?? [1, 1], 1...4096)
    window.roundsUp = node.integer("ceil_mode") == 1
    let pads = node.integers("pads") ?? [0, 0, 0, 0]
    guard pads.count == 4, pads.allSatisfy((0...4096).contains) else {
      throw failure(node, "pads \(pads.prefix(9)) are not four numbers from 0 to 4096")
    }
    var insets = EdgeInsets(top: pads[0], left: pads[1], bottom: pads[2], right: pads[3])
    switch node.text("auto_pad") ?? "NOTSET" {
    case "NOTSET": break
    case "VALID": insets = EdgeInsets(0)
    case "SAME_UPPER" where input.padding == nil:
      window.padding = .same
      return window
    case "SAME_LOWER" where input.padding == nil:
      var same = window
      same.padding = .same
      let shape = draft[input.layer].shape
      let upper = same.insets(for: Extent2D(height: shape[2], width: shape[3]))
      insets = EdgeInsets(
        top: upper.bottom, left: upper.right, bottom: upper.top, right: upper.left)
    case let other: throw failure(node, "auto_pad '\(Printable(other))' is not known here")
    }
    if let more = input.padding {
      guard padsWithZeros else {
        throw failure(node, "the zeros padded before it would not be what it pads with")
      }
      insets = EdgeInsets(
        top: insets.top + more.top, left: insets.left + more.left,
        bottom: insets.bottom + more.bottom, right: insets.right + more.right)
    }
    window.padding = .explicit(insets)
    return window
  }

  mutating func batchNormalization(_ node: ONNXNode) throws {
    let input = try image(node)
    switch input.layout {
    case .channelsFirst, .row: break
    case .rowOfChannelsLast:
      throw failure(node, "a flattened image goes into it, whose order is not kept")
    default: throw failure(node, "its input is no [N, C, H, W]")
    }
    guard node.integer("training_mode") ?? 0 == 0 else {
      throw failure(node, "it was exported in training mode; export after model.eval()")
    }
    let channels = draft[input.layer].shape[1]
    let layer = BatchNormalization(
      channels: channels, epsilon: (node.float("epsilon") ?? 1e-5).asWritten,
      momentum: Float(1 - (node.float("momentum") ?? 0.9).asWritten).asWritten)
    var tensors: [String: Tensor<Float>] = [:]
    for (index, leaf) in ["weight", "bias", "running_mean", "running_var"].enumerated() {
      guard let tensor = try constant(node, index + 1) else {
        throw failure(node, "its input \(index + 2) is missing")
      }
      tensors[leaf] = try vector(tensor, channels, node)
    }
    try set(node, .batchNormalization(layer), [input], tensors, weight: node.inputs[1])
  }

  mutating func layerNormalization(_ node: ONNXNode) throws {
    let input = try image(node)
    let channels = draft[input.layer].shape[1]
    let rank = draft[input.layer].shape.rank
    switch input.layout {
    case .channelsLast, .row: break
    default:
      throw failure(node, "a normalisation over the channels, in the last place, is expected")
    }
    guard [-1, rank - 1].contains(node.integer("axis") ?? -1),
      node.outputs.dropFirst().allSatisfy(\.isEmpty), let scale = try constant(node, 1)
    else { throw failure(node, "a constant scale, the last axis and one result are expected") }
    let layer = LayerNormalization(
      channels: channels, epsilon: (node.float("epsilon") ?? 1e-5).asWritten)
    let shift = try constant(node, 2).map { try vector($0, channels, node) }
    let tensors = [
      "weight": try vector(scale, channels, node), "bias": shift ?? Tensor(zeros: [channels]),
    ]
    try set(node, .layerNormalization(layer), [input], tensors, weight: scale.name)
  }
}

extension Float {
  /// The decimal number that was meant: 1e-5 for the Float nearest to it.
  var asWritten: Double { Double("\(self)") ?? Double(self) }
}
