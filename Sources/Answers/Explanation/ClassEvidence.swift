// SPDX-License-Identifier: Apache-2.0

import ThawConsole
import ThawExecution
package import ThawInference
package import ThawNetwork
import ThawOneDNN
import ThawReference
import ThawTensors

/// Where in a photo a network finds what speaks for a class, from its last layer that still has an image.
///
/// A are that layer's channels, Y the class's logit and G = dY/dA, by the backward pass of the reference
/// engine through the layers behind it:
///
/// - HiResCAM: map(x, y) = sum over channels k of G[k](x, y) A[k](x, y);
/// - Grad-CAM: the same with G[k] averaged over all positions.
///
/// Where nothing but a global mean and a dense layer follow, both are the class activation map, which is exact:
/// its sum and the class's bias are the logit.
///
/// - Source: Zhou et al. 2016, arXiv:1512.04150; Selvaraju et al. 2017, arXiv:1610.02391; Draelos and
///   Carin 2020, arXiv:2011.08891.
package final class ClassEvidence {
  /// Which formula.
  package enum Formula: Sendable { case hiResCAM, gradCAM }

  /// The layer whose channels are looked at.
  package let layer: ParameterPath
  /// Of its result.
  package let height: Int
  package let width: Int
  /// Whether the map's sum and the bias are the logit.
  package let isExact: Bool
  private let channels: Int
  private let features: any InferencePlan
  private let rest: ReferenceTrainingPlan<Float>
  private let classes: Int
  private let activation: OutputActivation

  /// - Throws: ``PipelineError/usage(_:)`` when no layer has an image that one value crosses behind, as in
  ///   transformers; errors of the compiler.
  package init(_ model: StoredModel, source: String, context: StageContext) throws {
    let graph = model.graph
    let size = Extent2D(model.preprocessing.inputSize)
    let shapes = try graph.shapes(batch: 1, size: size)
    guard let place = graph.lastImage(shapes) else {
      throw PipelineError.usage(
        "\(source): the network \(graph.name) has no image left in front of its head that gradients could"
          + " be drawn on, as is usual of transformers. Use --method occlusion, which needs none.")
    }
    guard model.graph.precision != .int8 else {
      throw PipelineError.data(
        "\(source): a network in eight bits has no gradients. Use --method occlusion, which needs none, or the"
          + " model it was made of.")
    }
    let shape = shapes[place.index]
    (channels, height, width) = (shape[1], shape[2], shape[3])
    layer = graph[place].path
    activation = model.record.outputActivation
    classes = activation.outputs(classes: model.record.classNames.count)
    features = try context.compiler.compileInference(
      graph.ending(at: place), parameters: model.parameters, microBatch: 1, size: size)
    let (behind, scale) = graph.scaled(behind: place, channels: channels)
    isExact = behind.nodes[(scale.index + 1)...].allSatisfy(\.keepsMapsExact)
    var parameters = model.parameters
    parameters[behind[scale].path.appending("weight")] = Tensor(
      [Float](repeating: 1, count: channels), shape: [channels, 1, 1])
    let engine = ReferenceEngine<Float>()
    let plan = try engine.compileTraining(
      behind, nodes: Array(behind.nodes[scale.index...]), from: place, parameters: parameters,
      freezing: FreezePlan(trainable: [behind[scale].group]), batch: 1, size: size)
    guard let plan = plan as? ReferenceTrainingPlan<Float> else {
      throw PipelineError.usage("\(source): no backward pass for the network \(graph.name).")
    }
    rest = plan
  }

  /// What one photo's pixels give.
  package struct Map: Sendable {
    /// [height, width], row after row; positive where something speaks for the class.
    package let values: [Float]
    /// Of the network for all classes.
    package let logits: [Float]
  }

  /// The map of a class for one prepared photo.
  ///
  /// - Parameters:
  ///   - pixels: [3, H, W], as the contract prepares them.
  ///   - index: the class; of a network with one output 0 or 1.
  /// - Throws: `ExecutionError`.
  package func map(
    _ pixels: UnsafeBufferPointer<Float>, index: (_ logits: [Float]) -> Int,
    formula: Formula = .hiResCAM
  ) throws -> Map {
    let positions = height * width
    let image = AlignedStorage<Float>(count: channels * positions)
    try features.run(pixels, into: image.elements)
    let output = AlignedStorage<Float>(count: classes)
    try rest.forward(
      UnsafeBufferPointer(image.elements), step: StepIdentity(seed: 0, step: 0),
      into: output.elements)
    let raw = Array(output.elements)
    let logits = activation == .singleSigmoid ? [0, raw[0]] : raw
    let chosen = index(logits)
    var gradient = [Float](repeating: 0, count: classes)
    if activation == .singleSigmoid {
      // The second class has the output for its logit; what speaks for the first speaks against it.
      gradient[0] = chosen == 1 ? 1 : -1
    } else {
      gradient[chosen] = 1
    }
    rest.clearGradients()
    try gradient.withUnsafeBufferPointer { try rest.backward($0) }
    let slopes = rest.firstLayerGradient ?? []
    var values = [Double](repeating: 0, count: positions)
    for channel in 0..<channels {
      let own = slopes[(channel * positions)..<((channel + 1) * positions)]
      let mean = own.reduce(0.0) { $0 + Double($1) } / Double(positions)
      for position in 0..<positions {
        let slope = formula == .gradCAM ? mean : Double(own[own.startIndex + position])
        values[position] += slope * Double(image.elements[channel * positions + position])
      }
    }
    return Map(values: values.map { Float($0) }, logits: logits)
  }
}

