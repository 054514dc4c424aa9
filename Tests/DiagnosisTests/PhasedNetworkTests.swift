// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawDiagnosis
import ThawExecution
import ThawNetwork
import ThawOneDNN
import ThawReference
import ThawTensors
import ThawTestSupport

@Suite struct PhasedNetworkTests {
  /// Twelve residual blocks: every piece ends where nothing but one value is needed.
  private var graph: Graph {
    var builder = GraphBuilder(name: "residual", inputChannels: 3)
    func convolution(_ inputs: Int) -> ThawNetwork.Operation {
      .convolution(
        Convolution2D(
          inputs: inputs, outputs: 8,
          window: Window2D(kernel: 3, padding: .explicit(EdgeInsets(1)))))
    }
    builder.add("stem", convolution(3))
    builder.add("bn", .batchNormalization(BatchNormalization(channels: 8)))
    for index in 0..<12 {
      let entry = builder.last
      builder.add(ParameterPath("block\(index).conv"), convolution(8))
      builder.add(
        ParameterPath("block\(index).bn"), .batchNormalization(BatchNormalization(channels: 8)))
      builder.add(ParameterPath("block\(index).add"), .add, [builder.last, entry])
      builder.add(ParameterPath("block\(index).relu"), .activation(.relu))
    }
    builder.beginGroup("head")
    builder.add("pool", .globalAveragePooling)
    builder.add("flatten", .flatten)
    builder.add("fc", .dense(Dense(inputs: 8, outputs: 3)))
    return builder.build()
  }

  @Test(arguments: [false, true])
  func inferenceInPiecesIsInference(onOneDNN: Bool) throws {
    let reference = ReferenceEngine<Float>()
    let engine: any Engine = onOneDNN ? OneDNNEngine(training: reference) : reference
    let compiler = Compiler(inference: engine, training: engine)
    let parameters = Parameters.procedural(for: graph)
    let photos = SmallNetwork.photos(10, seed: 4)
    let network = try PhasedNetwork(
      graph, parameters: parameters, compiler: compiler, batch: 4, size: SmallNetwork.size)
    #expect(network.layers.count == 13)
    let pixels = (0..<10).flatMap { Array(photos.photo($0)) }
    let whole = try compiler.compileInference(
      graph, parameters: parameters, microBatch: 4, size: SmallNetwork.size
    ).run(Tensor(pixels, shape: [10, 3, 8, 8]))
    let output = try network.run(photos, batchStatistics: .none, batch: 4, seed: 1)
    expectClose(output.logits, whole, relative: 1e-4, absolute: 1e-4)
    #expect(output.moments.count == 13)
    #expect(output.moments.values.allSatisfy { $0.count == 640 })
  }

  @Test func bothEnginesSwitchAlike() throws {
    let parameters = Parameters.procedural(for: graph)
    let photos = SmallNetwork.photos(8, seed: 5)
    let reference = ReferenceEngine<Float>()
    let outputs = try [reference as any Engine, OneDNNEngine(training: reference)].map { engine in
      try PhasedNetwork(
        graph, parameters: parameters, compiler: Compiler(inference: engine, training: engine),
        batch: 8, size: SmallNetwork.size
      ).run(photos, batchStatistics: .only(["block3.bn", "block9.bn"]), batch: 8, seed: 1)
    }
    expectClose(outputs[0].logits, outputs[1].logits, relative: 1e-3, absolute: 1e-3)
    let moments = try outputs.map { try #require($0.moments["block11.bn"]) }
    expectClose(
      moments[0].mean.map(Float.init), moments[1].mean.map(Float.init), relative: 1e-3,
      absolute: 1e-3)
  }

  @Test func mixedStatisticsAreBetweenTheRunningOnesAndTheData() throws {
    var small = try SmallNetwork()
    try small.damage("bn0", variance: 4, shift: 2)
    let network = try small.phased()
    func first(_ share: Double) throws -> (mean: [Float], variance: [Float]) {
      let parameters = try Recalibration(
        network, on: small.photos, share: share, batch: 48, seed: 1
      ).parameters
      return (
        try parameters.tensor("bn0.running_mean").elements,
        try parameters.tensor("bn0.running_var").elements
      )
    }
    let (own, mixed, data) = (try first(0), try first(0.25), try first(1))
    expectClose(own.mean, try small.parameters.tensor("bn0.running_mean").elements)
    expectClose(mixed.mean, zip(own.mean, data.mean).map { 0.75 * $0 + 0.25 * $1 })
    expectClose(mixed.variance, zip(own.variance, data.variance).map { 0.75 * $0 + 0.25 * $1 })
    #expect(data.variance[0] < own.variance[0])
    // A hundred and twenty-eight photos weigh as much as what is remembered.
    #expect(Recalibration.share(of: 128) == 0.5)
  }
}
