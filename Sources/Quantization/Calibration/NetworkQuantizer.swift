// SPDX-License-Identifier: Apache-2.0

package import ThawExecution
package import ThawNetwork
package import ThawOneDNN
package import ThawTensors

/// Brings a trained network to bytes: folds batch norm, measures what lies between its layers on photos,
/// rounds weights channel by channel, and puts into each bias what the rounding shifts on average.
package struct NetworkQuantizer {
  /// The network without batch norms that follow a convolution, in Float32.
  package let graph: Graph
  /// Its parameters, in Float32.
  package let parameters: Parameters
  /// Of every node's result, for one photo.
  package let shapes: [Shape]
  /// In the order of computation: how the bytes of each result were found.
  package private(set) var choices: [NodeID: ScaleChoice] = [:]
  private let means: [NodeID: [Double]]
  private let size: Extent2D
  private let engine: OneDNNEngine

  /// Measures the network on photos.
  ///
  /// - Parameters:
  ///   - size: of the input image.
  ///   - photos: prepared, [n, C, H, W]; a quarter of them judges what the others fit.
  ///   - check: called now and then; throws to stop.
  /// - Throws: ``NetworkError``, ``ExecutionError``.
  package init(
    _ network: Graph, _ parameters: Parameters, size: Extent2D, photos: Tensor<Float>,
    engine: OneDNNEngine, check: () throws -> Void = {}
  ) throws {
    var graph = network.folded
    graph.precision = .float32
    graph.quantization = nil
    self.graph = graph
    let (input, channels) = (graph.nodes[0].id, graph.inputChannels)
    self.parameters = try parameters.folded(network).restricted(to: graph)
    self.size = size
    self.engine = engine
    shapes = try graph.shapes(batch: 1, size: size)
    let selection = ByteSelection(graph, shapes: shapes, keeping: [])
    let count = photos.shape[0]
    let judges = max(count / 4, min(count, 1))
    let (fitting, judging) = (
      ValueSamples(graph, shapes: shapes), ValueSamples(graph, shapes: shapes)
    )
    for (samples, range) in [(fitting, judges..<count), (judging, 0..<judges)] {
      var observing = engine
      observing.observer = LayerObserver { samples.see($0, $1) }
      let plan = try observing.compileInference(
        graph, operations: graph.fusedOperations, from: graph.nodes[0].id,
        parameters: self.parameters, microBatch: 1, size: size)
      var logits = [Float](repeating: 0, count: plan.outputStride)
      for photo in range {
        try check()
        try photos.withUnsafeElements { pixels in
          let own = UnsafeBufferPointer(
            rebasing: pixels[photo * plan.inputStride..<(photo + 1) * plan.inputStride])
          NetworkQuantizer.channelsLast(own, channels: channels)
            .withUnsafeBufferPointer { samples.see(input, $0) }
          try logits.withUnsafeMutableBufferPointer { try plan.run(own, into: $0) }
        }
      }
    }
    var means: [NodeID: [Double]] = [:]
    for node in selection.results {
      guard let fit = fitting.values(of: node) ?? judging.values(of: node) else { continue }
      means[node] = fit.channelMeans
      choices[node] = ScaleChoice(
        fitting: fit.samples, judging: judging.values(of: node)?.samples ?? fit.samples,
        low: fit.low, high: fit.high)
    }
    self.means = means
  }

  /// [pixels, channels] of an image [1, C, H, W].
  private static func channelsLast(
    _ image: UnsafeBufferPointer<Float>, channels: Int
  ) -> [Float] {
    let pixels = image.count / channels
    return (0..<image.count).map { image[$0 % channels * pixels + $0 / channels] }
  }

  /// The layers with weights that can be bytes, in order of computation.
  package var layers: [FusedOperation] {
    ByteSelection(graph, shapes: shapes, keeping: []).layers.filter { fused in
      fused.operands.allSatisfy { choices[$0] != nil }
    }
  }

  /// The network on bytes but for the layers in `floats`, with the parameters that it then has.
  ///
  /// Weights are whole multiples of their channel's step, so that a file may keep the multiples.
  package func quantized(
    keeping floats: Set<ParameterPath>
  ) throws -> (graph: Graph, parameters: Parameters) {
    let usable = Set(layers.map(\.lead.path))
    let all = Set(graph.fusedOperations.filter(\.isWeighted).map(\.lead.path))
    let selection = ByteSelection(
      graph, shapes: shapes, keeping: floats.union(all.subtracting(usable)))
    var bytes = Quantization()
    for node in selection.results {
      let origin = selection.origins[node] ?? node
      guard let choice = choices[origin] ?? choices[node] else { continue }
      bytes.activations[graph[node].path] = choice.scale
    }
    var parameters = parameters
    for fused in selection.layers {
      guard let input = bytes.activations[graph[fused.inputs[0]].path] else { continue }
      let path = fused.lead.path
      let weights = try parameters.tensor(path.appending("weight"))
      let biasPath = path.appending("bias")
      let rounded = RoundedWeights(
        weights, bias: parameters[biasPath], input: input,
        inputMeans: means[fused.inputs[0]] ?? [], groups: fused.groups)
      bytes.weights[path] = rounded.steps
      parameters[path.appending("weight")] = rounded.weights
      if let bias = rounded.bias { parameters[biasPath] = bias }
    }
    var graph = graph
    graph.precision = .int8
    graph.quantization = bytes
    return (graph, parameters)
  }

  /// The logits of photos by one of its forms, [n, classes].
  package func logits(
    _ network: (graph: Graph, parameters: Parameters), _ photos: Tensor<Float>
  ) throws -> Tensor<Float> {
    let plan = try engine.compileInference(
      network.graph, operations: network.graph.fusedOperations, from: network.graph.nodes[0].id,
      parameters: network.parameters, microBatch: 1, size: size)
    return try plan.run(photos)
  }
}

