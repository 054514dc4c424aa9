// SPDX-License-Identifier: Apache-2.0

import CThawOneDNN
import ThawExecution
import ThawNetwork
import ThawTensors

/// Instructions bound to values and parameters: what ``TrainingExecutor`` runs.
struct TrainingProgram {
  /// The plan's input and output.
  let input: TrainingValue
  let output: TrainingValue
  /// All values, in order of computation.
  let values: [TrainingValue]
  /// In order of computation.
  let instructions: [any TrainingInstruction]
  /// Images a lane takes through each instruction at once; 0 where an instruction takes the whole batch.
  let passImages: [Int]
  /// Parameters and statistics, in order of computation.
  let parameters: [PlanParameter<Float>]
  /// Of each instruction those that train, as numbers among all that do.
  let trained: [[Int]]
  /// The largest batch.
  let batch: Int
  let lanes: Int

  /// Binds `nodes`, which read the result of `source` and of each other.
  init(
    _ graph: Graph, nodes: [Node], from source: NodeID, parameters: Parameters,
    freezing plan: FreezePlan, batch: Int, size: Extent2D, lanes: Int
  ) throws {
    precondition(batch >= 1, "A plan needs a batch of at least 1, got \(batch).")
    let shapes = try graph.shapes(batch: batch, size: size)
    let fusions = graph.fusedOperations(of: nodes, .training(plan))
    let table = try TrainingProgram.makeValues(
      graph, fusions, nodes: nodes, from: source, plan, shapes)
    var own: [NodeID: [PlanParameter<Float>]] = [:]
    var all: [PlanParameter<Float>] = []
    for node in nodes {
      let list = try node.parameters.map {
        try PlanParameter<Float>(checked: $0, parameters, trains: plan.trains($0, of: node))
      }
      own[node.id] = list
      all += list
    }
    let sizes = TrainingProgram.passImages(fusions, shapes, batch: batch, lanes: lanes)
    let lanes = sizes.allSatisfy { $0 == 0 } ? 1 : lanes
    var instructions: [any TrainingInstruction] = []
    for (index, fusion) in fusions.enumerated() {
      let context = TrainingContext(
        node: fusion.lead, inputs: fusion.inputs.map { table.value($0, graph) },
        output: table.value(fusion.result, graph), parameters: own[fusion.lead.id] ?? [],
        mode: plan.batchNormMode(of: fusion.lead), lanes: lanes, passImages: max(sizes[index], 1),
        angles: graph.rotaryAngles(of: fusion.lead, shapes))
      instructions.append(
        try fusion.makeInstruction(
          context, residual: fusion.residual.map { table.value($0, graph) }, parameters))
    }
    TrainingProgram.routeGradients(instructions)
    self.instructions = instructions
    self.parameters = all
    trained = fusions.map { fusion in
      let own = fusion.nodes.flatMap { own[graph.nodes[$0].id] ?? [] }
      return all.filter { $0.gradient != nil }.enumerated().filter { trained in
        own.contains { $0 === trained.element }
      }.map(\.offset)
    }
    self.batch = batch
    self.lanes = lanes
    passImages = sizes
    values = table.values
    input = table.value(source, graph)
    output = table.value(nodes.last?.id ?? source, graph)
  }

  /// Values by the node whose result they are.
  private struct Table {
    var values: [TrainingValue] = []
    var byNode: [NodeID: TrainingValue] = [:]

    mutating func add(_ node: NodeID, _ shape: Shape) {
      let value = TrainingValue(shape, number: values.count)
      values.append(value)
      byNode[node] = value
    }

    func value(_ node: NodeID, _ graph: Graph) -> TrainingValue {
      guard let value = byNode[node] else {
        preconditionFailure(
          "A layer reads '\(graph[node].path)', which is outside this plan.")
      }
      return value
    }
  }

  /// A value for the source and each instruction, and whether it has a gradient: something at or before it
  /// trains, and the output depends on it.
  private static func makeValues(
    _ graph: Graph, _ fusions: [FusedOperation], nodes: [Node], from source: NodeID,
    _ plan: FreezePlan, _ shapes: [Shape]
  ) throws -> Table {
    var table = Table()
    table.add(source, shapes[source.index])
    var trains: Set<NodeID> = []
    for node in nodes
    where node.parameters.contains(where: { plan.trains($0, of: node) })
      || node.inputs.contains(where: trains.contains)
    {
      trains.insert(node.id)
    }
    trains.remove(source)
    for fusion in fusions { table.add(fusion.result, shapes[fusion.result.index]) }
    var matters: Set<NodeID> = [nodes.last?.id ?? source]
    for fusion in fusions.reversed() where matters.contains(fusion.result) {
      matters.formUnion(fusion.inputs)
      if let residual = fusion.residual { matters.insert(residual) }
    }
    for (node, value) in table.byNode {
      value.hasGradient = trains.contains(node) && matters.contains(node)
    }
    return table
  }

