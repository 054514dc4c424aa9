// SPDX-License-Identifier: Apache-2.0

import ThawCheckpoints
import ThawNetwork
import ThawTensors

/// Views by strides (PyTorch's `as_strided`), which its newer exporter writes as a reshape to one row of
/// numbers and a choice among them by their places: of all in their order, where nothing but the shape changes.
///
/// Places are a constant where the batch is fixed; otherwise they are computed, the number of the photo times
/// the numbers of each plus a constant.
extension ONNXImporter {
  /// Places in a row of all numbers of all photos, the photos being the first dimension.
  struct Places {
    /// From one photo to the next.
    var stride: Int
    /// Of each photo, from its first number.
    var offsets: [Int]
    /// Dimensions behind the first.
    var extents: [Int]
  }

  /// Takes note of the row of all numbers that `node` makes of an image; false when it makes something else.
  mutating func layOut(_ node: ONNXNode, _ input: Image, _ target: [Extent]) -> Bool {
    let total = fixedBatch.map { $0 * numbersOfPhoto(input) }
    guard target == [.size(-1)] || target.count == 1 && target[0] == total.map(Extent.size),
      input.padding == nil
    else { return false }
    set(node, .row(input))
    return true
  }

  private func numbersOfPhoto(_ image: Image) -> Int {
    draft[image.layer].shape.extents.dropFirst().reduce(1, *)
  }

  /// Translates a node that works on such a row, or on places in one; false when it does not.
  mutating func translateRow(_ node: ONNXNode) throws -> Bool {
    if node.operation == "Range" {
      try countPhotos(node)
      return true
    }
    if let (places, other) = placesBeside(node) {
      guard node.operation != "Identity" else { return false }
      guard let next = try changed(places, node, other) else {
        throw failure(node, "the number of a photo is known here on its way to a place alone")
      }
      set(node, .places(next))
      return true
    }
    guard let name = node.inputs.first, case .row(let image)? = values[name],
      node.operation != "Identity"
    else { return false }
    switch node.operation {
    case "Reshape":
      guard let target = node.inputs.count > 1 ? extentsValue(node.inputs[1]) : nil else {
        throw failure(node, "the new shape is not a constant")
      }
      try reshape(node, image, target)
    case "Gather": try gather(node, image)
    default:
      throw failure(
        node, "an image's numbers as one row are known here on their way to another shape alone")
    }
    return true
  }

  /// The numbers of the photos, from 0 on.
  private mutating func countPhotos(_ node: ONNXNode) throws {
    guard node.inputs.count == 3, extentsValue(node.inputs[0]) == [.size(0)],
      extentsValue(node.inputs[1]) == [.batch], extentsValue(node.inputs[2]) == [.size(1)]
    else { throw failure(node, "of ranges that of the photos' numbers alone is known here") }
    set(node, .places(Places(stride: 1, offsets: [0], extents: [])))
  }

  /// The places among the inputs of a node that changes them, and the other input.
  private func placesBeside(_ node: ONNXNode) -> (Places, String?)? {
    guard node.operation != "Gather" else { return nil }
    for (index, name) in node.inputs.enumerated() {
      guard case .places(let places)? = values[name] else { continue }
      return (places, node.inputs.count == 2 ? node.inputs[1 - index] : nil)
    }
    return nil
  }

  /// What arithmetic makes of places; nil for what makes none of them.
  private mutating func changed(
    _ places: Places, _ node: ONNXNode, _ other: String?
  ) throws -> Places? {
    var result = places
    switch node.operation {
    case "Cast": break
    case "Unsqueeze":
      // Dimensions behind the photos.
      guard let axes = try integers(node, 1, attribute: "axes"), places.extents.isEmpty,
        axes == Array(1..<axes.count + 1), axes.count <= 4
      else { return nil }
      result.extents = axes.map { _ in 1 }
    case "Mul":
      guard let numbers = try wholes(other), numbers.values.count == 1 else { return nil }
      let factor = numbers.values[0]
      guard let stride = product(places.stride, factor), places.offsets == [0] else { return nil }
      result.stride = stride
    case "Add":
      guard let numbers = try wholes(other),
        numbers.values.count == 1 || numbers.shape.first == 1 && places.offsets.count == 1
      else { return nil }
      if numbers.values.count == 1 {
        result.offsets = places.offsets.map { $0 &+ numbers.values[0] }
      } else {
        guard numbers.shape.count == places.extents.count + 1 else { return nil }
        result.offsets = numbers.values.map { $0 &+ places.offsets[0] }
        result.extents = Array(numbers.shape.dropFirst())
      }
    default: return nil
    }
    return result
  }

  private func product(_ left: Int, _ right: Int) -> Int? {
    let (product, overflow) = left.multipliedReportingOverflow(by: right)
    return overflow ? nil : product
  }

  /// The whole numbers of a constant; nil when it is none.
  private mutating func wholes(_ name: String?) throws -> (values: [Int], shape: [Int])? {
    guard let name else { return nil }
    if case .extents(let list)? = values[name] {
      let numbers = list.compactMap { if case .size(let size) = $0 { size } else { nil } }
      return numbers.count == list.count ? (numbers, [numbers.count]) : nil
    }
    guard case .constant(let tensor)? = values[name], tensor.shape.count <= 1 << 24 else {
      return nil
    }
    // Up to 2^24 a Float holds every whole number.
    let numbers = try tensor.floats().elements.map { Int(exactly: $0) }
    let small = numbers.compactMap(\.self).filter { $0.magnitude <= 1 << 24 }
    return small.count == numbers.count ? (small, tensor.shape.extents) : nil
  }

  /// All numbers in their order, in the shape of the places.
  private mutating func gather(_ node: ONNXNode, _ image: Image) throws {
    let count = numbersOfPhoto(image)
    let strided = failure(
      node, "a view by strides (as_strided) that is not all numbers of an image in their order")
    guard node.integer("axis") ?? 0 == 0, node.inputs.count == 2 else { throw strided }
    if case .places(let places)? = values[node.inputs[1]] {
      guard places.stride == count, places.offsets == Array(0..<count) else { throw strided }
      return try reshape(node, image, [.batch] + places.extents.map(Extent.size))
    }
    guard let fixedBatch, let indices = try wholes(node.inputs[1]),
      indices.values == Array(0..<fixedBatch * count)
    else { throw strided }
    try reshape(node, image, indices.shape.map(Extent.size))
  }
}
