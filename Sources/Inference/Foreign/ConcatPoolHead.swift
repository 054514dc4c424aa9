// SPDX-License-Identifier: Apache-2.0

package import ThawBackbones
package import ThawCheckpoints
package import ThawNetwork
import ThawTensors

/// fastai's classifier behind a backbone: the maximum and the mean of every channel side by side, then
/// batch norms and dense layers in turn, a ReLU behind every dense layer but the last.
///
/// In a file the backbone's tensors are below `0.` and these below `1.`, under their places: 2 and 6 are
/// batch norms, 4 and 8 dense layers, what lies between has no tensors.
///
/// - Source: fastai/vision/learner.py, `create_head`; fastai/layers.py, `AdaptiveConcatPool2d`.
package struct ConcatPoolHead: ForeignHead {
  /// Number of classes.
  package let classes: Int
  /// The names of its tensors in the file.
  package let names: [String]
  package let label = "fastai's classifier"
  private let layers: [Layer]
  private let pools: Pools

  private enum Pools { case mean, maximumAndMean }

  private enum Layer {
    case norm([String: StoredTensor])
    case dense(weight: StoredTensor, bias: StoredTensor?)
  }

  /// Nil when what lies beside `fit`'s backbone is no such classifier.
  package init?(_ checkpoint: Checkpoint, _ fit: WeightFit) {
    guard fit.head == nil, let features = try? fit.graph().pooledChannels,
      let prefix = ConcatPoolHead.prefix(checkpoint, fit.prefix)
    else { return nil }
    var places: [Int: [String: StoredTensor]] = [:]
    var names: [String] = []
    for tensor in checkpoint.tensors where tensor.name.hasPrefix(prefix) {
      let parts = tensor.name.dropFirst(prefix.count).split(separator: ".")
      guard parts.count == 2, let place = Int(parts[0]), parts[1] != "num_batches_tracked" else {
        if NetworkPart.isCounter(tensor.name) { continue }
        return nil
      }
      places[place, default: [:]][String(parts[1])] = tensor
      names.append(tensor.name)
    }
    var layers: [Layer] = []
    var width: Int?
    for place in places.keys.sorted() {
      guard let layer = ConcatPoolHead.layer(places[place] ?? [:], reading: &width) else {
        return nil
      }
      layers.append(layer)
    }
    guard case .dense? = layers.last, let classes = width,
      let first = layers.first.map(ConcatPoolHead.inputs),
      first == features || first == 2 * features
    else { return nil }
    pools = first == features ? .mean : .maximumAndMean
    self.classes = classes
    self.names = names
    self.layers = layers
  }

  /// What stands before the classifier's places: the backbone's place 0 turned into 1.
  private static func prefix(_ checkpoint: Checkpoint, _ backbone: String) -> String? {
    let parts = backbone.split(separator: ".").map(String.init)
    for index in parts.indices.reversed() where parts[index] == "0" {
      let prefix = (parts[..<index] + ["1"]).map { $0 + "." }.joined()
      if checkpoint.tensors.contains(where: { $0.name.hasPrefix(prefix) }) { return prefix }
    }
    return nil
  }

  /// A layer from its tensors, when it reads as many numbers as come from the layer before.
  private static func layer(
    _ tensors: [String: StoredTensor], reading width: inout Int?
  ) -> Layer? {
    guard let weight = tensors["weight"] else { return nil }
    switch weight.shape.rank {
    case 1:
      let parts = ["weight", "bias", "running_mean", "running_var"]
      guard Set(tensors.keys) == Set(parts), width == nil || width == weight.shape[0],
        tensors.values.allSatisfy({ $0.shape == weight.shape && $0.elementType.isFloatingPoint })
      else { return nil }
      width = weight.shape[0]
      return .norm(tensors)
    case 2:
      guard width == nil || width == weight.shape[1], weight.elementType.isFloatingPoint,
        tensors["bias"].map({ $0.shape == [weight.shape[0]] }) ?? true, tensors.count <= 2
      else { return nil }
      width = weight.shape[0]
      return .dense(weight: weight, bias: tensors["bias"])
    default: return nil
    }
  }

  private static func inputs(_ layer: Layer) -> Int {
    switch layer {
    case .norm(let tensors): tensors["weight"]?.shape[0] ?? 0
    case .dense(let weight, _): weight.shape[1]
    }
  }

  /// The backbone with this classifier, and the weights of both.
  ///
  /// - Throws: `CheckpointError` when the file can no longer be read.
  package func network(
    _ fit: WeightFit, _ backbone: Parameters
  ) throws -> (graph: Graph, parameters: Parameters) {
    let (body, groups) = try fit.graph().beforePooling
    var builder = GraphBuilder(continuing: body, groups: groups, name: Architecture.onnxName)
    let images = builder.last
    var parameters = backbone
    builder.beginGroup("head")
    if pools == .maximumAndMean {
      let maximum = builder.add("head.maximum", .globalMaximumPooling, [images])
      let mean = builder.add("head.mean", .globalAveragePooling, [images])
      builder.add("head.both", .concatenate, [maximum, mean])
    } else {
      builder.add("head.mean", .globalAveragePooling, [images])
    }
    var flat = false
    for (index, layer) in layers.enumerated() {
      let path: ParameterPath = "head.\(index)"
      switch layer {
      case .norm(let tensors):
        let channels = ConcatPoolHead.inputs(layer)
        builder.add(path, .batchNormalization(BatchNormalization(channels: channels)))
        for (leaf, tensor) in tensors { parameters[path.appending(leaf)] = try tensor.floats() }
      case .dense(let weight, let bias):
        let isLast = index == layers.count - 1
        let (inputs, outputs) = (weight.shape[1], weight.shape[0])
        if isLast {
          builder.add("head.flatten", .flatten)
          builder.add(
            path, .dense(Dense(inputs: inputs, outputs: outputs, hasBias: bias != nil)))
          flat = true
        } else {
          // On one pixel a 1x1 convolution is a dense layer.
          builder.add(
            path,
            .convolution(
              Convolution2D(
                inputs: inputs, outputs: outputs, window: Window2D(kernel: 1), hasBias: bias != nil)
            ))
          builder.add("\(path).relu", .activation(.relu))
        }
        let floats = try weight.floats()
        parameters[path.appending("weight")] =
          flat ? floats : floats.reshaped([outputs, inputs, 1, 1])
        if let bias { parameters[path.appending("bias")] = try bias.floats() }
      }
    }
    let graph = builder.build()
    return (graph, parameters.restricted(to: graph))
  }
}

extension Graph {
  /// The nodes that make the images which the last global pooling reads, and their groups. DenseNet's
  /// last ReLU is not in its `features`, so in fastai's networks it is missing.
  var beforePooling: (nodes: [Node], groups: [LayerGroup]) {
    var end = nodes.count - 1
    while end > 0 {
      switch nodes[end].operation {
      case .flatten, .globalAveragePooling, .adaptiveAveragePooling, .dropout: end -= 1
      default:
        let isDense = name.hasPrefix("densenet") && nodes[end].operation == .activation(.relu)
        let last = isDense ? end - 1 : end
        return (Array(nodes[...last]), Array(groups[...nodes[last].group]))
      }
    }
    return ([nodes[0]], [groups[0]])
  }

  /// Channels of what the last global pooling reads; nil when no layer before it says.
  fileprivate var pooledChannels: Int? {
    for node in beforePooling.nodes.reversed() {
      switch node.operation {
      case .convolution(let layer): return layer.outputs
      case .batchNormalization(let layer): return layer.channels
      default: continue
      }
    }
    return nil
  }
}
