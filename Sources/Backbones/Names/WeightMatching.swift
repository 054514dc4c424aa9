// SPDX-License-Identifier: Apache-2.0

import ThawCheckpoints
import ThawNetwork
import ThawTensors

/// Finds the tensor of every parameter under one naming scheme; see ``WeightFit``.
struct WeightMatching {
  let architecture: Architecture
  let scheme: NamingScheme
  private(set) var head: Head?
  private(set) var found: [ParameterPath: StoredTensor] = [:]
  private(set) var constants: [ParameterPath: (shape: Shape, value: Float)] = [:]
  private(set) var missing: [String] = []
  private(set) var unexpected: [String] = []
  /// Tensors beside the network that nothing needs.
  private(set) var ignored: [String] = []
  /// Layers where the classifier should be that are none.
  private(set) var otherHead: [String] = []
  private(set) var unfitting: [String] = []
  /// Whether the file's one output became two.
  private(set) var splitsOutput = false
  private(set) var notes: [String] = []
  private(set) var neededCount = 0
  /// Scales and shifts of batch norms that are constants here, for the file has none at all.
  private(set) var filledNorms = 0

  private let graph: Graph
  private let checkpoint: Checkpoint
  private let part: NetworkPart
  /// Whether the weights were trained without labels.
  private let isUnlabelled: Bool
  /// What stands before the names of the network's tensors.
  var prefix: String { part.prefix }
  /// First components of the stored names that belong to the network.
  private var ownTops: Set<Substring> = []
  private var kerasModel: KerasModel?
  /// Tensors outside of the part that are the classifier's.
  private var outsideUsed: Set<String> = []
  /// Parameters before the head, with their nodes.
  private var needed: [ParameterPath: (node: Node, parameter: ParameterDescription)] = [:]
  /// Tensors that are not in the backbone, perhaps the classifier's.
  private var rest: [StoredTensor] = []
  /// What lies between the features and the logits.
  private var surroundings = HeadSurroundings()

  /// - Parameters:
  ///   - part: the tensors that are set against the network.
  ///   - graph: of the architecture with some head.
  init(
    _ checkpoint: Checkpoint, _ part: NetworkPart, _ architecture: Architecture, _ graph: Graph,
    _ scheme: NamingScheme
  ) {
    self.checkpoint = checkpoint
    self.part = part
    isUnlabelled = TrainingTraces.areUnlabelled(
      part.outside.map(\.name) + part.tensors.map { part.prefix + $0.name })
    self.architecture = architecture
    self.scheme = scheme
    self.graph = graph
    let backbone = graph.nodes.filter { $0.group < graph.groups.count - 1 }
    for node in backbone {
      for parameter in node.parameters { needed[parameter.path] = (node, parameter) }
    }
    for tensor in part.tensors {
      guard let path = scheme.translate(tensor.name) else {
        if scheme.listsOmissions { ignore(part.prefix + tensor.name) }
        continue
      }
      place(tensor, at: path)
    }
    kerasModel = checkpoint.kerasModel
    if kerasModel?.poolsByMaximum == true {
      unfitting.append("the model's global pooling takes the maximum, the network's the mean")
    }
    if let remark = architecture.remark { notes.append(remark) }
    matchHead()
    fillNormalization(backbone)
    let order = backbone.flatMap(\.parameters).map(\.path)
    missing += order.filter { found[$0] == nil && constants[$0] == nil }.map(\.description)
    neededCount += order.count
    sortRest()
  }

  /// Of what is left, strangers beside the network are ignored by name: a loss, a queue, statistics of
  /// a training. What lies inside the network or would be another classifier is not.
  private mutating func sortRest() {
    guard !scheme.isChannelsLast else {
      unexpected += rest.map(\.name)
      return
    }
    let features = headInputs
    for tensor in rest {
      let isInside = ownTops.contains(WeightMatching.top(tensor.name))
      let isClassifier =
        tensor.shape.rank == 2 && tensor.shape[1] == features && !otherHead.contains(tensor.name)
        && !isUnlabelled && !WeightMatching.isStranger(tensor.name)
      if isInside || isClassifier || surroundings.holds(tensor) {
        unexpected.append(part.prefix + tensor.name)
      } else if !otherHead.contains(tensor.name) {
        ignore(part.prefix + tensor.name)
      }
    }
    for tensor in part.outside where !outsideUsed.contains(tensor.name) {
      let isClassifier =
        tensor.shape.rank == 2 && tensor.shape[1] == features && !isUnlabelled
        && WeightMatching.isHeadName(beside(tensor.name))
      let isBetween = surroundings.holds(tensor.renamed(beside(tensor.name)))
      if isClassifier || isBetween {
        unexpected.append(tensor.name)
      } else {
        ignore(tensor.name)
      }
    }
  }

