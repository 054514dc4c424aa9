// SPDX-License-Identifier: Apache-2.0

import ThawCheckpoints
import ThawNetwork
import ThawTensors

/// A network while it is translated, from whatever format: layers in order of computation, of which some
/// may turn out to be unused.
struct GraphDraft {
  /// A layer to be.
  struct Layer {
    var path: ParameterPath
    var operation: Operation
    var inputs: [Int]
    var shape: Shape
    /// Arrays by the last component of their path.
    var tensors: [String: Tensor<Float>] = [:]
    /// Arrays that are still in the file, likewise.
    var stored: [String: StoredTensor] = [:]
  }

  /// Numbers that one result may have for one photo.
  private static let elementLimit = 1 << 36

  private(set) var layers: [Layer]
  private var paths: Set<String> = ["input"]
  private var repeats: [String: Int] = [:]
  /// The layer whose result are the logits.
  var output = 0

  init(channels: Int, size: Extent2D) {
    layers = [
      Layer(
        path: "input", operation: .input(channels: channels), inputs: [],
        shape: [1, channels, size.height, size.width])
    ]
  }

  subscript(index: Int) -> Layer {
    get { layers[index] }
    set { layers[index] = newValue }
  }

  /// Adds a layer; `path` gets a number when it is taken.
  mutating func add(
    _ path: String, _ operation: Operation, _ inputs: [Int],
    _ tensors: [String: Tensor<Float>] = [:]
  ) throws -> Int {
    let name = unused(path)
    let shape = try operation.resultShape(of: inputs.map { layers[$0].shape }, at: name)
    var elements = 1
    for extent in shape.extents {
      let (product, overflow) = elements.multipliedReportingOverflow(by: extent)
      guard !overflow, product <= GraphDraft.elementLimit else {
        throw NetworkError.shapeMismatch(
          layer: name, expected: "at most \(GraphDraft.elementLimit) numbers", found: "\(shape)")
      }
      elements = product
    }
    layers.append(
      Layer(path: name, operation: operation, inputs: inputs, shape: shape, tensors: tensors))
    return layers.count - 1
  }

  private mutating func unused(_ path: String) -> ParameterPath {
    var name = path
    while !paths.insert(name).inserted {
      repeats[path, default: 1] += 1
      name = "\(path)_\(repeats[path, default: 1])"
    }
    return ParameterPath(name)
  }

  /// Whether no number of a layer's result is below zero, so that a zero never beats it in a maximum.
  func isNonNegative(_ layer: Int) -> Bool {
    switch layers[layer].operation {
    case .activation(.relu), .activation(.relu6), .activation(.sigmoid), .activation(.hardSigmoid):
      true
    default: false
    }
  }

  /// The layers that a layer's result is computed from, itself among them.
  func ancestors(of layer: Int) -> Set<Int> {
    var found: Set = [layer]
    var waiting = [layer]
    while let next = waiting.popLast() {
      for input in layers[next].inputs where found.insert(input).inserted { waiting.append(input) }
    }
    return found
  }

  /// The layer, or what it was flattened from.
  func unflattened(_ layer: Int) -> Int {
    var layer = layer
    while case .flatten = layers[layer].operation { layer = layers[layer].inputs[0] }
    return layer
  }

  /// Whether a window, at some place where it comes to lie, covers nothing of an image: then there is no
  /// maximum, and no mean without the padding.
  func leavesImage(_ window: Window2D, on layer: Int) -> Bool {
    let image = layers[layer].shape
    guard image.rank == 4,
      let shape = try? Operation.pooling(.maximum, window).resultShape(of: [image], at: "pooling")
    else { return false }
    let insets = window.insets(for: Extent2D(height: image[2], width: image[3]))
    func leaves(
      _ size: Int, _ count: Int, _ padding: Int, _ kernel: Int, _ stride: Int, _ dilation: Int
    ) -> Bool {
      (0..<count).contains { place in
        let start = place * stride - padding
        // The first tap that is not before the image.
        let tap = start >= 0 ? 0 : (dilation - 1 - start) / dilation
        return tap >= kernel || start + tap * dilation >= size
      }
    }
    return leaves(
      image[2], shape[2], insets.top, window.kernel.height, window.stride.height,
      window.dilation.height)
      || leaves(
        image[3], shape[3], insets.left, window.kernel.width, window.stride.width,
        window.dilation.width)
  }

