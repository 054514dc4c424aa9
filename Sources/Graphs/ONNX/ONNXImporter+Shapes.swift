// SPDX-License-Identifier: Apache-2.0

import ThawCheckpoints
import ThawNetwork
import ThawTensors

extension ONNXImporter {
  /// [N, C, H, W] or [N, H, W, C] as [N, F].
  mutating func flattened(_ image: Image, _ name: String) throws -> Image {
    let shape = draft[image.layer].shape
    guard shape.rank == 4 else { return image }
    if case .channelsOutermost = image.layout {
      throw GraphError.notImportable(
        file: file.displayed, reason: "'\(Printable(name))': photos and channels change places")
    }
    let layer = try draft.add(name, .flatten, [image.layer])
    if case .channelsLast = image.layout, shape[2] * shape[3] > 1 {
      return Image(layer: layer, layout: .rowOfChannelsLast(shape))
    }
    return Image(layer: layer, layout: .row)
  }

  mutating func flatten(_ node: ONNXNode) throws {
    let input = try image(node)
    let axis = node.integer("axis") ?? 1
    guard axis == 1 || axis == 1 - onnxExtents(of: input).count else {
      throw failure(node, "axis 1 is expected, found \(axis)")
    }
    set(node, .image(try flattened(input, layerName(node))))
  }

  mutating func reshape(_ node: ONNXNode) throws {
    guard
      let target = node.inputs.count > 1
        ? extentsValue(node.inputs[1]) : node.integers("shape")?.map(Extent.size)
    else { throw failure(node, "the new shape is not a constant") }
    if target.count <= 1, let list = extentsValue(node.inputs[0]) {
      return set(node, .extents(list))
    }
    if case .extents(let list)? = values[node.inputs[0]] { return set(node, .extents(list)) }
    if case .labels? = values[node.inputs[0]] { return try identity(node) }
    if case .constant(let tensor)? = values[node.inputs[0]] {
      return try reshapeConstant(node, tensor, target)
    }
    let input = try image(node)
    if layOut(node, input, target) { return }
    if try makeToken(node, input, target) { return }
    try reshape(node, input, target)
  }

  /// A row of features that becomes a sequence of one token, [N, 1, C] or [1, N, C]; false when it is no such
  /// node.
  private mutating func makeToken(
    _ node: ONNXNode, _ input: Image, _ target: [Extent]
  ) throws -> Bool {
    guard case .row = input.layout, target.count == 3,
      [.size(draft[input.layer].shape[1]), .size(-1)].contains(target[2])
    else { return false }
    func isBatch(_ extent: Extent) -> Bool {
      [.batch, .size(-1), fixedBatch.map(Extent.size)].contains(extent)
    }
    let comesFirst = isBatch(target[0]) && target[1] == .size(1)
    guard comesFirst || target[0] == .size(1) && isBatch(target[1]),
      let layer = try onePixel(input.layer)
    else { return false }
    let channels = SequenceView.channels(draft[layer].shape[1])
    setSequence(
      node,
      SequenceView(
        layer: layer, comesFirst ? [batchFactors, [], channels] : [[], batchFactors, channels]))
    return true
  }

  /// The image of one pixel that a row is of; nil where the row is computed otherwise.
  private mutating func onePixel(_ index: Int) throws -> Int? {
    let layer = draft[index]
    guard let source = layer.inputs.first else { return nil }
    switch layer.operation {
    case .flatten:
      let shape = draft[source].shape
      return shape.rank == 4 && shape[2] * shape[3] == 1 ? source : nil
    case .dense(let dense):
      guard let pixel = try onePixel(source) else { return nil }
      return try draft.add(
        layer.path.description,
        .convolution(
          Convolution2D(
            inputs: dense.inputs, outputs: dense.outputs, window: Window2D(kernel: 1),
            hasBias: dense.hasBias, storesMatrix: true)), [pixel], layer.tensors)
    default: return nil
    }
  }

  /// `input` in other dimensions.
  mutating func reshape(_ node: ONNXNode, _ input: Image, _ target: [Extent]) throws {
    let old = onnxExtents(of: input)
    guard let new = resolved(target, old) else {
      throw failure(node, "\(printed(old)) cannot become \(printed(target))")
    }
    if new == old { return set(node, .image(input)) }
    if new.count == 2 { return set(node, .image(try flattened(input, layerName(node)))) }
    set(node, .image(try unflattened(node, input, new)))
  }