  /// Under the name that the file has.
  private mutating func ignore(_ name: String) {
    let stored = PooledAttention.place(of: name, in: checkpoint)?.tensor.name ?? name
    if ignored.last != stored { ignored.append(stored) }
  }

  private static func top(_ name: String) -> Substring { name.prefix { $0 != "." } }

  /// The name of a tensor outside of the part, without the wrapper that both lie in: of
  /// `module.classifier.weight` beside `module.vit.` the last two components.
  private func beside(_ name: String) -> String {
    var outer = part.prefix.dropLast()
    while let dot = outer.lastIndex(of: ".") {
      let wrapper = outer[...dot]
      if name.hasPrefix(wrapper) { return String(name.dropFirst(wrapper.count)) }
      outer = outer[..<dot]
    }
    return name
  }

  /// Features that the last layer reads.
  private var headInputs: Int {
    if case .dense(let last) = graph.output.operation { last.inputs } else { 0 }
  }

  private mutating func place(_ tensor: StoredTensor, at path: ParameterPath) {
    guard let (node, parameter) = needed[path] else { return rest.append(tensor) }
    guard tensor.elementType.isFloatingPoint else {
      unfitting.append("\(tensor.name) is of type \(tensor.elementType.rawValue)")
      return
    }
    guard let fitted = fitted(tensor, to: parameter, of: node) else {
      unfitting.append(
        "\(tensor.name) is \(tensor.shape), the layer '\(node.path)' expects \(parameter.shape)")
      return
    }
    ownTops.insert(WeightMatching.top(tensor.name))
    if let other = found.updateValue(fitted, forKey: path) {
      unfitting.append("\(tensor.name) and \(other.name) both stand for \(path)")
    }
  }

  // MARK: Layouts

  /// The tensor in the parameter's shape and order; nil when that cannot be.
  private func fitted(
    _ tensor: StoredTensor, to parameter: ParameterDescription, of node: Node
  ) -> StoredTensor? {
    let ordered = scheme.isChannelsLast ? channelsFirst(tensor, for: node) : tensor
    if ordered.shape == parameter.shape { return ordered }
    // A 1x1 kernel is a matrix, and a scale may have axes of one element.
    let isSame =
      ordered.shape.extents.filter { $0 != 1 } == parameter.shape.extents.filter { $0 != 1 }
    let isUnrolled =
      ordered.shape.count == parameter.shape.count && parameter.shape.rank == 2
      && ordered.shape.rank == 4 && ordered.shape[0] == parameter.shape[0]
    return isSame || isUnrolled ? ordered.reshaped(parameter.shape) : nil
  }

  /// Keras's order of axes turned into PyTorch's.
  private func channelsFirst(_ tensor: StoredTensor, for node: Node) -> StoredTensor {
    switch (tensor.shape.rank, node.operation) {
    case (4, .convolution(let layer)) where layer.groups > 1:
      if layer.groups == tensor.shape[2] {  // depthwise: height, width, channels, multiplier
        let turned = tensor.permuted([2, 3, 0, 1])
        return turned.reshaped([
          turned.shape[0] * turned.shape[1], 1, turned.shape[2], turned.shape[3],
        ])
      }
      return tensor.permuted([3, 2, 0, 1])
    case (4, _): return tensor.permuted([3, 2, 0, 1])
    case (2, .dense(let layer)):
      guard let grid = grid(before: node), tensor.shape == [layer.inputs, layer.outputs] else {
        return tensor.permuted([1, 0])
      }
      // Keras flattens rows, columns, channels; we flatten channels, rows, columns.
      let unrolled = tensor.reshaped([grid.side, grid.side, grid.channels, layer.outputs])
      return unrolled.permuted([3, 2, 0, 1]).reshaped([layer.outputs, layer.inputs])
    case (2, _): return tensor.permuted([1, 0])
    default: return tensor
    }
  }

  /// The grid that a dense layer reads flattened; nil behind a global pooling or another dense layer.
  private func grid(before node: Node) -> (side: Int, channels: Int)? {
    guard case .dense(let layer) = node.operation else { return nil }
    var current = graph[node.inputs[0]]
    while true {
      switch current.operation {
      case .flatten, .dropout, .activation, .pooling, .adaptiveAveragePooling, .batchNormalization:
        current = graph[current.inputs[0]]
      case .convolution(let convolution):
        let area = layer.inputs / convolution.outputs
        let side = Int(Double(area).squareRoot().rounded())
        return side > 1 && side * side * convolution.outputs == layer.inputs
          ? (side, convolution.outputs) : nil
      default: return nil
      }
    }
  }

  // MARK: What is left out

