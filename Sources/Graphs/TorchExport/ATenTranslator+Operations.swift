// SPDX-License-Identifier: Apache-2.0

import ThawCheckpoints
import ThawTensors

extension ATenTranslator {
  /// Operations that change no value.
  private static let passing: Set = [
    "contiguous", "clone", "alias", "detach", "detach_", "lift_fresh_copy", "lift_fresh", "to",
    "_to_copy", "type_as", "_assert_tensor_metadata",
  ]

  /// Adds the operations that a call is.
  mutating func translate(_ call: ATenCall) throws {
    if follows(call) { return }
    switch call.operation {
    case "scaled_dot_product_attention": try attention(call)
    case "transpose": try transpose(call)
    case "unflatten":
      try emit(
        "Reshape", call, [try value(call, "self")], ["shape": .integers(try unflattened(call))])
    case "select": try select(call)
    case "unbind": try unbind(call)
    case "chunk", "split", "split_with_sizes": try split(call)
    case "conv2d", "convolution", "_convolution": try convolution(call)
    case "batch_norm", "_native_batch_norm_legit_no_training", "cudnn_batch_norm",
      "native_batch_norm":
      try batchNormalization(call)
    case "relu", "relu_": try emit("Relu", call, [try value(call, "self")])
    case "relu6", "relu6_": try clip(call, 0, 6)
    case "hardtanh", "hardtanh_", "clamp", "clamp_":
      try clip(
        call, call.number("min_val") ?? call.number("min"),
        call.number("max_val") ?? call.number("max"))
    case "clamp_min", "clamp_min_": try clip(call, call.number("min"), nil)
    case "sigmoid", "sigmoid_": try emit("Sigmoid", call, [try value(call, "self")])
    case "silu", "silu_":
      let input = try value(call, "self")
      try emit("Mul", call, [input, step("Sigmoid", call, "sigmoid", [input])])
    case "tanh", "tanh_": try emit("Tanh", call, [try value(call, "self")])
    case "pow":
      guard let exponent = call.number("exponent") else {
        throw failure(call, "an exponent that is a number is expected")
      }
      let power = constant(call, "exponent", Tensor([Float(exponent)], shape: []))
      try emit("Pow", call, [try value(call, "self"), power])
    case "hardswish", "hardswish_": try emit("HardSwish", call, [try value(call, "self")])
    case "hardsigmoid", "hardsigmoid_":
      try emit(
        "HardSigmoid", call, [try value(call, "self")],
        ["alpha": .float(1 / 6), "beta": .float(0.5)])
    case "gelu":
      try emit(
        "Gelu", call, [try value(call, "self")],
        ["approximate": .text(call.text("approximate") ?? "none")])
    case "add", "add_": try arithmetic(call, "Add")
    case "sub", "sub_": try arithmetic(call, "Sub")
    case "mul", "mul_": try arithmetic(call, "Mul")
    case "div", "div_": try arithmetic(call, "Div")
    case "mean": try reduction(call, "ReduceMean")
    case "amax": try reduction(call, "ReduceMax")
    case "adaptive_avg_pool2d", "_adaptive_avg_pool2d":
      try adaptivePooling(call, "AveragePool", "GlobalAveragePool")
    case "adaptive_max_pool2d": try adaptivePooling(call, "MaxPool", "GlobalMaxPool")
    case "max_pool2d", "max_pool2d_with_indices": try pooling(call, "MaxPool")
    case "avg_pool2d": try pooling(call, "AveragePool")
    case "linear": try linear(call)
    case "layer_norm", "native_layer_norm": try layerNormalization(call)
    case "flatten": try flatten(call)
    case "view", "reshape", "_unsafe_view", "view_copy":
      let target = call.integers("size") ?? call.integers("shape") ?? []
      try emit("Reshape", call, [try value(call, "self")], ["shape": .integers(target)])
    case "permute", "permute_copy":
      try emit(
        "Transpose", call, [try value(call, "self")],
        ["perm": .integers(call.integers("dims") ?? [])])
    case "squeeze", "unsqueeze":
      try emit(
        call.operation == "squeeze" ? "Squeeze" : "Unsqueeze", call, [try value(call, "self")],
        ["axes": .integers(call.integers("dim") ?? [])])
    case "cat", "concat", "concatenate":
      let inputs = (call.tensors("tensors") ?? []).compactMap { $0.map(name) }
      try emit("Concat", call, inputs, ["axis": .integer(call.integer("dim") ?? 0)])
    case "softmax", "_softmax":
      try emit(
        "Softmax", call, [try value(call, "self")], ["axis": .integer(call.integer("dim") ?? -1)])
    case "log_softmax", "_log_softmax":
      try emit(
        "LogSoftmax", call, [try value(call, "self")],
        ["axis": .integer(call.integer("dim") ?? -1)])
    case "linalg_vector_norm":
      guard call.number("ord") ?? 2 == 2 else {
        throw failure(call, "the Euclidean norm alone is known here")
      }
      try reduction(call, "ReduceL2")
    case "addcmul":
      guard call.number("value") ?? 1 == 1 else {
        throw failure(call, "a factor in it is not known here")
      }
      let product = step(
        "Mul", call, "product", [try value(call, "tensor1"), try value(call, "tensor2")])
      try emit("Add", call, [try value(call, "self"), product])
    case "log": try emit("Log", call, [try value(call, "self")])
    case "dropout", "dropout_", "feature_dropout", "native_dropout":
      try dropout(call)
    case "constant_pad_nd", "pad": try pad(call)
    case "expand", "expand_as", "view_as", "repeat":
      if let stored = stored(try value(call, "self")), stored.shape.rank == 3,
        stored.shape[0] == 1, ["expand", "repeat"].contains(call.operation),
        let new = call.result.flatMap(extents), new.count == 3, new[1] == stored.shape[1],
        new[2] == stored.shape[2]
      {
        return try emit("Identity", call, [try value(call, "self")])
      }
      guard let old = call.tensor("self").flatMap(extents), let new = call.result.flatMap(extents),
        old == new
      else { throw failure(call, "an image is not repeated or given another shape here") }
      try emit("Identity", call, [try value(call, "self")])
    case "embedding":
      try emit("Gather", call, [try value(call, "weight"), try value(call, "indices")])
    case "index": try index(call)
    case "flip": try flip(call)
    case "slice": try slice(call)
    case let name where ATenTranslator.passing.contains(name):
      guard call.result != nil, call.has("self") || call.has("input") else { return }
      let argument = call.has("self") ? "self" : "input"
      try checkType(call, of: argument)
      try emit("Identity", call, [try value(call, argument)])
    default:
      // Extents and checks make no tensor, and nothing here needs them.
      guard call.result != nil else { return }
      throw failure(call, ATenTranslator.obstacle(call))
    }
  }

