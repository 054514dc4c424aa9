// SPDX-License-Identifier: Apache-2.0

import ThawCheckpoints
import ThawNetwork
import ThawTensors

/// Operations on sequences that compute nothing, and the sequence's beginning.
extension ONNXImporter {
  /// `view` with other extents: -1 and what depends on the batch otherwise is left over, 0 is as before.
  func reshaped(_ view: SequenceView, _ target: [Extent]) -> SequenceView? {
    func extents(zero: (Int) -> Int?) -> [Int?] {
      target.enumerated().map { index, extent in
        switch extent {
        case .batch: fixedBatch == 1 ? 1 : nil
        case .size(0): zero(index)
        case .size(let size) where index == 0 && size == fixedBatch && size != 1: nil
        case .size(let size): size
        }
      }
    }
    let copied = extents {
      view.axes.indices.contains($0) ? SequenceView.extent(view.axes[$0]) : -1
    }
    if copied.count(where: { $0 == -1 }) <= 1, let result = view.reshaped(copied) { return result }
    let free = extents { _ in -1 }
    guard free.count(where: { $0 == -1 }) <= 1 else { return nil }
    return view.reshaped(free)
  }

  func extents(of view: SequenceView) -> [Extent] {
    view.axes.map { SequenceView.extent($0).map(Extent.size) ?? .batch }
  }

  mutating func sequenceShape(_ node: ONNXNode) throws {
    var list = extents(of: try sequence(node))
    let end = node.integer("end").map { $0 < 0 ? $0 + list.count : $0 } ?? list.count
    let start = node.integer("start").map { $0 < 0 ? $0 + list.count : $0 } ?? 0
    guard (0...list.count).contains(start), (start...list.count).contains(end) else {
      throw failure(node, "dimensions \(start) to \(end) of \(list.count)")
    }
    list = Array(list[start..<end])
    set(node, .extents(list))
  }

  mutating func rearrange(_ node: ONNXNode) throws {
    let view = try sequence(node)
    let rank = view.axes.count
    let result: SequenceView?
    switch node.operation {
    case "Reshape":
      guard
        let target = node.inputs.count > 1
          ? extentsValue(node.inputs[1]) : node.integers("shape")?.map(Extent.size)
      else { throw failure(node, "the new shape is not a constant") }
      result = reshaped(view, target)
    case "Flatten":
      let axis = node.integer("axis") ?? 1
      result =
        axis == 1 || axis == 1 - rank ? reshaped(view, [.batch, .size(-1)]) : nil
    case "Transpose":
      result = view.permuted(node.integers("perm") ?? Array((0..<rank).reversed()))
    case "Squeeze":
      let axes = try integers(node, 1, attribute: "axes") ?? []
      let places = Set(axes.map { $0 < 0 ? $0 + rank : $0 })
      guard places.allSatisfy({ view.axes.indices.contains($0) && view.axes[$0].isEmpty }) else {
        throw failure(node, "axes \(axes.prefix(9)) are not of one element")
      }
      var squeezed = view
      squeezed.axes = view.axes.enumerated().filter { !places.contains($0.offset) }.map(\.element)
      result = squeezed
    default:
      let axes = try integers(node, 1, attribute: "axes") ?? []
      var widened = view
      for axis in axes.map({ $0 < 0 ? $0 + rank + axes.count : $0 }).sorted() {
        guard axes.count <= 4, (0...widened.axes.count).contains(axis) else {
          throw failure(node, "axis \(axis) does not exist")
        }
        widened.axes.insert([], at: axis)
      }
      result = widened
    }
    guard let result else {
      throw failure(node, "\(printed(extents(of: view))) cannot be rearranged so here")
    }
    try setRows(node, try rowsMaterialized(result, node))
  }

  /// One token of each photo as a layer of its own.
  private mutating func rowsMaterialized(
    _ view: SequenceView, _ node: ONNXNode
  ) throws -> SequenceView {
    let isRow = view.axes.count == 2 && view.axes[0] == batchFactors && view.tokenCount == 1
    return isRow && view.channelCount == shape(of: view).channels
      ? try materialized(view, node) : view
  }

  // MARK: Parts

