// SPDX-License-Identifier: Apache-2.0

import ThawCheckpoints
import ThawNetwork
import ThawTensors

extension ONNXImporter {
  // MARK: Values that pass through

  mutating func constantNode(_ node: ONNXNode) throws {
    switch node.attributes["value"] {
    case .tensor(let tensor)?: return set(node, .constant(tensor.renamed(node.outputs.first ?? "")))
    case .texts(let texts)?: return set(node, .texts(texts))
    default: break
    }
    if let number = node.integer("value_int") { return set(node, .extents([.size(number)])) }
    if let list = node.integers("value_ints"), list.count <= 64 {
      return set(node, .extents(list.map(Extent.size)))
    }
    let name = node.outputs.first ?? ""
    if let number = node.float("value_float") {
      return set(node, .constant(StoredTensor(name, Tensor([number], shape: []))))
    }
    if let text = node.text("value_string") { return set(node, .texts([text])) }
    if case .texts(let list)? = node.attributes["value_strings"] { return set(node, .texts(list)) }
    if case .floats(let list)? = node.attributes["value_floats"] {
      return set(node, .constant(StoredTensor(name, Tensor(list, shape: [list.count]))))
    }
    throw failure(node, "a constant of a kind that is not known here")
  }

  mutating func identity(_ node: ONNXNode) throws {
    guard let name = node.inputs.first, let value = values[name] else {
      throw failure(node, "it has no input")
    }
    set(node, value)
  }

  /// Numbers of another type. An image stays what it is among floating-point numbers; integers cut off
  /// what is behind the point, unless it was integers already.
  mutating func cast(_ node: ONNXNode) throws {
    guard let name = node.inputs.first, let value = values[name] else {
      throw failure(node, "it has no input")
    }
    let target = try castTarget(node)
    switch value {
    case .image(var image):
      guard target.isFloatingPoint || image.isInteger && ElementType.wide.contains(target) else {
        throw failure(
          node,
          "it makes \(target.rawValue) of an image's numbers, which rounds them; that is not known here"
        )
      }
      image.isInteger = !target.isFloatingPoint
      set(node, .image(image))
    case .probabilities where !target.isFloatingPoint:
      throw failure(node, "it makes \(target.rawValue) of probabilities, which rounds them")
    case .constant(let tensor) where !target.isFloatingPoint && tensor.elementType.isFloatingPoint:
      let numbers = try numbers(tensor).elements
      guard numbers.allSatisfy({ $0 == $0.rounded(.towardZero) }) else {
        throw failure(node, "it rounds a constant")
      }
      set(node, value)
    default: set(node, value)
    }
  }

  func castTarget(_ node: ONNXNode) throws -> ElementType {
    if node.operation == "CastLike" {
      guard node.inputs.count == 2, case .constant(let tensor)? = values[node.inputs[1]] else {
        return .float32
      }
      return tensor.elementType
    }
    guard let code = node.integer("to"), let type = ElementType(onnxCode: code) else {
      // Texts, which labels may become.
      if case .labels? = node.inputs.first.flatMap({ values[$0] }) { return .int64 }
      throw failure(node, "the type it makes is not known here")
    }
    return type
  }

  /// A constant of one number repeated; an image only when that changes nothing.
  mutating func expand(_ node: ONNXNode) throws {
    guard node.inputs.count == 2, let target = extentsValue(node.inputs[1]) else {
      throw failure(node, "the new shape is not a constant")
    }
    switch values[node.inputs[0]] {
    case .constant(let tensor)? where tensor.shape.count == 1:
      var extents: [Int] = []
      for case .size(let size) in target { extents.append(size) }
      guard extents.count == target.count, let shape = Shape(checking: extents),
        shape.count <= 1 << 20
      else { throw failure(node, "the new shape is no list of small numbers") }
      let number = try numbers(tensor)[0]
      let name = node.outputs.first ?? ""
      set(
        node,
        .constant(
          StoredTensor(
            name, Tensor([Float](repeating: number, count: shape.count), shape: shape))))
    case .constant(let tensor)?:
      // Along the batch, where numbers are the same for every photo.
      let old =
        [Int](repeating: 1, count: max(target.count - tensor.shape.rank, 0)) + tensor.shape.extents
      let changesNothing =
        target.count == old.count
        && target.indices.allSatisfy { place in
          switch target[place] {
          case .batch: place == 0 && old[0] == 1
          case .size(let size):
            [1, -1, old[place]].contains(size) || place == 0 && size == fixedBatch
          }
        }
      guard changesNothing else {
        throw failure(
          node, "a constant of \(tensor.shape) is not repeated to \(printed(target)) here")
      }
      try identity(node)
    case .image(let image)?:
      let old = onnxExtents(of: image)
      let changesNothing =
        target.count == old.count && zip(target, old).allSatisfy { $0 == .size(1) || $0 == $1 }
      guard changesNothing else { throw failure(node, "an image is not repeated here") }
      try identity(node)
    default: try identity(node)
    }
  }

