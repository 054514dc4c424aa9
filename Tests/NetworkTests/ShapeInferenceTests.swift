// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawNetwork
import ThawTensors

@Suite struct ShapeInferenceTests {
  private func shapes(_ build: (inout GraphBuilder) -> Void, size: Extent2D) throws -> [Shape] {
    var builder = GraphBuilder(name: "test", inputChannels: 3)
    build(&builder)
    return try builder.build().shapes(batch: 2, size: size)
  }

  private func convolution(_ inputs: Int, _ outputs: Int, _ window: Window2D)
    -> ThawNetwork.Operation
  {
    .convolution(Convolution2D(inputs: inputs, outputs: outputs, window: window))
  }

  @Test func shapesFollowTheOperations() throws {
    let shapes = try shapes(
      { builder in
        builder.add("conv", convolution(3, 8, Window2D(kernel: 3, stride: 2, padding: .same)))
        let norm = builder.add("bn", .batchNormalization(BatchNormalization(channels: 8)))
        let left = builder.add("act", .activation(.relu))
        builder.add("sum", .add, [norm, left])
        builder.add("join", .concatenate, [norm, left, norm])
        builder.add("pool", .pooling(.maximum, Window2D(kernel: 2, stride: 2, roundsUp: true)))
        builder.add("gap", .globalAveragePooling)
        builder.add("flatten", .flatten)
        builder.add("drop", .dropout(probability: 0.5))
        builder.add("fc", .dense(Dense(inputs: 24, outputs: 5)))
        builder.add("head_bn", .batchNormalization(BatchNormalization(channels: 5)))
      }, size: Extent2D(height: 9, width: 6))
    #expect(
      shapes == [
        [2, 3, 9, 6], [2, 8, 5, 3], [2, 8, 5, 3], [2, 8, 5, 3], [2, 8, 5, 3], [2, 24, 5, 3],
        [2, 24, 3, 2], [2, 24, 1, 1], [2, 24], [2, 24], [2, 5], [2, 5],
      ])
  }

  @Test func normalisationsAndScalesKeepTheShape() throws {
    let shapes = try shapes(
      { builder in
        let norm = builder.add("ln", .layerNormalization(LayerNormalization(channels: 3)))
        builder.add("scale", .channelScale(ChannelScale(channels: 3)))
        builder.add("depth", .stochasticDepth(probability: 0.5))
        let pooled = builder.add("pool", .globalAveragePooling)
        builder.add("gate", .gate, [norm, pooled])
        builder.add("adaptive", .adaptiveAveragePooling(Extent2D(height: 7, width: 2)))
      }, size: Extent2D(height: 9, width: 6))
    #expect(
      shapes == [
        [2, 3, 9, 6], [2, 3, 9, 6], [2, 3, 9, 6], [2, 3, 9, 6], [2, 3, 1, 1], [2, 3, 9, 6],
        [2, 3, 7, 2],
      ])
  }

  @Test func flattenIsChannelMajorOverThePlane() throws {
    let shapes = try shapes({ $0.add("flatten", .flatten) }, size: Extent2D(height: 4, width: 5))
    #expect(shapes.last == [2, 60])
  }

  @Test func theFirstLayerThatCannotTakeItsInputIsNamed() {
    func expect(_ path: ParameterPath, _ build: (inout GraphBuilder) -> Void) {
      do {
        _ = try shapes(build, size: Extent2D(8))
        Issue.record("'\(path)' took an input it cannot take")
      } catch NetworkError.shapeMismatch(let layer, _, _) {
        #expect(layer == path)
      } catch {
        Issue.record(error)
      }
    }
    expect("conv") { $0.add("conv", convolution(4, 8, Window2D(kernel: 1))) }
    expect("big") { $0.add("big", .pooling(.maximum, Window2D(kernel: 9))) }
    expect("bn") { $0.add("bn", .batchNormalization(BatchNormalization(channels: 2))) }
    expect("fc") { $0.add("fc", .dense(Dense(inputs: 3, outputs: 1))) }
    expect("sum") { builder in
      builder.add("conv", convolution(3, 8, Window2D(kernel: 1)))
      builder.add("sum", .add, [builder.input, builder.last])
    }
    expect("gate") { $0.add("gate", .gate, [$0.input, $0.input]) }
    expect("ln") { $0.add("ln", .layerNormalization(LayerNormalization(channels: 4))) }
    expect("scale") { $0.add("scale", .channelScale(ChannelScale(channels: 4))) }
    expect("join") { builder in
      builder.add("conv", convolution(3, 3, Window2D(kernel: 3)))
      builder.add("join", .concatenate, [builder.input, builder.last])
    }
  }

  @Test func messagesSayWhatWasExpectedAndFound() {
    let error = #expect(throws: NetworkError.self) {
      try shapes({ $0.add("conv", convolution(4, 8, Window2D(kernel: 1))) }, size: Extent2D(8))
    }
    #expect(
      error?.description == "layer 'conv': expected [N, 4, H, W], found [2, 3, 8, 8].")
  }
}
