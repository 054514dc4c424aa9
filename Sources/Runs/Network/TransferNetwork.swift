// SPDX-License-Identifier: Apache-2.0

package import ThawBackbones
import ThawCheckpoints
import ThawDatasets
package import ThawExecution
import ThawFiles
package import ThawImages
package import ThawInference
package import ThawNetwork
import ThawOneDNN
package import ThawRecipes
package import ThawTensors
package import ThawTraining

/// A backbone with a head for the classes of a dataset, its weights, and what of it is frozen.
package struct TransferNetwork {
  /// The pretrained network's.
  package let card: BackboneCard
  /// How photos become its input.
  package let preprocessing: Preprocessing
  /// With its head.
  package let graph: Graph
  /// What trains.
  package let plan: FreezePlan
  /// Where features are cached.
  package let partition: Partition
  /// Of the whole graph.
  package let parameters: Parameters

  /// The network a recipe describes, with pretrained weights and a fresh head, which alone trains.
  package init(_ recipe: Recipe, classes: [String], context: StageContext) throws {
    let card = try context.pretrained.card(named: recipe.backbone)
    try self.init(
      recipe, on: try PretrainedBackbone(card, from: context.pretrained), classes: classes,
      context: context)
  }

  /// The same on weights that are in memory already.
  ///
  /// - Parameter backbone: of the card that the recipe names.
  package init(
    _ recipe: Recipe, on backbone: PretrainedBackbone, classes: [String], context: StageContext
  ) throws {
    let card = backbone.card
    var graph = try backbone.graph(head: Head(recipe.head, classes: classes.count))
    graph.precision = context.precision(of: recipe)
    try self.init(
      card, recipe, graph,
      .freezing(
        to: -1, of: graph, frozenBatchNorm: recipe.head.frozenBatchNorm ?? .inference),
      backbone.parameters(for: graph, seed: recipe.seed).restricted(to: graph))
  }

  /// The same network with trained weights, and another plan.
  init(
    _ recipe: Recipe, trained parameters: Parameters, classes: [String], context: StageContext,
    freezing plan: (Graph) throws -> FreezePlan = { .freezing(to: -1, of: $0) }
  ) throws {
    let card = try context.pretrained.card(named: recipe.backbone)
    var graph = try context.pretrained.architecture(of: card).graph(
      Head(recipe.head, classes: classes.count))
    graph.precision = context.precision(of: recipe)
    try parameters.validate(for: graph)
    try self.init(card, recipe, graph, try plan(graph), parameters)
  }

  private init(
    _ card: BackboneCard, _ recipe: Recipe, _ graph: Graph, _ plan: FreezePlan,
    _ parameters: Parameters
  ) throws {
    let contract = recipe.image.contract(card.preprocessing)
    try graph.requireWholePatches(
      [contract.inputSize] + recipe.train.sizes + recipe.fineTune.train.sizes
        + recipe.fineTune.phases.compactMap(\.size))
    self.init(card, contract, graph, plan, parameters)
  }

  private init(
    _ card: BackboneCard, _ preprocessing: Preprocessing, _ graph: Graph, _ plan: FreezePlan,
    _ parameters: Parameters
  ) {
    self.card = card
    self.preprocessing = preprocessing
    self.graph = graph
    self.plan = plan
    self.parameters = parameters
    partition = Partition(graph, freezing: plan)
  }

  /// The same network as a phase of training has it: with its plan, its input size, and the weights
  /// reached so far.
  package func during(_ phase: FreezePhase, parameters: Parameters) -> TransferNetwork {
    TransferNetwork(
      card, phase.size.map(preprocessing.withInputSize) ?? preprocessing, graph, phase.plan,
      parameters)
  }

  /// The name that a model file gives its architecture.
  var architecture: String {
    card.architecture == Architecture.onnxName ? Architecture.onnxName : graph.name
  }

  /// What a model file says of a network that is not built by name; nil for one that is.
  func structure(_ parameters: Parameters) throws -> String? {
    guard card.architecture == Architecture.onnxName else { return nil }
    return try ONNXStructure.text(of: graph, parameters, preprocessing: preprocessing)
  }

  /// Side of the input image.
  package var size: Extent2D { Extent2D(preprocessing.inputSize) }

  /// The path of the last dense layer.
  package var classifier: ParameterPath { graph.output.path }

  /// The logits of cached features, by the code that prediction runs behind the cut.
  ///
  /// Shapes: `features` [n, …] of the cut; result [n, classes].
  package func logits(
    of features: Tensor<Float>, parameters: Parameters, compiler: Compiler
  ) throws -> Tensor<Float> {
    try compiler.compileInference(
      graph, parameters: parameters, from: partition.cut,
      microBatch: OneDNNEngine.recommendedMicroBatch, size: size
    ).run(features)
  }

  /// The cache key of features at the cut.
  func cacheKey(engine: any Engine, precision: FeaturePrecision = .float32) -> FeatureCacheKey {
    FeatureCacheKey(
      graph, upTo: partition.cut, parameters: parameters, preprocessing: preprocessing,
      engine: engine.name(for: graph), precision: precision)
  }
}

extension Head {
  init(_ head: Recipe.Head, classes: Int) {
    self.init(classes: classes, hidden: head.hidden, dropout: head.dropout)
  }
}
