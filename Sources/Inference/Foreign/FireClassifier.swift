// SPDX-License-Identifier: Apache-2.0

import ThawBackbones
import ThawCheckpoints
import ThawNetwork

/// SqueezeNet's published classifier: a 1x1 convolution with one output a class, a ReLU, and then the mean
/// over the image. The ReLU stands before the mean, so that no dense layer behind pooled features is the
/// same.
///
/// - Source: torchvision, torchvision/models/squeezenet.py.
struct FireClassifier: ForeignHead {
  let classes: Int
  let names: [String]
  let label = "its own classifier, a convolution"
  private let weight: StoredTensor
  private let bias: StoredTensor

  /// Nil when `fit` is no SqueezeNet, or has another classifier.
  init?(_ checkpoint: Checkpoint, _ fit: WeightFit) {
    guard fit.head == nil, fit.architecture.hasPrefix("squeezenet"), fit.otherHead.count == 2 else {
      return nil
    }
    let tensors = fit.otherHead.compactMap { checkpoint[fit.prefix + $0] ?? checkpoint[$0] }
    guard let weight = tensors.first(where: { $0.name.hasSuffix("classifier.1.weight") }),
      let bias = tensors.first(where: { $0.name.hasSuffix("classifier.1.bias") }),
      weight.shape.rank == 4, weight.shape[1] == 512, weight.shape[2] == 1, weight.shape[3] == 1,
      weight.shape[0] > 0, bias.shape == [weight.shape[0]], weight.elementType.isFloatingPoint,
      bias.elementType.isFloatingPoint
    else { return nil }
    classes = weight.shape[0]
    names = fit.otherHead
    (self.weight, self.bias) = (weight, bias)
  }

  func network(
    _ fit: WeightFit, _ backbone: Parameters
  ) throws -> (graph: Graph, parameters: Parameters) {
    let (body, groups) = try fit.graph().beforePooling
    var builder = GraphBuilder(continuing: body, groups: groups, name: Architecture.onnxName)
    builder.beginGroup("head")
    builder.add(
      "classifier.1",
      .convolution(
        Convolution2D(
          inputs: weight.shape[1], outputs: classes, window: Window2D(kernel: 1), hasBias: true)))
    builder.add("classifier.2", .activation(.relu))
    builder.add("classifier.3", .globalAveragePooling)
    builder.add("flatten", .flatten)
    var parameters = backbone
    parameters["classifier.1.weight"] = try weight.floats()
    parameters["classifier.1.bias"] = try bias.floats()
    let graph = builder.build()
    return (graph, parameters.restricted(to: graph))
  }
}