  /// A row that was an image of one pixel becomes that image again.
  private func unflattened(_ node: ONNXNode, _ input: Image, _ new: [Extent]) throws -> Image {
    let layer = draft[input.layer]
    guard case .flatten = layer.operation, let source = layer.inputs.first,
      draft[source].shape[2] * draft[source].shape[3] == 1, new.count == 4
    else { throw failure(node, "a row cannot become \(printed(new)) here") }
    let channels = Extent.size(draft[source].shape[1])
    if new == [.batch, channels, .size(1), .size(1)] {
      return Image(layer: source, layout: .channelsFirst)
    }
    guard new == [.batch, .size(1), .size(1), channels] else {
      throw failure(node, "a row cannot become \(printed(new)) here")
    }
    return Image(layer: source, layout: .channelsLast)
  }

  /// The target of a reshape with 0 (as before) and -1 (what is left) replaced; nil when it is none,
  /// or does not keep the batch apart.
  private func resolved(_ target: [Extent], _ old: [Extent]) -> [Extent]? {
    guard (2...4).contains(target.count) else { return nil }
    var total = 1
    for case .size(let size) in old { total *= size }
    var result: [Extent] = []
    var free: Int?
    for (index, extent) in target.enumerated() {
      switch extent {
      case .size(0):
        guard index < old.count else { return nil }
        result.append(old[index])
      case .size(-1):
        guard free == nil else { return nil }
        free = index
        result.append(.size(-1))
      case .size(let size) where index == 0 && size == fixedBatch: result.append(.batch)
      default: result.append(extent)
      }
    }
    var product = 1
    for case .size(let size) in result where size != -1 {
      let (next, overflow) = product.multipliedReportingOverflow(by: size)
      guard size > 0, !overflow else { return nil }
      product = next
    }
    if free == 0 {
      result[0] = .batch
    } else if let free {
      guard total.isMultiple(of: product) else { return nil }
      result[free] = .size(total / product)
      product = total
    }
    guard product == total, result.first == .batch, result.count(where: { $0 == .batch }) == 1
    else { return nil }
    return result
  }

  private mutating func reshapeConstant(
    _ node: ONNXNode, _ tensor: StoredTensor, _ target: [Extent]
  ) throws {
    // What is the same for every photo has 1 in place of the batch.
    var extents = target.enumerated().map { place, extent in
      guard case .size(let size) = extent else { return 1 }
      let isKept =
        size == 0 && node.integer("allowzero") ?? 0 == 0 && place < tensor.shape.rank
      return isKept ? tensor.shape[place] : size
    }
    // One -1 is what is left.
    if extents.count(where: { $0 == -1 }) == 1, let place = extents.firstIndex(of: -1) {
      let others = extents.reduce(1) {
        $1 == -1 ? $0 : $0.multipliedReportingOverflow(by: $1).partialValue
      }
      if others > 0, tensor.shape.count.isMultiple(of: others) {
        extents[place] = tensor.shape.count / others
      }
    }
    guard let shape = Shape(checking: extents), shape.count == tensor.shape.count
    else { throw failure(node, "a constant of \(tensor.shape) cannot become \(printed(target))") }
    let values = try numbers(tensor)
    // The same numbers: a layer may be called by them.
    let name = tensor.name.isEmpty ? node.outputs.first ?? "" : tensor.name
    set(node, .constant(StoredTensor(name, Tensor(values.elements, shape: shape))))
  }

  func printed(_ extents: [Extent]) -> String {
    let parts = extents.map { extent in
      if case .size(let size) = extent { String(size) } else { "N" }
    }
    return "[" + parts.joined(separator: ", ") + "]"
  }

  /// Takes away, or adds, dimensions of one element.
  mutating func squeeze(_ node: ONNXNode) throws {
    if let name = node.inputs.first, extentsValue(name) != nil { return try identity(node) }
    if let name = node.inputs.first, case .labels? = values[name] { return try identity(node) }
    let input = try image(node)
    let axes = try integers(node, 1, attribute: "axes") ?? []
    let old = onnxExtents(of: input)
    var new = old
    if node.operation == "Squeeze" {
      let places = Set(axes.map { $0 < 0 ? $0 + old.count : $0 })
      guard places.allSatisfy({ old.indices.contains($0) && old[$0] == .size(1) }) else {
        throw failure(node, "axes \(axes.prefix(9)) of \(printed(old)) are not of one element")
      }
      new = old.enumerated().filter { !places.contains($0.offset) }.map(\.element)
    } else {
      let rank = old.count + axes.count
      guard axes.count <= 4 else { throw failure(node, "too many axes") }
      for axis in axes.map({ $0 < 0 ? $0 + rank : $0 }).sorted() {
        guard (0...new.count).contains(axis) else {
          throw failure(node, "axis \(axis) does not exist")
        }
        new.insert(.size(1), at: axis)
      }
    }
    if new == old { return set(node, .image(input)) }
    if new.count == 2 { return set(node, .image(try flattened(input, layerName(node)))) }
    set(node, .image(try unflattened(node, input, new)))
  }

