// SPDX-License-Identifier: Apache-2.0

import ThawCheckpoints
import ThawNetwork

extension KerasImporter {
  /// A function that was called where a layer stands: Keras 3 names its class, `TrueDivide`, Keras 2
  /// TensorFlow's function, `math.truediv`.
  mutating func operation(
    _ layer: KerasLayerDescription, _ operands: KerasOperands
  ) throws -> Value {
    let name = (layer["function"]?.text ?? layer.className)
    let function = name.split(separator: ".").last.map(String.init) ?? name
    switch function.lowercased().filter({ $0 != "_" }) {
    case "truedivide", "truediv", "divide", "div", "realdiv":
      return try arithmetic(layer, operands) { $0 / $1 }
    case "multiply", "mul": return try arithmetic(layer, operands) { $0 * $1 }
    case "subtract", "sub": return try arithmetic(layer, operands) { $0 - $1 }
    case "add", "addv2", "biasadd": return try arithmetic(layer, operands) { $0 + $1 }
    case "negative", "neg":
      return try affine(layer, try only(operands, layer), scale: [-1], offset: [0])
    case "getitem": return try item(layer, operands)
    case "flip", "reverse": return try flip(layer, operands)
    case "cast", "converttotensor": return try cast(layer, operands)
    case "identity", "stopgradient", "dropout": return try only(operands, layer)
    case "relu", "relu6", "silu", "swish", "sigmoid", "softmax", "gelu", "hardsigmoid", "hardsilu",
      "hardswish", "logsoftmax":
      return try function1(layer, operands, function.lowercased())
    case "mean", "reducemean": return try mean(layer, operands)
    case "reshape", "flatten": return try flattening(layer, operands)
    case "concatenate", "concat": return try concatenation(layer, operands)
    default:
      throw failure(
        layer,
        "the operation '\(Printable(name))' is not known here. Known are arithmetic with"
          + " numbers, [..., ::-1], relu, relu6, silu, sigmoid, softmax, gelu and the mean over rows"
          + " and columns")
    }
  }

  /// Numbers of another type: floating-point ones stay what they are, integers would round them.
  private func cast(_ layer: KerasLayerDescription, _ operands: KerasOperands) throws -> Value {
    let type =
      operands.constant("dtype", at: 1) ?? operands.constant("x_dtype") ?? layer["dtype"]
    let name = type?.text ?? type?["config"]?["name"]?.text
    guard let name else { return try only(operands, layer) }
    guard name.contains("float") else {
      throw failure(layer, "it makes \(Printable(name)) of numbers, which rounds them")
    }
    return try only(operands, layer)
  }

  private mutating func function1(
    _ layer: KerasLayerDescription, _ operands: KerasOperands, _ name: String
  ) throws -> Value {
    guard
      operands.positional.count + operands.named.count == 1
        || operands.named.keys.allSatisfy({
          ["name", "axis", "approximate", "features"].contains($0)
        })
    else { throw failure(layer, "it has settings that are not known here") }
    // keras.ops.gelu approximates unless told otherwise.
    if name == "gelu" {
      guard case .boolean(false)? = operands.constant("approximate") ?? layer["approximate"] else {
        throw failure(layer, "the approximate GELU is not known here, only approximate=False")
      }
    }
    let axis = operands.constant("axis") ?? layer["axis"]
    guard axis == nil || axis == .integer(-1) else { throw failure(layer, "axis -1 is expected") }
    // Keras names the classes HardSigmoid and LogSoftmax, its functions hard_sigmoid and log_softmax.
    let names = [
      "hardsigmoid": "hard_sigmoid", "hardsilu": "hard_silu", "hardswish": "hard_swish",
      "logsoftmax": "log_softmax",
    ]
    return try activated(
      try image(try only(operands, layer), layer), layer, named: names[name] ?? name)
  }

  /// A value and a number, numbers for the channels, or two values.
  private mutating func arithmetic(
    _ layer: KerasLayerDescription, _ operands: KerasOperands, _ combine: (Double, Double) -> Double
  ) throws -> Value {
    var sides: [KerasOperands.Operand] = operands.positional
    for name in ["x1", "x", "a", "value", "x2", "y", "b", "bias"] {
      if let side = operands.named[name] { sides.append(side) }
    }
    guard sides.count == 2 else {
      throw failure(layer, "it has \(sides.count) operands, expected 2")
    }
    switch (sides[0], sides[1]) {
    case (.value(let value), .constant(let json)):
      let numbers = try numbers(json, layer)
      // Linear in x: f(x) = (f(1) - f(0)) x + f(0).
      let offset = numbers.map { combine(0, $0) }
      let scale = numbers.map { combine(1, $0) - combine(0, $0) }
      return try affine(layer, value, scale: scale, offset: offset)
    case (.constant(let json), .value(let value)):
      let numbers = try numbers(json, layer)
      let offset = numbers.map { combine($0, 0) }
      let scale = numbers.map { combine($0, 1) - combine($0, 0) }
      guard offset.allSatisfy(\.isFinite) else {
        throw failure(layer, "a number divided by an image is not known here")
      }
      return try affine(layer, value, scale: scale, offset: offset)
    case (.value, .value):
      // Told apart by what they make of 5 and 3.
      switch combine(5, 3) {
      case 8: return try sum(layer, operands)
      case 15: return try product(layer, operands)
      default: throw failure(layer, "a difference or a quotient of two images is not known here")
      }
    default: throw failure(layer, "it computes with constants alone")
    }
  }

