// SPDX-License-Identifier: Apache-2.0

import Backbones
import Datasets
import Execution
import Files
import Images
import Network
import Tensors

/// A pretrained backbone with a new head for the classes of a dataset, and what of it is frozen.
struct TransferNetwork {
  let backbone: PretrainedBackbone
  let preprocessing: Preprocessing
  let graph: Graph
  let plan: FreezePlan
  let partition: Partition

  /// The network a recipe describes, with only the head training.
  init(_ recipe: Recipe, classes: [String], context: StageContext) throws {
    let card = try context.pretrained.card(named: recipe.backbone)
    backbone = try PretrainedBackbone(card, from: context.pretrained)
    preprocessing =
      recipe.image.size.map(card.preprocessing.withInputSize) ?? card.preprocessing
    graph = try backbone.graph(
      head: Head(classes: classes.count, hidden: recipe.head.hidden, dropout: recipe.head.dropout))
    plan = FreezePlan.freezing(to: -1, of: graph)
    partition = Partition(graph, freezing: plan)
  }

  /// Side of the input image.
  var size: Extent2D { Extent2D(preprocessing.inputSize) }

  /// The path of the last dense layer.
  var classifier: ParameterPath { graph.output.path }

  /// The logits of cached features, by the code that prediction runs behind the cut.
  ///
  /// Shapes: `features` [n, …] of the cut; result [n, classes].
  func logits(
    of features: Tensor<Float>, parameters: Parameters, compiler: Compiler
  ) throws -> Tensor<Float> {
    try compiler.compileInference(
      graph, parameters: parameters, from: partition.cut,
      microBatch: OneDNNEngine.recommendedMicroBatch, size: size
    ).run(features)
  }

  /// The cache key of features at the cut: everything they depend on but the photo and the view.
  func featureKey(engine: String) throws -> String {
    var hash = SHA256()
    hash.update("features 1")
    hash.update(engine)
    hash.update(preprocessing.json)
    for node in graph.nodes[...partition.cut.index] {
      hash.update("\(node.path) \(node.operation) \(node.inputs.map(\.index))")
      for parameter in node.parameters {
        try backbone.parameters.tensor(parameter.path).withUnsafeElements {
          hash.update(UnsafeRawBufferPointer($0))
        }
      }
    }
    return hash.hexadecimalDigest
  }
}