  // MARK: Extents

  /// The extents that a value stands for; nil when it is no short list of integers.
  func extentsValue(_ name: String) -> [Extent]? {
    switch values[name] {
    case .extents(let list)?: list
    case .constant(let tensor)? where tensor.shape.count <= 64 && tensor.shape.rank <= 1:
      (try? tensor.smallIntegers())?.map(Extent.size)
    default: nil
    }
  }

  /// All inputs joined, when all are extents.
  func extentsOfAll(_ node: ONNXNode) -> [Extent]? {
    var result: [Extent] = []
    for name in node.inputs {
      guard let list = extentsValue(name), result.count + list.count <= 64 else { return nil }
      result += list
    }
    return result
  }

  /// `Shape` of an image, and `Gather` and `Slice` of extents.
  mutating func extents(_ node: ONNXNode) throws {
    if node.operation == "Shape" {
      var list: [Extent]
      if let name = node.inputs.first, case .constant(let tensor)? = values[name] {
        list = tensor.shape.extents.map(Extent.size)
      } else {
        list = onnxExtents(of: try image(node))
      }
      let end = node.integer("end").map { $0 < 0 ? $0 + list.count : $0 } ?? list.count
      let start = node.integer("start").map { $0 < 0 ? $0 + list.count : $0 } ?? 0
      guard (0...list.count).contains(start), (start...list.count).contains(end) else {
        throw failure(node, "dimensions \(start) to \(end) of \(list.count)")
      }
      list = Array(list[start..<end])
      return set(node, .extents(list))
    }
    guard let name = node.inputs.first, let list = extentsValue(name) else {
      return try part(node)
    }
    if node.operation == "Gather" {
      guard node.inputs.count == 2, let indices = extentsValue(node.inputs[1]) else {
        throw failure(node, "constant indices are expected")
      }
      return set(node, .extents(try indices.map { try pick($0, of: list, node) }))
    }
    func bound(_ index: Int, _ attribute: String) throws -> Int {
      guard let number = try integers(node, index, attribute: attribute), number.count == 1 else {
        throw failure(node, "constant bounds are expected")
      }
      let absolute = number[0] < 0 ? number[0] + list.count : number[0]
      return min(max(absolute, 0), list.count)
    }
    let (start, end) = (try bound(1, "starts"), try bound(2, "ends"))
    guard try integers(node, 4, attribute: "steps") ?? [1] == [1] else {
      throw failure(node, "a step other than 1 is not known here")
    }
    set(node, .extents(Array(list[start..<max(start, end)])))
  }

  private func pick(_ index: Extent, of list: [Extent], _ node: ONNXNode) throws -> Extent {
    guard case .size(let number) = index,
      list.indices.contains(number < 0 ? number + list.count : number)
    else { throw failure(node, "an index lies outside the \(list.count) dimensions") }
    return list[number < 0 ? number + list.count : number]
  }

  /// The shape of an image as the file sees it.
  func onnxExtents(of image: Image) -> [Extent] {
    let shape = draft[image.layer].shape
    switch image.layout {
    case .channelsOutermost:
      return [.size(shape[1]), .batch, .size(shape[2]), .size(shape[3])]
    case .channelsLast:
      return [.batch, .size(shape[2]), .size(shape[3]), .size(shape[1])]
    default: return [.batch] + shape.extents.dropFirst().map(Extent.size)
    }
  }
}

extension ElementType {
  /// Integers that hold every sample of a photo.
  fileprivate static let wide: Set<ElementType> = [
    .uint8, .uint16, .int16, .int32, .int64, .uint32, .uint64,
  ]
}