  /// Removes what the output does not depend on. The input stays.
  mutating func prune() {
    var isNeeded = [Bool](repeating: false, count: layers.count)
    isNeeded[0] = true
    isNeeded[output] = true
    for index in layers.indices.reversed() where isNeeded[index] {
      for input in layers[index].inputs { isNeeded[input] = true }
    }
    var positions = [Int](repeating: 0, count: layers.count)
    var kept: [Layer] = []
    for index in layers.indices where isNeeded[index] {
      positions[index] = kept.count
      var layer = layers[index]
      layer.inputs = layer.inputs.map { positions[$0] }
      kept.append(layer)
    }
    output = positions[output]
    layers = Array(kept[...output])
  }

  /// All arrays by path.
  var parameters: Parameters {
    var result = Parameters()
    for layer in layers {
      // What a sequence begins with lies beside its node.
      var path = layer.path
      if case .tokens = layer.operation { path = path.parent }
      for (leaf, tensor) in layer.tensors { result[path.appending(leaf)] = tensor }
    }
    return result
  }

  // MARK: Layer groups

  /// The finished graph, with the groups a file names or those that are derived.
  func graph(named name: String, groups: [LayerGroups.Entry]?) -> Graph {
    let starts = groups.flatMap(named) ?? derivedGroups()
    var builder = GraphBuilder(
      name: name.isEmpty ? "onnx" : name, inputChannels: layers[0].shape[1],
      firstGroup: starts[0].name)
    var next = 1
    var identifiers = [builder.input]
    for (index, layer) in layers.enumerated().dropFirst() {
      if next < starts.count, starts[next].first == index {
        builder.beginGroup(starts[next].name)
        next += 1
      }
      identifiers.append(
        builder.add(layer.path, layer.operation, layer.inputs.map { identifiers[$0] }))
    }
    return builder.build()
  }

  /// The groups of a file, when their names are unique and they begin at layers in this order.
  private func named(_ entries: [LayerGroups.Entry]) -> [(name: String, first: Int)]? {
    guard entries.count > 1, Set(entries.map(\.group)).count == entries.count else { return nil }
    var result: [(name: String, first: Int)] = []
    for entry in entries {
      guard let first = layers.firstIndex(where: { $0.path.description == entry.first }),
        first > (result.last?.first ?? 0)
      else { return nil }
      result.append((entry.group, first))
    }
    return result
  }

  /// Thirds by number of weighted layers at places that one value crosses, and the head.
  private func derivedGroups() -> [(name: String, first: Int)] {
    let head = headStart
    let places = crossings.filter { $0 < head }
    var weighted = 0
    let counts = layers.map { layer -> Int in
      defer { weighted += layer.isWeighted ? 1 : 0 }
      return weighted
    }
    var starts: [Int] = []
    for third in 1...2 {
      let target = counts[head] * third / 3
      let free = places.filter { $0 > (starts.last ?? 1) }
      if let best = free.min(by: { abs(counts[$0] - target) < abs(counts[$1] - target) }) {
        starts.append(best)
      }
    }
    let names = [["early"], ["early", "late"], ["early", "middle", "late"]][starts.count]
    return zip(names, [1] + starts).map { (name: $0, first: $1) }
      + (head > 1 ? [("head", head)] : [])
  }

  /// Where the classifier begins: the last dense layer and a dropout before it, or a last convolution.
  private var headStart: Int {
    for index in layers.indices.dropFirst().reversed() {
      switch layers[index].operation {
      case .dense, .convolution:
        guard let input = layers[index].inputs.first, input == index - 1,
          case .dropout = layers[input].operation
        else { return index }
        return input
      default: continue
      }
    }
    return layers.count - 1
  }

  /// Layers that begin something (a convolution, a pooling) and before which one value alone is kept.
  private var crossings: [Int] {
    var lastUse = [Int](repeating: 0, count: layers.count)
    for (index, layer) in layers.enumerated() {
      for input in layer.inputs { lastUse[input] = index }
    }
    var result: [Int] = []
    var furthest = lastUse[0]
    for index in layers.indices.dropFirst() {
      if furthest <= index, index + 1 < layers.count, layers[index + 1].beginsSomething {
        result.append(index + 1)
      }
      furthest = max(furthest, lastUse[index])
    }
    return result
  }
}

extension GraphDraft.Layer {
  fileprivate var isWeighted: Bool {
    switch operation {
    case .convolution, .dense: true
    default: false
    }
  }

  fileprivate var beginsSomething: Bool {
    switch operation {
    case .convolution, .pooling, .dense, .globalAveragePooling, .globalMaximumPooling: true
    default: false
    }
  }
}