  /// Refuses a call that makes integers, or yes and no, of other numbers.
  private func checkType(_ call: ATenCall, of argument: String) throws {
    guard let before = call.tensor(argument).flatMap(isFloatingPoint),
      let after = call.result.flatMap(isFloatingPoint), before, !after
    else { return }
    throw failure(call, "it makes integers of other numbers, which rounds them; not known here")
  }

  private static func obstacle(_ call: ATenCall) -> String {
    switch call.operation {
    case "_scaled_dot_product_flash_attention_for_cpu", "bmm", "baddbmm":
      "attention is imported as scaled_dot_product_attention, before a program is decomposed. Give the weights: torch.save(model.state_dict(), ...)"
    case "native_group_norm", "group_norm", "instance_norm":
      "networks here have no such normalisation"
    case let name where !call.target.hasPrefix("torch.ops.aten."):
      "'\(Printable(name))' is an operation of its author's; export the network without it"
    default: "networks here have no such operation"
    }
  }

  // MARK: Layers

  private mutating func convolution(_ call: ATenCall) throws {
    guard !call.flag("transposed") else {
      throw failure(call, "a transposed convolution is not known here")
    }
    let input = try value(call, call.has("input") ? "input" : "self")
    var inputs = [input, try value(call, "weight")]
    if call.has("bias") { inputs.append(try value(call, "bias")) }
    var attributes: [String: ONNXAttribute] = [
      "strides": .integers(pair(call.integers("stride"), 1)),
      "dilations": .integers(pair(call.integers("dilation"), 1)),
      "group": .integer(call.integer("groups") ?? 1),
    ]
    if let padding = call.text("padding") {
      attributes["auto_pad"] = .text(padding == "same" ? "SAME_UPPER" : "VALID")
    } else {
      let amounts = pair(call.integers("padding"), 0)
      attributes["pads"] = .integers(amounts + amounts)
    }
    try emit("Conv", call, inputs, attributes)
  }

  private mutating func batchNormalization(_ call: ATenCall) throws {
    guard !call.flag("training"), !call.flag("train") else {
      throw failure(call, "it was exported in training mode; call model.eval() before torch.export")
    }
    let mean = try value(call, "running_mean")
    guard let channels = stored(mean)?.shape.count else {
      throw failure(call, "its statistics are no constants")
    }
    let one = Tensor<Float>([Float](repeating: 1, count: channels), shape: [channels])
    let scale = call.has("weight") ? try value(call, "weight") : constant(call, "weight", one)
    let shift =
      call.has("bias") ? try value(call, "bias") : constant(call, "bias", Tensor(zeros: [channels]))
    let inputs = [try value(call, "input"), scale, shift, mean, try value(call, "running_var")]
    try emit(
      "BatchNormalization", call, inputs,
      [
        "epsilon": .float(Float(call.number("eps") ?? 1e-5)),
        "momentum": .float(Float(1 - (call.number("momentum") ?? 0.1))),
      ])
  }