extension FusedOperation {
  /// Channel groups of its weights.
  fileprivate var groups: Int {
    if case .convolution(let layer) = lead.operation { layer.groups } else { 1 }
  }
}

/// Weights as whole multiples of a step, one step a channel.
struct RoundedWeights {
  let weights: Tensor<Float>
  let steps: [Float]
  /// The bias with the mean shift that the rounding makes put back; nil where there is none.
  let bias: Tensor<Float>?

  /// - Parameters:
  ///   - weights: [outputs, inputs / groups, …].
  ///   - inputMeans: of each input channel; empty where they are not known.
  /// - Source: Nagel et al. 2019, arXiv:1906.04721, section 4.2 (bias correction).
  init(
    _ weights: Tensor<Float>, bias: Tensor<Float>?, input: ByteScale, inputMeans: [Double],
    groups: Int
  ) {
    let outputs = weights.shape[0]
    let width = weights.count / max(outputs, 1)
    var rounded = weights.elements
    var steps = [Float](repeating: 0, count: outputs)
    var corrected = bias?.elements
    // Features in the order of `flatten` have several numbers a channel.
    let inputs = weights.shape.rank > 1 ? weights.shape[1] : 1
    let taps = max(width / max(inputs, 1), 1)
    let perGroup = max(outputs / groups, 1)
    for channel in 0..<outputs {
      let range = channel * width..<(channel + 1) * width
      let own = Array(rounded[range])
      let step = RoundedWeights.step(own, bias: bias?[channel] ?? 0, input: input)
      steps[channel] = step
      var shift = 0.0
      for index in 0..<width {
        let value = RoundedWeights.rounded(own[index], step)
        rounded[range.lowerBound + index] = value
        let input = channel / perGroup * inputs + index / taps
        guard inputMeans.indices.contains(input) else { continue }
        shift += Double(own[index] - value) * inputMeans[input]
      }
      if let old = corrected?[channel] { corrected?[channel] = Float(Double(old) + shift) }
    }
    self.weights = Tensor(rounded, shape: weights.shape)
    self.steps = steps
    self.bias = corrected.map { Tensor($0, shape: [outputs]) }
  }

  private static func rounded(_ value: Float, _ step: Float) -> Float {
    guard step > 0 else { return 0 }
    return min(max((value / step).rounded(.toNearestOrEven), -127), 127) * step
  }

  /// The step with the smallest squared error among the one that reaches the largest weight and smaller
  /// ones; large enough for the bias to be a 30-bit number of its products.
  private static func step(_ weights: [Float], bias: Float, input: ByteScale) -> Float {
    let largest = weights.map(abs).max() ?? 0
    let least = abs(bias) / input.scale / 0x1p28
    guard largest > 0 else { return least }
    var best: (error: Double, step: Float) = (.infinity, largest / 127)
    for share in stride(from: Float(1), to: 0.75, by: -0.05) {
      let step = max(largest / 127 * share, least)
      let error = weights.reduce(0.0) { sum, value in
        let difference = Double(rounded(value, step) - value)
        return sum + difference * difference
      }
      if error < best.error { best = (error, step) }
    }
    return best.step
  }
}

/// A network that has no form on bytes.
package struct ByteFormError: Error, CustomStringConvertible, Equatable {
  /// The first of its layers without one.
  package let layer: ParameterPath
  /// What it does.
  package let operation: String

  /// Where, what, next step.
  package var description: String {
    "layer '\(layer)': \(operation) has no form in eight bits here, so the network cannot be quantized."
      + " Convolutional networks with batch norm can (thaw pretrained list); bfloat16 halves the work of any."
  }
}

extension NetworkQuantizer {
  /// - Throws: ``ByteFormError`` for a network with layers whose numbers bytes cannot hold: layer norms and
  ///   attention look at a whole pixel or sequence at once.
  package static func requireByteForm(_ graph: Graph) throws(ByteFormError) {
    for node in graph.nodes {
      let operation: String? =
        switch node.operation {
        case .layerNormalization: "layer normalisation"
        case .responseNormalization: "response normalisation"
        case .tokens, .selectTokens: "a sequence of tokens"
        case .attention, .attentionPooling: "attention"
        case .multiply: "a product of two images"
        default: nil
        }
      if let operation { throw ByteFormError(layer: node.path, operation: operation) }
    }
  }
}