  mutating func pickTokens(_ node: ONNXNode) throws {
    let view = try sequence(node)
    guard view.rotary == nil else {
      throw failure(node, "of turned queries and keys no part is picked here")
    }
    func place(_ axis: Int) throws -> Int {
      let place = axis < 0 ? axis + view.axes.count : axis
      guard view.axes.indices.contains(place) else {
        throw failure(node, "axis \(axis) does not exist")
      }
      return place
    }
    func part(_ axis: Int, _ steps: Range<Int>) throws -> SequenceView {
      guard let result = view.sliced(axis, steps) else {
        throw failure(
          node,
          "steps \(steps.lowerBound) to \(steps.upperBound) of axis \(axis) of"
            + " \(printed(extents(of: view))) do not lie side by side in the network")
      }
      return result
    }
    switch node.operation {
    case "Gather":
      let axis = try place(node.integer("axis") ?? 0)
      let (index, isScalar) = try gatherIndex(node)
      let extent = SequenceView.extent(view.axes[axis]) ?? 0
      let step = index < 0 ? index + extent : index
      guard (0..<max(extent, 1)).contains(step) else {
        throw failure(node, "step \(index) of \(extent) does not exist")
      }
      var result = try part(axis, step..<step + 1)
      if isScalar { result.axes.remove(at: axis) }
      try setRows(node, try rowsMaterialized(result, node))
    case "Slice": try sliceTokens(node, view)
    default:
      let axis = try place(node.integer("axis") ?? 0)
      let extent = SequenceView.extent(view.axes[axis]) ?? 0
      let count = node.outputs.count
      let parts =
        try integers(node, 1, attribute: "split")
        ?? [Int](repeating: extent / max(count, 1), count: count)
      guard parts.count == count, parts.allSatisfy({ $0 > 0 && $0 <= extent }),
        parts.reduce(0, +) == extent
      else {
        throw failure(node, "\(extent) steps are not split into \(parts.prefix(9))")
      }
      var start = 0
      for (name, size) in zip(node.outputs, parts) {
        setSequence(name, try part(axis, start..<start + size))
        start += size
      }
    }
  }

  private func gatherIndex(_ node: ONNXNode) throws -> (index: Int, isScalar: Bool) {
    guard node.inputs.count == 2 else { throw failure(node, "a constant index is expected") }
    if case .constant(let tensor)? = values[node.inputs[1]], tensor.shape.count == 1 {
      return (try integers(tensor, node)[0], tensor.shape.rank == 0)
    }
    guard let list = extentsValue(node.inputs[1]), list.count == 1, case .size(let index) = list[0]
    else { throw failure(node, "a constant index is expected") }
    return (index, true)
  }

  private mutating func sliceTokens(_ node: ONNXNode, _ view: SequenceView) throws {
    let starts = try integers(node, 1, attribute: "starts") ?? []
    let ends = try integers(node, 2, attribute: "ends") ?? []
    let axes = try integers(node, 3, attribute: "axes") ?? Array(starts.indices)
    let steps = try integers(node, 4, attribute: "steps") ?? starts.map { _ in 1 }
    guard starts.count == ends.count, axes.count == starts.count,
      steps == starts.map({ _ in 1 })
    else { throw failure(node, "constant bounds and steps of 1 are expected") }
    var result = view
    for (index, axis) in axes.enumerated() {
      let place = axis < 0 ? axis + view.axes.count : axis
      guard view.axes.indices.contains(place) else {
        throw failure(node, "axis \(axis) does not exist")
      }
      guard let extent = SequenceView.extent(view.axes[place]) else {
        guard starts[index] == 0, ends[index] >= 1 << 30 else {
          throw failure(node, "some photos of a batch are not picked here")
        }
        continue
      }
      let start = min(max(starts[index] < 0 ? starts[index] + extent : starts[index], 0), extent)
      let end = min(max(ends[index] < 0 ? ends[index] + extent : ends[index], 0), extent)
      guard start < end, let part = result.sliced(place, start..<end) else {
        throw failure(node, "steps \(start) to \(end) do not lie side by side in the network")
      }
      result = part
    }
    let picksTokens =
      result.firstChannel == 0 && result.channelCount == shape(of: result).channels
      && result.axes.joined().count(where: { $0.axis == .token }) <= 1
    setSequence(node, picksTokens ? try materialized(result, node) : result)
  }

  // MARK: The beginning