  /// Batch norms without gamma or beta, as Keras's `scale=False` and `center=False` make them, are some with
  /// 1 or 0, and so are those of PyTorch's `affine=False`, which keeps neither.
  ///
  /// A network is built so throughout. Where some batch norms have what another lacks, the file is not
  /// whole: what is not there is missing.
  private mutating func fillNormalization(_ backbone: [Node]) {
    var absent: [(parameter: ParameterDescription, value: Float)] = []
    var present: Set<ParameterRole> = []
    for node in backbone {
      guard case .batchNormalization = node.operation else { continue }
      for parameter in node.parameters where [.normScale, .normShift].contains(parameter.role) {
        if found[parameter.path] != nil {
          present.insert(parameter.role)
        } else if found[node.path.appending("running_mean")] != nil {
          absent.append((parameter, parameter.role == .normScale ? 1 : 0))
        }
      }
    }
    let isWhole = scheme.isChannelsLast || present.isEmpty
    let filled = absent.filter { isWhole && !present.contains($0.parameter.role) }
    for (parameter, value) in filled { constants[parameter.path] = (parameter.shape, value) }
    guard !filled.isEmpty else { return }
    filledNorms = filled.count
    let kinds = [(ParameterRole.normScale, "scale", "1"), (.normShift, "shift", "0")].filter {
      kind in
      filled.contains { $0.parameter.role == kind.0 }
    }
    notes.append(
      "no batch norm in the file has a \(kinds.map(\.1).joined(separator: " or a "))"
        + " (\(filled.count) tensors): \(kinds.map(\.2).joined(separator: " and ")) in their place,"
        + " as where they were left out on purpose")
  }

  // MARK: The classifier

  /// One dense layer of the classifier, in our order of axes.
  private struct DenseLayer {
    let name: String
    let weight: StoredTensor
    let bias: StoredTensor?
    var inputs: Int { weight.shape[1] }
    var outputs: Int { weight.shape[0] }
  }

  /// Takes one dense layer, or two with a hidden layer between, as the classifier, whatever they
  /// are called: fine-tuned networks have heads of their own.
  private mutating func matchHead() {
    guard case .dense(let last) = graph.output.operation else { return }
    if !scheme.isChannelsLast, isUnlabelled {
      otherHead = rest.filter { isInHead($0.name) }.map(\.name)
      notes.append(
        "the file is of a training without labels, so nothing in it is taken for a classifier")
      return
    }
    var layers = denseLayers(rest)
    if layers.isEmpty, !scheme.isChannelsLast {
      // A backbone in an attribute, the classifier beside it.
      layers = denseLayers(part.outside.filter { WeightMatching.isHeadName(beside($0.name)) })
    }
    let chosen: [DenseLayer]
    if let only = layers.first, layers.count == 1, only.inputs == last.inputs {
      chosen = layers
      head = Head(classes: only.outputs)
    } else if layers.count == 2, let first = layers.first(where: { $0.inputs == last.inputs }),
      let second = layers.first(where: { $0.name != first.name && $0.inputs == first.outputs })
    {
      chosen = [first, second]
      head = Head(classes: second.outputs, hidden: first.outputs)
      noteActivation(behind: first.name)
    } else {
      if !scheme.isChannelsLast { setAsideOtherHead(layers) }
      return
    }
    splitSingleOutput()
    guard let head else { return }
    let isOutside = chosen.contains { layer in
      part.outside.contains { $0.name == layer.weight.name }
    }
    surroundings = HeadSurroundings(
      layers: chosen.map { isOutside ? beside($0.name) : $0.name }, isBesidePart: isOutside,
      widths: Set([last.inputs] + chosen.dropLast().map(\.outputs)))
    let own = architecture.graph(head)
    let nodes = own.nodes.filter { node in
      if case .dense = node.operation { node.group == own.groups.count - 1 } else { false }
    }
    for (node, layer) in zip(nodes, chosen) {
      let isSplit = layer.outputs == 1 && layer.name == chosen.last?.name
      let bias = node.path.appending("bias")
      found[node.path.appending("weight")] =
        isSplit ? WeightMatching.behindZeros(layer.weight) : layer.weight
      neededCount += 2
      if let stored = layer.bias {
        found[bias] = isSplit ? WeightMatching.behindZeros(stored) : stored
      } else {
        constants[bias] = ([isSplit ? 2 : layer.outputs], 0)
        notes.append(
          "'\(layer.weight.name)' has no bias beside it: 0 in its place, as where it was left out on"
            + " purpose")
      }
      let used = [layer.weight.name, layer.bias?.name]
      rest.removeAll { used.contains($0.name) }
      outsideUsed.formUnion(used.compactMap(\.self))
    }
  }

