// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawBackbones
import ThawExecution
import ThawNetwork
import ThawOneDNN
import ThawReference
import ThawTensors

/// One photo on several threads, through a network of every family: the bits of one thread.
@Suite(.serialized) struct SharedPhotoTests {
  /// One of each family, and of each kind of block.
  private static let networks = [
    "cifar_resnet20", "convnext_tiny", "convnextv2_atto", "deit_tiny_patch16_224", "densenet121",
    "efficientnet_b0", "efficientnet_lite0", "efficientnet_v2_s", "inception_resnet_v2",
    "inception_v3", "mobilenet_v2", "mobilenet_v3_large", "mobilenetv1_100", "regnet_x_400mf",
    "regnet_y_400mf", "resnet18", "resnet50", "resnext50_32x4d", "squeezenet1_1", "vgg11_bn",
    "xception",
  ]

  @Test(arguments: networks, [Precision.float32, .bfloat16])
  func anyNumberOfThreadsGivesTheSameBits(_ name: String, _ precision: Precision) throws {
    var graph = try Architecture(named: name).graph(Head(classes: 10))
    graph.precision = precision
    let parameters = Parameters.procedural(for: graph)
    let side = name.hasPrefix("deit") ? 224 : 128
    let photos: Tensor<Float> = .procedural("photo", shape: [1, 3, side, side])
    func plan(_ threads: Int) throws -> OneDNNPlan {
      var engine = OneDNNEngine(training: ReferenceEngine<Float>())
      engine.threads = threads
      let plan = try engine.compileInference(
        graph, operations: graph.fusedOperations, from: graph.nodes[0].id, parameters: parameters,
        microBatch: 2, size: Extent2D(side))
      return try #require(plan as? OneDNNPlan)
    }
    let expected = try plan(1).run(photos)
    #expect(Set(expected.elements).count > 5)
    for threads in 2...4 {
      let shared = try plan(threads)
      #expect(try shared.parts().contains { $0.parts == threads })
      for _ in 0..<2 { #expect(try shared.run(photos) == expected, "\(threads) threads") }
    }
  }
}
