// SPDX-License-Identifier: Apache-2.0

import CThawKernels
import Testing
import ThawBackbones
import ThawExecution
import ThawNetwork
import ThawOneDNN
import ThawQuantization
import ThawReference
import ThawTensors

/// Both engines' arithmetic on bytes: the same bits, whatever the instructions, the threads and the batch.
@Suite(.serialized) struct ByteParityTests {
  static let engine = OneDNNEngine(training: ReferenceEngine<Float>())

  /// A network on bytes, measured on noise, and photos that measured nothing.
  static func network(
    _ name: String, side: Int, keeping floats: (FusedOperation) -> Bool = { _ in false }
  ) throws -> (graph: Graph, parameters: Parameters, photos: Tensor<Float>, size: Extent2D) {
    let graph = try Architecture(named: name).graph(Head(classes: 7))
    let size = Extent2D(side)
    let quantizer = try NetworkQuantizer(
      graph, Parameters.procedural(for: graph), size: size, photos: noise(4, side, 1),
      engine: engine)
    let kept = quantizer.layers.filter(floats).map(\.lead.path)
    let result = try quantizer.quantized(keeping: Set(kept))
    return (result.graph, result.parameters, noise(3, side, 2), size)
  }

  static func noise(_ count: Int, _ side: Int, _ seed: UInt64) -> Tensor<Float> {
    var stream = RandomStream(seed: seed, purpose: .procedural)
    return Tensor(shape: [count, 3, side, side]) { output in
      for index in output.indices { output[index] = 4 * stream.uniform() - 2 }
    }
  }

  static func logits(
    _ engine: some Engine, _ network: (Graph, Parameters, Tensor<Float>, Extent2D),
    microBatch: Int = 2
  ) throws -> [Float] {
    let (graph, parameters, photos, size) = network
    return try engine.compileInference(
      graph, operations: graph.fusedOperations, from: graph.nodes[0].id, parameters: parameters,
      microBatch: microBatch, size: size
    ).run(photos).elements
  }

  @Test(
    "Both engines give the same bits on bytes",
    arguments: [
      ("resnet18", 40), ("resnet50", 33), ("mobilenet_v2", 40), ("efficientnet_lite0", 48),
      ("efficientnet_b0", 40), ("vgg11", 32), ("densenet121", 32), ("mobilenet_v3_small", 40),
    ])
  func enginesAgree(_ name: String, _ side: Int) throws {
    let network = try Self.network(name, side: side)
    let layers = network.graph.fusedOperations.filter(\.isWeighted).count
    #expect(network.graph.quantization?.weights.count == layers)
    let fast = try Self.logits(Self.engine, network)
    let exact = try Self.logits(ReferenceEngine<Double>(), network)
    #expect(fast == exact)
    #expect(Set(fast).count > 7)
  }

  @Test(
    "Every instruction set, thread count and batch gives the same bits",
    arguments: ["resnet18", "efficientnet_b0", "efficientnet_lite0"])
  func instructionsAgree(_ name: String) throws {
    let network = try Self.network(name, side: 40)
    let best = try Self.logits(Self.engine, network)
    defer { thaw_bytes_limit(THAW_BYTES_VNNI) }
    for limit in [THAW_BYTES_PLAIN, THAW_BYTES_AVX2, THAW_BYTES_AVX512] {
      thaw_bytes_limit(limit)
      #expect(try Self.logits(Self.engine, network) == best)
    }
    thaw_bytes_limit(THAW_BYTES_VNNI)
    var single = Self.engine
    single.threads = 1
    #expect(try Self.logits(single, network, microBatch: 1) == best)
    #expect(try Self.logits(single, network, microBatch: 5) == best)
  }

  @Test(
    "A photo that threads share gets the same bits",
    arguments: [
      "resnet18", "resnext50_32x4d", "efficientnet_b0", "efficientnet_lite0", "densenet121",
      "inception_v3", "mobilenet_v3_small",
    ])
  func threadsSharingAPhotoAgree(_ name: String) throws {
    var network = try Self.network(name, side: 96)
    network.photos = Tensor(
      Array(network.photos.elements[..<(3 * 96 * 96)]), shape: [1, 3, 96, 96])
    var engine = Self.engine
    engine.threads = 1
    let expected = try Self.logits(engine, network)
    for threads in 2...4 {
      engine.threads = threads
      for _ in 0..<2 { #expect(try Self.logits(engine, network) == expected, "\(threads) threads") }
    }
  }

  @Test("A network with layers in Float32 among those on bytes agrees but for their rounding")
  func mixedAgree() throws {
    var number = 0
    let network = try Self.network("efficientnet_lite0", side: 48) { _ in
      number += 1
      return number % 3 == 0
    }
    let fast = try Self.logits(Self.engine, network)
    let exact = try Self.logits(ReferenceEngine<Double>(), network)
    let scale = exact.map(abs).max() ?? 1
    // A Float32 sum that falls on the other side of a rounding moves a byte by one step, which later layers
    // hand on: a few steps of the 255.
    for (left, right) in zip(fast, exact) { #expect(abs(left - right) <= 0.03 * scale) }
  }

  @Test("What bytes cannot compute is named")
  func refused() throws {
    let graph = try Architecture(named: "convnext_tiny").graph(Head(classes: 3))
    #expect(throws: (any Error).self) {
      try NetworkQuantizer.requireByteForm(graph)
    }
  }
}
