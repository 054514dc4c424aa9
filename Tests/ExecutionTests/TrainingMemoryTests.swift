// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawExecution
import ThawNetwork
import ThawOneDNN
import ThawReference
import ThawTensors

/// A plan that may not have its memory is refused before it takes any.
@Suite struct TrainingMemoryTests {
  private func graph() -> Graph {
    var builder = GraphBuilder(name: "wide", inputChannels: 3)
    for (index, channels) in [3, 32, 32].enumerated() {
      builder.add(
        ParameterPath("conv\(index)"),
        .convolution(
          Convolution2D(
            inputs: channels, outputs: 32, window: Window2D(kernel: 3, padding: .same),
            hasBias: true)))
      builder.add(ParameterPath("act\(index)"), .activation(.relu))
    }
    builder.add("pool", .globalAveragePooling)
    builder.add("flatten", .flatten)
    builder.add("dense", .dense(Dense(inputs: 32, outputs: 4, hasBias: true)))
    return builder.build()
  }

  private func plan(
    _ graph: Graph? = nil, batch: Int, size: Extent2D = Extent2D(96), memory: Int?
  ) throws -> OneDNNTrainingPlan {
    var engine = OneDNNEngine(training: ReferenceEngine<Float>())
    (engine.threads, engine.memory) = (2, memory)
    let graph = graph ?? self.graph()
    return try engine.trainingPlan(
      graph, nodes: Array(graph.nodes.dropFirst()), from: graph.nodes[0].id,
      parameters: .procedural(for: graph), freezing: everything(in: graph), batch: batch,
      size: size)
  }

  private func need(
    _ graph: Graph? = nil, batch: Int, size: Extent2D = Extent2D(96)
  ) throws -> Int {
    do { _ = try plan(graph, batch: batch, size: size, memory: 1) } catch ExecutionError.memory(
      _, let needed, 1)
    {
      return needed
    }
    Issue.record("a plan of one byte")
    return 0
  }

  @Test func whatAPlanNeedsFollowsFromItsBatch() throws {
    let (few, many) = (try need(batch: 5), try need(batch: 33))
    // At least the results of three layers, and not many times that.
    let image = 3 * 32 * 96 * 96 * 4
    #expect(many - few >= 28 * image && many - few <= 3 * 28 * image)
    _ = try plan(batch: 5, memory: few)
    #expect(throws: ExecutionError.self) { try plan(batch: 5, memory: few - 1) }
    _ = try plan(batch: 33, memory: nil)
  }

  /// Weights of 3x3 convolutions are transformed, for the way forward and for that back: in tiles of 4 x 4 that
  /// is four times their size each.
  @Test func transformedWeightsAreCounted() throws {
    func need(stride: Int) throws -> Int {
      var builder = GraphBuilder(name: "deep", inputChannels: 3)
      builder.convolve("stem", 3, 256, kernel: 1, activation: .relu)
      builder.convolve("conv", 256, 256, kernel: 3, stride: stride, activation: .relu)
      builder.add("pool", .globalAveragePooling)
      builder.add("flatten", .flatten)
      return try self.need(builder.build(), batch: 2, size: Extent2D(14))
    }
    #expect(try need(stride: 1) - need(stride: 2) >= 2 * 36 * 256 * 256 * 4)
  }

  @Test func theErrorSaysWhatToDo() {
    let error = ExecutionError.memory(batch: 128, needed: 4 << 30, allowed: 1 << 30)
    #expect(
      error.description.hasPrefix(
        "training 128 photos at a time takes about 4096 MB of memory, and 1024 MB may be used"))
    #expect(error.isLackOfMemory && error.description.contains("--batch"))
  }
}
