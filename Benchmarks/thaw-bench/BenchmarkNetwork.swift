// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import ThawBackbones
import ThawCheckpoints
import ThawExecution
import ThawNetwork
import ThawOneDNN
import ThawQuantization
import ThawReference
import ThawTensors

/// A network and inputs to measure: those the driver prepared for all contenders, or made-up ones.
struct BenchmarkNetwork {
  /// The engine that is measured.
  static let engine = OneDNNEngine(training: ReferenceEngine<Float>())
  /// Classes of the head.
  static let classes = 10
  /// Side of the input image.
  static let size = Extent2D(height: 224, width: 224)

  let graph: Graph
  let parameters: Parameters

  /// Reads `WORK/NETWORK.safetensors`; without a folder all weights are made up.
  init(_ options: WorkloadOptions) throws {
    let architecture = try Architecture(named: options.network)
    var graph = architecture.graph(Head(classes: BenchmarkNetwork.classes))
    graph.precision = options.precision
    var parameters = Parameters.procedural(for: graph)
    if let work = options.work {
      let path = FilePath(work).appending("\(options.network).safetensors")
      let checkpoint = try CheckpointReader.read(path)
      let identity = try CheckpointIdentity(
        checkpoint, cards: [], architecture: options.network)
      if let fit = identity.best {
        parameters = parameters.overlaid(with: try fit.parameters(of: checkpoint))
      }
    }
    try parameters.validate(for: graph)
    if options.precision == .int8 {
      let quantizer = try NetworkQuantizer(
        graph, parameters, size: BenchmarkNetwork.size,
        photos: try BenchmarkNetwork.pixels(options, count: 8), engine: BenchmarkNetwork.engine)
      (graph, parameters) = try quantizer.quantized(keeping: [])
    }
    self.graph = graph
    self.parameters = parameters
  }

  /// The network from pixels to pooled features: all before the head.
  func trunk(microBatch: Int) throws -> any InferencePlan {
    let frozen = FreezePlan.freezing(to: -1, of: graph)
    return try BenchmarkNetwork.engine.compileInference(
      graph, operations: Partition(graph, freezing: frozen).prefix, from: graph.nodes[0].id,
      parameters: parameters, microBatch: microBatch, size: BenchmarkNetwork.size)
  }

  /// `count` preprocessed photos, [count, 3, 224, 224].
  ///
  /// Those in `WORK/pixels.f32` over and over, or noise without a folder.
  static func pixels(_ options: WorkloadOptions, count: Int) throws -> Tensor<Float> {
    let stride = 3 * size.height * size.width
    let shape: Shape = [count, 3, size.height, size.width]
    guard let work = options.work else {
      var stream = RandomStream(seed: 0, purpose: .procedural)
      return Tensor(shape: shape) { output in
        for index in output.indices { output[index] = 2 * stream.uniform() - 1 }
      }
    }
    let data = try Data(contentsOf: URL(fileURLWithPath: work).appending(path: "pixels.f32"))
    return Tensor(shape: shape) { output in
      data.withUnsafeBytes { bytes in
        let stored = bytes.bindMemory(to: Float.self)
        let available = stored.count / stride * stride
        for index in output.indices { output[index] = stored[index % available] }
      }
    }
  }
}
