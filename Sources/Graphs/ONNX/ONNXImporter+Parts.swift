// SPDX-License-Identifier: Apache-2.0

import ThawCheckpoints
import ThawNetwork
import ThawTensors

extension ONNXImporter {
  /// An error about a node.
  func failure(_ node: ONNXNode, _ reason: String) -> GraphError {
    .notImportable(file: file.displayed, reason: "\(node.displayed): \(reason)")
  }

  /// Name of the layer that `node` becomes: that of its weight without the last part, or its own.
  func layerName(_ node: ONNXNode, weight: String? = nil) -> String {
    for leaf in [".weight", ".query"] {
      guard let weight, weight.hasSuffix(leaf), weight.count > leaf.count else { continue }
      return Self.sanitized(weight.dropLast(leaf.count).drop { String($0) == Self.turned })
    }
    // PyTorch's exporter writes /layer1/layer1.0/conv1/Conv.
    let parts = node.name.split(separator: "/")
    let own =
      parts.count > 1 && parts.last.map(String.init) == node.operation
      ? parts.dropLast() : parts[...]
    let name = Self.sanitized(own.joined(separator: "."))
    return name.isEmpty ? node.operation.lowercased() + "_\(draft.layers.count)" : name
  }

  /// What stands before the name of a constant that was turned.
  static let turned = "\u{0}"

  private static func sanitized(_ name: some StringProtocol) -> String {
    String(
      name.unicodeScalars.prefix(200).map { scalar in
        scalar.isASCII
          && (scalar.properties.isAlphabetic || ("0"..."9").contains(scalar)
            || ["_", ".", "-"].contains(scalar))
          ? Character(scalar) : "_"
      }
    ).trimmingPrefixDots
  }

  /// The image that is input `index` of `node`.
  func image(_ node: ONNXNode, _ index: Int = 0, paddingAllowed: Bool = false) throws -> Image {
    guard index < node.inputs.count, case .image(let image)? = values[node.inputs[index]] else {
      if index < node.inputs.count, case .probabilities? = values[node.inputs[index]] {
        throw failure(node, "it goes on from a softmax, which can only be the last layer here")
      }
      throw failure(node, "its input \(index + 1) is not computed from the image")
    }
    guard paddingAllowed || image.padding == nil else {
      throw failure(node, "padding can go into a convolution or a pooling only")
    }
    return image
  }

  /// The constant that is input `index` of `node`, nil when that is left out.
  func constant(_ node: ONNXNode, _ index: Int) throws -> StoredTensor? {
    guard index < node.inputs.count, !node.inputs[index].isEmpty else { return nil }
    switch values[node.inputs[index]] {
    case .constant(let tensor)?: return tensor
    // Some exporters write the bounds of an activation as whole numbers.
    case .extents(let list)?:
      var numbers: [Float] = []
      for case .size(let size) in list { numbers.append(Float(size)) }
      guard numbers.count == list.count else { break }
      return StoredTensor(node.inputs[index], Tensor(numbers, shape: [numbers.count]))
    default: break
    }
    throw failure(node, "its input \(index + 1) is not a constant")
  }

  /// The numbers of a constant; read once.
  mutating func numbers(_ tensor: StoredTensor) throws -> Tensor<Float> {
    if let known = floats[tensor.name], known.shape == tensor.shape { return known }
    // Exporters leave a 255 an integer where the arithmetic is of floating-point numbers.
    if tensor.shape.count <= 4096, let integers = try tensor.smallIntegers() {
      return Tensor(integers.map { Float($0) }, shape: tensor.shape)
    }
    guard tensor.elementType.isFloat else {
      throw GraphError.notImportable(
        file: file.displayed,
        reason: "tensor '\(Printable(tensor.name))' is of type \(tensor.elementType.rawValue),"
          + " floating-point numbers are expected")
    }
    let result = try tensor.floats()
    if !tensor.name.isEmpty { floats[tensor.name] = result }
    return result
  }

  /// Small integers of input `index`, or of the attribute of older operation sets.
  func integers(_ node: ONNXNode, _ index: Int, attribute: String) throws -> [Int]? {
    if index < node.inputs.count, let list = extentsValue(node.inputs[index]) {
      return try list.map { extent in
        guard case .size(let number) = extent else {
          throw failure(node, "its input \(index + 1) depends on the batch")
        }
        return number
      }
    }
    if let tensor = try constant(node, index) { return try integers(tensor, node) }
    return node.integers(attribute)
  }

  func integers(_ tensor: StoredTensor, _ node: ONNXNode) throws -> [Int] {
    guard tensor.shape.count <= 64, let numbers = try tensor.smallIntegers() else {
      throw failure(node, "a short list of integers is expected")
    }
    return numbers
  }

  /// Sets the value of the node's first result.
  mutating func set(_ node: ONNXNode, _ value: Value) {
    guard let name = node.outputs.first else { return }
    values[name] = value
    if case .image(let image) = value { names[image.layer, default: []].append(name) }
    if case .view(let view) = value { names[view.layer, default: []].append(name) }
  }

  /// Adds a layer that keeps the order of the dimensions.
  mutating func set(
    _ node: ONNXNode, _ operation: Operation, _ inputs: [Image],
    _ tensors: [String: Tensor<Float>] = [:], weight: String? = nil
  ) throws {
    let layer = try draft.add(
      layerName(node, weight: weight), operation, inputs.map(\.layer), tensors)
    set(node, .image(Image(layer: layer, layout: inputs[0].layout)))
  }
}

extension String {
  fileprivate var trimmingPrefixDots: String {
    var rest = Substring(self)
    while rest.first == "." { rest = rest.dropFirst() }
    while rest.last == "." { rest = rest.dropLast() }
    return String(rest)
  }
}

extension ElementType {
  fileprivate var isFloat: Bool {
    switch self {
    case .float64, .float32, .float16, .bfloat16: true
    default: false
    }
  }
}

extension StoredTensor {
  /// The elements as integers; nil unless they are 32- or 64-bit integers.
  func smallIntegers() throws -> [Int]? {
    guard elementType == .int64 || elementType == .int32 else { return nil }
    return try withBytes { bytes in
      (0..<shape.count).map { index in
        elementType == .int64
          ? Int(bytes.loadUnaligned(fromByteOffset: 8 * index, as: Int64.self))
          : Int(bytes.loadUnaligned(fromByteOffset: 4 * index, as: Int32.self))
      }
    }
  }
}
