// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawNetwork

@Suite struct FreezePlanTests {
  /// Groups: stem (conv, bn), body (conv, bn, drop), head (flatten, fc).
  private var graph: Graph {
    var builder = GraphBuilder(name: "test", inputChannels: 3)
    func convolution(_ inputs: Int) -> ThawNetwork.Operation {
      .convolution(Convolution2D(inputs: inputs, outputs: 4, window: Window2D(kernel: 1)))
    }
    builder.add("stem.conv", convolution(3))
    builder.add("stem.bn", .batchNormalization(BatchNormalization(channels: 4)))
    builder.beginGroup("body")
    builder.add("body.conv", convolution(4))
    builder.add("body.bn", .batchNormalization(BatchNormalization(channels: 4)))
    builder.add("body.drop", .dropout(probability: 0.5))
    builder.beginGroup("head")
    builder.add("head.keep", .dropout(probability: 0))
    builder.add("head.flatten", .flatten)
    builder.add("head.fc", .dense(Dense(inputs: 4, outputs: 2)))
    return builder.build()
  }

  private func pure(_ plan: FreezePlan) -> [String] {
    graph.nodes.filter(plan.isPure).map(\.path.description)
  }

  @Test func freezeToCountsFromEitherEnd() {
    let groups = { (first: Int) in FreezePlan.freezing(to: first, of: graph).trainableGroups }
    #expect(groups(0) == [0, 1, 2])
    #expect(groups(2) == [2])
    #expect(groups(3) == [])
    #expect(groups(99) == [])
    #expect(groups(-1) == [2])
    #expect(groups(-2) == [1, 2])
    #expect(groups(-3) == [0, 1, 2])
    #expect(groups(-99) == [0, 1, 2])
  }

  @Test func groupsAreFoundByName() throws {
    #expect(
      try FreezePlan.training(groups: ["head", "stem"], of: graph).trainableGroups == [0, 2])
    #expect(throws: NetworkError.unknownGroup("tail", known: ["stem", "body", "head"])) {
      try FreezePlan.training(groups: ["tail"], of: graph)
    }
  }

  @Test func layerNormsAndScalesTrainWithTheirGroupWhateverTheMode() {
    var builder = GraphBuilder(name: "test", inputChannels: 3)
    builder.add("norm", .layerNormalization(LayerNormalization(channels: 3)))
    builder.add("depth", .stochasticDepth(probability: 0.1))
    builder.beginGroup("head")
    builder.add("block", .channelScale(ChannelScale(channels: 3, name: "gamma")))
    let graph = builder.build()
    for mode in BatchNormMode.allCases {
      let plan = FreezePlan(trainable: [1], frozenBatchNorm: mode, trainableBatchNorm: mode)
      #expect(plan.trainableParameters(of: graph).map(\.path) == ["block.gamma"])
      #expect(graph.nodes.map(plan.isPure) == [true, true, false, false])
    }
  }

  @Test func affineFollowsTheModeAndWeightsTheirGroup() {
    func trained(_ plan: FreezePlan) -> [String] {
      plan.trainableParameters(of: graph).map(\.path.description)
    }
    let head = ["head.fc.weight", "head.fc.bias"]
    #expect(trained(.freezing(to: -1, of: graph)) == head)
    #expect(trained(.inference) == [])
    #expect(trained(.freezing(to: -2, of: graph)) == ["body.conv.weight"] + head)
    #expect(
      trained(.freezing(to: -2, of: graph, trainableBatchNorm: .training))
        == ["body.conv.weight", "body.bn.weight", "body.bn.bias"] + head)
    // A frozen group's batch norm can train all the same.
    #expect(
      trained(.freezing(to: -1, of: graph, frozenBatchNorm: .training))
        == ["stem.bn.weight", "stem.bn.bias", "body.bn.weight", "body.bn.bias"] + head)
    for mode in [BatchNormMode.batchStatistics, .staleUpdate] {
      #expect(trained(.freezing(to: -1, of: graph, frozenBatchNorm: mode)) == head)
    }
  }

  @Test func batchNormModesAreThoseOfTheirGroup() {
    let plan = FreezePlan(
      trainable: [1], frozenBatchNorm: .staleUpdate, trainableBatchNorm: .training)
    #expect(plan.batchNormMode(of: graph.nodes[2]) == .staleUpdate)
    #expect(plan.batchNormMode(of: graph.nodes[4]) == .training)
  }

  @Test func whatTrainsDropsOrMixesTheBatchIsNotPure() {
    #expect(
      pure(.freezing(to: -1, of: graph)) == [
        "input", "stem.conv", "stem.bn", "body.conv", "body.bn", "head.keep", "head.flatten",
      ])
    #expect(pure(.inference).contains("head.fc"))
    #expect(!pure(.inference).contains("body.drop"))
    for mode in [BatchNormMode.training, .batchStatistics, .staleUpdate] {
      #expect(
        pure(.freezing(to: -1, of: graph, frozenBatchNorm: mode)) == [
          "input", "stem.conv", "body.conv", "head.keep", "head.flatten",
        ])
    }
    #expect(
      pure(.freezing(to: 0, of: graph)) == [
        "input", "stem.bn", "body.bn", "head.keep", "head.flatten",
      ])
  }

  @Test func modesMeanWhatTheirTableSays() {
    let table: [(BatchNormMode, Bool, Bool, Bool)] = [
      (.inference, false, false, false), (.training, true, true, true),
      (.batchStatistics, true, false, false), (.staleUpdate, true, true, false),
    ]
    #expect(table.count == BatchNormMode.allCases.count)
    for (mode, batch, moves, affine) in table {
      #expect(mode.usesBatchStatistics == batch)
      #expect(mode.movesRunningStatistics == moves)
      #expect(mode.trainsAffine == affine)
    }
  }
}