  /// Tokens before the patches.
  mutating func joinTokens(_ node: ONNXNode) throws {
    let axis = node.integer("axis") ?? 0
    guard let last = node.inputs.last, axis == 1 || axis == -2 else {
      throw failure(node, "tokens are joined along the second of three dimensions here")
    }
    var patches: Patches
    switch values[last] {
    case .patches(let known)?: patches = known
    case .view(let view)?: patches = Patches(view: view)
    default: throw failure(node, "the patches are expected last, and constant tokens before them")
    }
    try check(patches, node)
    let channels = shape(of: patches.view).channels
    var before: [Float] = []
    for name in node.inputs.dropLast() {
      guard case .constant(let tensor)? = values[name], tensor.shape.rank == 3,
        tensor.shape[0] == 1, tensor.shape[2] == channels
      else {
        throw failure(
          node, "before the patches tokens of the file are expected, [1, n, \(channels)] each")
      }
      before += try numbers(tensor).elements
    }
    guard patches.positioned == 0 || before.isEmpty else {
      throw failure(
        node, "tokens are put before others that have their positions already; not known here")
    }
    patches.before = before + patches.before
    set(node, .patches(patches))
  }

  private func check(_ patches: Patches, _ node: ONNXNode) throws {
    let view = patches.view
    let (tokens, channels) = shape(of: view)
    guard
      view.axes == [batchFactors, SequenceView.tokens(tokens), SequenceView.channels(channels)],
      view.firstChannel == 0, view.firstToken == 0, view.scale == 1
    else { throw failure(node, "rows of an image's patches are expected") }
  }

  /// Adds positions to patches, when that is what the node does.
  mutating func addPositions(
    _ node: ONNXNode, _ value: Value, _ tensor: StoredTensor
  ) throws -> Bool {
    var patches: Patches
    switch value {
    case .patches(let known): patches = known
    case .view(let view): patches = Patches(view: view)
    default: return false
    }
    let (tokens, channels) = shape(of: patches.view)
    let isRows = tensor.shape.rank >= 2 && tensor.shape[tensor.shape.rank - 1] == channels
    guard node.operation == "Add", isRows, tensor.shape.count > channels,
      case .convolution(let layer) = draft[patches.view.layer].operation, !layer.storesMatrix
    else {
      if case .patches = value { throw failure(node, "positions of the patches are expected") }
      return false
    }
    try check(patches, node)
    guard patches.positions == nil else { throw failure(node, "patches have positions already") }
    let prefix = patches.before.count / channels
    let rows = tensor.shape.count / channels
    let side = Int(Double(rows - prefix).squareRoot().rounded())
    guard rows == prefix + tokens || side > 0 && rows == prefix + side * side else {
      throw failure(node, "\(rows) positions do not fit \(prefix) tokens and \(tokens) patches")
    }
    patches.positions = try numbers(tensor).elements
    patches.positioned = prefix
    set(node, .patches(patches))
    return true
  }

  /// The sequence that was put together.
  mutating func finished(_ patches: Patches, _ node: ONNXNode) throws -> SequenceView {
    let channels = shape(of: patches.view).channels
    let prefix = patches.before.count / channels
    // Those of DINOv3 turn queries and keys, further on.
    let positions = patches.positions ?? []
    let hasPositions = patches.positions != nil
    let image = draft[patches.view.layer].shape
    let count =
      hasPositions ? positions.count / channels - patches.positioned : image[2] * image[3]
    let side = Int(Double(count).squareRoot().rounded())
    let grid =
      count == image[2] * image[3] ? Extent2D(height: image[2], width: image[3]) : Extent2D(side)
    let layer = TokenSequence(
      channels: channels, grid: grid, hasClassToken: prefix > 0, registers: max(prefix - 1, 0),
      positioned: patches.positioned, resampling: .antialiased, hasPositions: hasPositions)
    var tensors: [String: Tensor<Float>] = [:]
    if hasPositions {
      tensors["pos_embed"] = Tensor(positions, shape: [1, positions.count / channels, channels])
    }
    if prefix > 0 {
      tensors["cls_token"] = Tensor(patches.before[..<channels], shape: [1, 1, channels])
    }
    if prefix > 1 {
      tensors["reg_token"] = Tensor(
        patches.before[channels...], shape: [1, prefix - 1, channels])
    }
    let index = try draft.add("tokens", .tokens(layer), [patches.view.layer], tensors)
    return SequenceView(
      layer: index,
      [
        batchFactors, SequenceView.tokens(draft[index].shape[3]), SequenceView.channels(channels),
      ])
  }
}