  private mutating func layerNormalization(_ call: ATenCall) throws {
    guard (call.integers("normalized_shape") ?? []).count == 1, call.has("weight") else {
      throw failure(call, "a normalisation over the last dimension, with a weight, is expected")
    }
    var inputs = [try value(call, "input"), try value(call, "weight")]
    if call.has("bias") { inputs.append(try value(call, "bias")) }
    try emit(
      "LayerNormalization", call, inputs,
      ["axis": .integer(-1), "epsilon": .float(Float(call.number("eps") ?? 1e-5))])
  }

  private mutating func linear(_ call: ATenCall) throws {
    let weight = try value(call, "weight")
    let bias = call.has("bias") ? [try value(call, "bias")] : []
    let input = try value(call, "input")
    if let rank = call.tensor("input").flatMap(extents)?.count, rank >= 3 {
      guard let matrix = stored(weight), matrix.shape.rank == 2 else {
        throw failure(
          call,
          "its weight is no constant matrix. Give the weights: torch.save(model.state_dict(), ...)")
      }
      let turned = constant(weight + ".transposed", matrix.permuted([1, 0]))
      guard let only = bias.first else { return try emit("MatMul", call, [input, turned]) }
      return try emit("Add", call, [step("MatMul", call, "product", [input, turned]), only])
    }
    try emit("Gemm", call, [input, weight] + bias, ["transB": .integer(1)])
  }

  private mutating func dropout(_ call: ATenCall) throws {
    guard !call.flag("train") else {
      throw failure(call, "it was exported in training mode; call model.eval() before torch.export")
    }
    try emit(
      "Dropout", call, [try value(call, "input")],
      ["ratio": .float(Float(call.number("p") ?? 0.5))])
  }

  private mutating func clip(_ call: ATenCall, _ low: Double?, _ high: Double?) throws {
    var attributes: [String: ONNXAttribute] = [:]
    if let low { attributes["min"] = .float(Float(low)) }
    if let high { attributes["max"] = .float(Float(high)) }
    try emit("Clip", call, [try value(call, "self")], attributes)
  }

  private mutating func arithmetic(_ call: ATenCall, _ operation: String) throws {
    guard call.number("alpha") ?? 1 == 1, !call.has("rounding_mode") else {
      throw failure(call, "a factor or a rounding in it is not known here")
    }
    let left = try value(call, "self")
    if let number = call.number("other") {
      return try emit(
        operation, call, [left, constant(call, "number", Tensor([Float(number)], shape: [1]))])
    }
    try emit(operation, call, [left, try value(call, "other")])
  }

  // MARK: Pooling

  private mutating func pooling(_ call: ATenCall, _ operation: String) throws {
    let kernel = pair(call.integers("kernel_size"), 1)
    let stride = call.integers("stride").flatMap { $0.isEmpty ? nil : $0 }
    let amounts = pair(call.integers("padding"), 0)
    guard !call.has("divisor_override") else { throw failure(call, "a divisor of its own") }
    var attributes: [String: ONNXAttribute] = [
      "kernel_shape": .integers(kernel), "strides": .integers(pair(stride ?? kernel, 1)),
      "pads": .integers(amounts + amounts), "ceil_mode": .integer(call.flag("ceil_mode") ? 1 : 0),
    ]
    if operation == "MaxPool" {
      attributes["dilations"] = .integers(pair(call.integers("dilation"), 1))
    } else {
      let counts = !call.has("count_include_pad") || call.flag("count_include_pad")
      attributes["count_include_pad"] = .integer(counts ? 1 : 0)
    }
    try emit(operation, call, [try value(call, "self")], attributes)
  }

  private mutating func adaptivePooling(
    _ call: ATenCall, _ windowed: String, _ global: String
  ) throws {
    let target = pair(call.integers("output_size"), 1)
    let input = try value(call, "self")
    if target == [1, 1] { return try emit(global, call, [input]) }
    let sizes = call.tensor("self").flatMap(extents)?.suffix(2).compactMap(\.self) ?? []
    guard sizes.count == 2, target.allSatisfy({ $0 > 0 }) else {
      throw failure(call, "the size that it pools is not known")
    }
    if sizes == target { return try emit("Identity", call, [input]) }
    guard zip(sizes, target).allSatisfy({ $0.isMultiple(of: $1) }) else {
      throw failure(call, "\(sizes) is no multiple of \(target)")
    }
    let kernel = ONNXAttribute.integers(zip(sizes, target).map { $0 / $1 })
    try emit(windowed, call, [input], ["kernel_shape": kernel, "strides": kernel])
  }

  private mutating func reduction(_ call: ATenCall, _ operation: String) throws {
    try emit(
      operation, call, [try value(call, "self")],
      [
        "axes": .integers(call.integers("dim") ?? []),
        "keepdims": .integer(call.flag("keepdim") ? 1 : 0),
      ])
  }

  /// One number for both directions, or two.
  private func pair(_ numbers: [Int]?, _ standard: Int) -> [Int] {
    guard let numbers, let first = numbers.first else { return [standard, standard] }
    return numbers.count == 1 ? [first, first] : numbers
  }
}