extension Node {
  /// Whether a map in front of it keeps adding up to the logit: a mean over positions, and one dense layer.
  fileprivate var keepsMapsExact: Bool {
    switch operation {
    case .globalAveragePooling, .flatten, .dense, .dropout: true
    case .adaptiveAveragePooling(let size): size == Extent2D(1)
    default: false
    }
  }
}

extension Graph {
  /// The last node with more than one pixel behind which nothing before it is used; nil where tokens take
  /// the place of pixels.
  fileprivate func lastImage(_ shapes: [Shape]) -> NodeID? {
    var lastUse = [Int](repeating: 0, count: nodes.count)
    for node in nodes {
      for input in node.inputs { lastUse[input.index] = node.id.index }
    }
    let hasTokens = nodes.contains { if case .tokens = $0.operation { true } else { false } }
    guard !hasTokens else { return nil }
    for node in nodes.reversed() {
      let shape = shapes[node.id.index]
      guard shape.rank == 4, shape[2] * shape[3] > 1, node.id.index > 0 else { continue }
      let isCrossed = nodes[..<node.id.index].contains { lastUse[$0.id.index] > node.id.index }
      if !isCrossed { return node.id }
    }
    return nil
  }

  /// The same network with a scale of each channel behind a node, and without what drops at random behind
  /// it: the scale's result is what a gradient can be read of.
  fileprivate func scaled(behind place: NodeID, channels: Int) -> (graph: Graph, scale: NodeID) {
    var builder = GraphBuilder(
      continuing: Array(nodes[...place.index]), groups: groups, name: name)
    var places = Dictionary(uniqueKeysWithValues: nodes[...place.index].map { ($0.id, $0.id) })
    let scale = builder.add(
      "explained", .channelScale(ChannelScale(channels: channels)), [place])
    places[place] = scale
    for node in nodes[(place.index + 1)...] {
      let inputs = node.inputs.map { places[$0] ?? $0 }
      switch node.operation {
      case .dropout, .stochasticDepth: places[node.id] = inputs[0]
      default: places[node.id] = builder.add(node.path, node.operation, inputs)
      }
    }
    return (builder.build(), scale)
  }
}