  private func numbers(
    _ json: JSONValue, _ layer: KerasLayerDescription
  ) throws -> [Double] {
    guard let numbers = json.kerasNumbers, !numbers.isEmpty else {
      throw failure(layer, "its second operand is not in the file")
    }
    guard json.isOfChannels else {
      throw failure(
        layer,
        "its second operand is a list of \(numbers.count) numbers along another dimension than"
          + " the channels, the last one")
    }
    return numbers
  }

  /// x[..., ::-1]: channels in the other order.
  private mutating func item(
    _ layer: KerasLayerDescription, _ operands: KerasOperands
  ) throws -> Value {
    guard let value = operands.values.first,
      let key = operands.constant("key", at: 1) ?? operands.constant("slice_spec"),
      let parts = key.elements, let last = parts.last
    else { throw failure(layer, "what it takes of the image is not said") }
    func slice(_ part: JSONValue) -> (start: JSONValue?, stop: JSONValue?, step: JSONValue?)? {
      let fields = part["step"] == nil ? part["config"] : part
      guard let fields, fields["step"] != nil else { return nil }
      return (fields["start"], fields["stop"], fields["step"])
    }
    func isFree(_ value: JSONValue?) -> Bool { value == nil || value == .null }
    let isWhole = parts.dropLast().allSatisfy { part in
      if part.isEllipsis { return true }
      guard let slice = slice(part) else { return false }
      return isFree(slice.start) && isFree(slice.stop)
        && (isFree(slice.step) || slice.step == .integer(1))
    }
    let hasEllipsis = parts.contains { $0.isEllipsis }
    // x[:, ::-1] turns rows: the last part is that of the channels behind three others, or behind "...".
    guard isWhole, hasEllipsis ? parts.count <= 5 : parts.count == 4,
      let reversal = slice(last), isFree(reversal.start), isFree(reversal.stop),
      reversal.step == .integer(-1)
    else {
      throw failure(
        layer, "of an image only the channels in the other order, [..., ::-1], are known here")
    }
    return try reversed(layer, value)
  }

  private mutating func flip(_ layer: KerasLayerDescription, _ operands: KerasOperands) throws
    -> Value
  {
    let axis = operands.constant("axis", at: 1) ?? layer["axis"]
    guard axis?.kerasNumbers == [-1] || axis?.kerasNumbers == [3] else {
      throw failure(layer, "only the channels, axis -1, can be put in the other order")
    }
    return try reversed(layer, try only(operands, layer))
  }

  /// The mean over rows and columns.
  private mutating func mean(_ layer: KerasLayerDescription, _ operands: KerasOperands) throws
    -> Value
  {
    let axes = operands.constant("axis", at: 1) ?? layer["axis"]
    let keeps = operands.constant("keepdims") ?? layer["keepdims"]
    guard let numbers = axes?.kerasNumbers, Set(numbers) == [1, 2] || Set(numbers) == [-3, -2]
    else {
      throw failure(layer, "only the mean over rows and columns, axis (1, 2), is known here")
    }
    let pooled = try add(
      layer, .globalAveragePooling, [try image(try only(operands, layer), layer)])
    if case .boolean(true)? = keeps { return .image(pooled) }
    return .image(try flattened(pooled, layer, "_flatten"))
  }

  private mutating func flattening(
    _ layer: KerasLayerDescription, _ operands: KerasOperands
  ) throws -> Value {
    let row = try flattened(try image(try only(operands, layer), layer), layer)
    guard
      let target =
        (operands.constant("newshape", at: 1) ?? operands.constant("shape")
          ?? layer["newshape"])
          ?? (layer.className == "Flatten" ? .array([.integer(-1), .integer(-1)]) : nil),
      let extents = target.integers, extents.count == 2,
      extents[1] == -1 || extents[1] == shape(row).count
    else { throw failure(layer, "an image can become a row, [batch, features], alone") }
    return .image(row)
  }
}

extension JSONValue {
  /// Whether it is the "..." of x[..., ::-1].
  fileprivate var isEllipsis: Bool {
    self == .string("...") || self["class_name"]?.text?.lowercased().contains("ellipsis") == true
  }
}