  /// Decides, for every input of every instruction, whether its gradient is written, added or shared.
  private static func routeGradients(_ instructions: [any TrainingInstruction]) {
    var started: Set<ObjectIdentifier> = []
    for instruction in instructions.reversed() where instruction.output.hasGradient {
      var hasShared = false
      for (index, value) in instruction.inputs.enumerated() where value.hasGradient {
        let isFirst = started.insert(ObjectIdentifier(value)).inserted
        instruction.accumulates[index] = !isFirst
        if isFirst && instruction.canShareGradient[index] && !hasShared {
          value.gradientBuffer = instruction.output.gradientBuffer
          instruction.sharesGradient[index] = true
          hasShared = true
        }
      }
    }
  }

  /// How many images a lane takes through each instruction at once, 0 for all images on one thread.
  ///
  /// One image keeps activations in the core's cache. Towards the end of a network the weights are the
  /// larger part: there each reading of them, and each addition to their gradient, has to serve
  /// several images. Dense layers and what follows them take the whole batch for the same reason.
  private static func passImages(
    _ fusions: [FusedOperation], _ shapes: [Shape], batch: Int, lanes: Int
  ) -> [Int] {
    let worksOnImages = fusions.contains { fusion in
      switch fusion.lead.operation {
      case .convolution, .pooling, .globalAveragePooling, .globalMaximumPooling,
        .adaptiveAveragePooling:
        true
      default: false
      }
    }
    guard worksOnImages else { return fusions.map { _ in 0 } }
    let dense = fusions.firstIndex {
      if case .dense = $0.lead.operation { true } else { false }
    }
    var result = fusions.map { _ in 0 }
    var (weights, activations, largest) = (0, 0, 1)
    for index in fusions.indices.prefix(dense ?? fusions.count).reversed() {
      let fusion = fusions[index]
      weights += fusion.lead.parameters.reduce(0) { $0 + $1.shape.count }
      let output = shapes[fusion.result.index].count / batch
      let input = fusion.inputs.map { shapes[$0.index].count / batch }.max() ?? 0
      activations += output
      largest = max(largest, input, output)
      let images = min(
        weights / max(activations, 1), cachedElements / largest, batch / lanes, 8)
      result[index] = images >= 8 ? 8 : images >= 4 ? 4 : images >= 2 ? 2 : 1
    }
    return result
  }

  /// Elements of one activation that a lane's part of the last cache has room for: 4 MB.
  private static let cachedElements = 1 << 20
}

extension FusedOperation {
  /// The instruction that executes the run.
  fileprivate func makeInstruction(
    _ context: TrainingContext, residual: TrainingValue?, _ parameters: Parameters
  ) throws -> any TrainingInstruction {
    switch lead.operation {
    case .input: preconditionFailure("The input node '\(lead.path)' is not executed.")
    case .convolution(let layer):
      let affine = affine.isEmpty ? nil : try FrozenAffine(affine, parameters)
      if DepthwiseInstruction.supports(layer) {
        return DepthwiseInstruction(
          layer, context, affine: affine, residual: residual, rectifier: rectifier)
      }
      return try ConvolutionInstruction(
        layer, context, affine: affine, residual: residual, rectifier: rectifier)
    case .batchNormalization(let layer):
      return NormalizationInstruction(layer, context, residual: residual, rectifier: rectifier)
    case .activation(let function): return ActivationInstruction(function, context)
    case .layerNormalization(let layer): return LayerNormalizationInstruction(layer, context)
    case .responseNormalization(let layer): return ResponseInstruction(layer, context)
    case .channelScale(let layer):
      return ChannelScaleInstruction(layer, context, residual: residual, rectifier: rectifier)
    case .add: return AdditionInstruction(context, rectifier: rectifier)
    case .gate: return GateInstruction(context)
    case .multiply: return ProductInstruction(context)
    case .concatenate: return ConcatenationInstruction(context)
    case .pooling(.maximum, let window): return MaximumPoolingInstruction(window, context)
    case .pooling(.average(let includesPadding), let window):
      return AveragePoolingInstruction(window, includesPadding: includesPadding, context)
    case .globalAveragePooling:
      return AveragePoolingInstruction(wholeImage(context), includesPadding: false, context)
    case .globalMaximumPooling: return MaximumPoolingInstruction(wholeImage(context), context)
    case .adaptiveAveragePooling: return AdaptivePoolingInstruction(context)
    case .flatten: return FlattenInstruction(context)
    case .dropout(let probability): return DropoutInstruction(probability, context)
    case .stochasticDepth(let probability): return StochasticDepthInstruction(probability, context)
    case .dense(let layer): return DenseInstruction(layer, context)
    case .tokens(let layer): return TokensInstruction(layer, context)
    case .attention(let layer): return AttentionInstruction(layer, context)
    case .attentionPooling(let layer): return AttentionPoolingInstruction(layer, context)
    case .selectTokens(let selection): return TokenSelectionInstruction(selection, context)
    }
  }

  /// relu or relu6 at the end.
  private var rectifier: Activation? {
    for case .activation(let function) in epilogue { return function }
    return nil
  }

  private func wholeImage(_ context: TrainingContext) -> Window2D {
    var window = Window2D(kernel: 1)
    window.kernel = context.input.image
    window.stride = context.input.image
    return window
  }
}