  mutating func transpose(_ node: ONNXNode) throws {
    if let tensor = try? constant(node, 0) { return try transposeConstant(node, tensor) }
    var input = try image(node, paddingAllowed: true)
    let order = node.integers("perm") ?? []
    switch (input.layout, order) {
    case (_, [0, 1, 2, 3]), (_, [0, 1]): break
    case (.channelsFirst, [0, 2, 3, 1]): input.layout = .channelsLast
    case (.channelsLast, [0, 3, 1, 2]): input.layout = .channelsFirst
    case (.channelsFirst, [1, 0, 2, 3]): input.layout = .channelsOutermost
    case (.channelsOutermost, [1, 0, 2, 3]): input.layout = .channelsFirst
    default: throw failure(node, "the order \(order.prefix(9)) is not known here")
    }
    set(node, .image(input))
  }

  /// A weight that exporters turn in the graph when they fold no constants.
  private mutating func transposeConstant(_ node: ONNXNode, _ tensor: StoredTensor) throws {
    let rank = tensor.shape.rank
    let order = node.integers("perm") ?? Array((0..<rank).reversed())
    guard order.sorted() == Array(0..<rank) else {
      throw failure(node, "the order \(order.prefix(9)) does not fit a constant of \(tensor.shape)")
    }
    // A name of its own: a square matrix is not told from the turned one by its shape.
    let name = Self.turned + (tensor.name.isEmpty ? node.outputs.first ?? "" : tensor.name)
    set(node, .constant(tensor.permuted(order).renamed(name)))
  }

  mutating func pad(_ node: ONNXNode) throws {
    var input = try image(node, paddingAllowed: true)
    let pads = try allPads(node)
    guard node.text("mode") ?? "constant" == "constant", pads.count == 8,
      pads.allSatisfy((0...4096).contains)
    else {
      throw failure(node, "a padding of an image by constant, non-negative amounts is expected")
    }
    var value = node.float("value") ?? 0
    if let tensor = try constant(node, 2), tensor.shape.count == 1 {
      value = try tensor.floats()[0]
    }
    guard value == 0 else {
      throw failure(node, "padding with other numbers than zero is not known here")
    }
    let rows: Int
    switch input.layout {
    case .channelsFirst: rows = 2
    case .channelsLast: rows = 1
    default: throw failure(node, "its input is no image")
    }
    let spatial: Set = [rows, rows + 1, rows + 4, rows + 5]
    guard pads.indices.allSatisfy({ spatial.contains($0) || pads[$0] == 0 }) else {
      throw failure(node, "only rows and columns can be padded")
    }
    let old = input.padding ?? EdgeInsets(0)
    let new = EdgeInsets(
      top: old.top + pads[rows], left: old.left + pads[rows + 1],
      bottom: old.bottom + pads[rows + 4], right: old.right + pads[rows + 5])
    input.padding = new == EdgeInsets(0) ? nil : new
    set(node, .image(input))
  }

  /// The amounts for four dimensions, of a node that may name the few it pads.
  private func allPads(_ node: ONNXNode) throws -> [Int] {
    let pads = try integers(node, 1, attribute: "pads") ?? []
    guard node.inputs.count > 3, !node.inputs[3].isEmpty,
      let axes = try integers(node, 3, attribute: "axes")
    else { return pads }
    guard pads.count == 2 * axes.count else { throw failure(node, "it has not two pads an axis") }
    var result = [Int](repeating: 0, count: 8)
    for (index, axis) in axes.enumerated() {
      let place = axis < 0 ? axis + 4 : axis
      guard (0..<4).contains(place) else { throw failure(node, "axis \(axis) does not exist") }
      result[place] = pads[index]
      result[place + 4] = pads[axes.count + index]
    }
    return result
  }
}