  /// Several layers where one or two are known: not a classifier that can be computed, but nothing of
  /// the network either.
  private mutating func setAsideOtherHead(_ layers: [DenseLayer]) {
    let names = rest.filter { isInHead($0.name) }.map(\.name)
    guard layers.count != 1 || layers[0].inputs != headInputs, !names.isEmpty else { return }
    // Two layers that both read the features are two classifiers, and which one is wanted is unknown.
    guard layers.count(where: { $0.inputs == headInputs }) <= 1 else { return }
    otherHead = names
  }

  /// Whether a tensor lies below the name of the network's last layer.
  private func isInHead(_ name: String) -> Bool {
    let head = WeightMatching.top(graph.output.path.description)
    let top = WeightMatching.top(name)
    return !ownTops.contains(top) && (top == head || WeightMatching.isHeadName(name))
  }

  /// Names of what a training keeps beside its network.
  static func isStranger(_ name: String) -> Bool {
    let first = top(name).lowercased()
    return [
      "criterion", "loss", "metric", "acc", "center", "queue", "memory", "proto", "auroc", "pooler",
    ]
    .contains { first.contains($0) }
  }

  /// Names that people give to a classifier.
  private static func isHeadName(_ name: String) -> Bool {
    let first = top(name).lowercased()
    return ["head", "classifier", "fc", "linear", "cls", "logits", "last_linear", "output"]
      .contains { first.contains($0) }
  }

  /// Between the two layers of a head we have a ReLU; a Keras model may say what it has.
  private mutating func noteActivation(behind layer: String) {
    let name = layer.split(separator: "/").last.map(String.init) ?? layer
    let activation = kerasModel?.denseActivations[name]
    if let activation, activation != "relu", activation != "linear" {
      unfitting.append("\(name) is followed by \(activation), a head's hidden layer by a ReLU")
    } else if activation != "relu" {
      notes.append("a ReLU is assumed between the two layers of the classifier")
    }
  }

  /// One output with a sigmoid is two classes: the softmax of 0 and x is 1 - sigmoid(x) and sigmoid(x).
  private mutating func splitSingleOutput() {
    guard let single = head, single.classes == 1 else { return }
    splitsOutput = true
    head = Head(classes: 2, hidden: single.hidden)
    notes.append(
      "the one output is taken for a sigmoid's, the probability of the second of two classes")
  }

  /// `tensor` with as many zeros before it.
  private static func behindZeros(_ tensor: StoredTensor) -> StoredTensor {
    var extents = tensor.shape.extents
    extents[0] = 2 * extents[0]
    return StoredTensor(tensor.name, .float32, Shape(extents)) { (body) throws(CheckpointError) in
      let values = try tensor.floats().elements
      let all = [Float](repeating: 0, count: values.count) + values
      all.withUnsafeBytes { body($0, 0) }
    }
  }

  /// The dense layers among `tensors`.
  private func denseLayers(_ tensors: [StoredTensor]) -> [DenseLayer] {
    var layers: [DenseLayer] = []
    for tensor in tensors
    where tensor.elementType.isFloatingPoint && !WeightMatching.isStranger(tensor.name) {
      let isMatrix = tensor.shape.rank == 2
      let isPoint = tensor.shape.rank == 4 && tensor.shape[2] == 1 && tensor.shape[3] == 1
      // SqueezeNet's classifier is a convolution behind which more follows.
      let isConvolution = isPoint && architecture.name.hasPrefix("squeezenet")
      guard isMatrix || isPoint && !scheme.isChannelsLast && !isConvolution else { continue }
      let weight =
        isMatrix
        ? (scheme.isChannelsLast ? headMatrix(tensor) : tensor)
        : tensor.reshaped([tensor.shape[0], tensor.shape[1]])
      let separator: Character = tensor.name.contains("/") ? "/" : "."
      guard let end = tensor.name.lastIndex(of: separator) else { continue }
      let layer = String(tensor.name[...end])
      let bias = tensors.first {
        $0.name == layer + "bias" && $0.shape == [weight.shape[0]]
          && $0.elementType.isFloatingPoint
      }
      guard ["weight", "kernel"].contains(tensor.name[tensor.name.index(after: end)...]) else {
        continue
      }
      layers.append(DenseLayer(name: layer, weight: weight, bias: bias))
    }
    return layers
  }

  /// A classifier that reads the flattened grid itself has its inputs in Keras's order.
  private func headMatrix(_ tensor: StoredTensor) -> StoredTensor {
    guard let grid = grid(before: graph.output), case .dense(let last) = graph.output.operation,
      tensor.shape[0] == last.inputs
    else { return tensor.permuted([1, 0]) }
    let outputs = tensor.shape[1]
    let unrolled = tensor.reshaped([grid.side, grid.side, grid.channels, outputs])
    return unrolled.permuted([3, 2, 0, 1]).reshaped([outputs, last.inputs])
  }
}
