// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawExecution
import ThawNetwork

@Suite struct PartitionTests {
  private let graph = ParityNetworks.residual

  private func cut(_ plan: FreezePlan, of graph: Graph? = nil) -> String {
    let graph = graph ?? self.graph
    let partition = Partition(graph, freezing: plan)
    // Whatever the plan: prefix and suffix are the graph, and only the cut crosses.
    #expect(
      partition.prefix.flatMap { Array($0.nodes) } + partition.suffix.map(\.id.index)
        == Array(1..<graph.nodes.count))
    #expect(
      partition.suffix.allSatisfy { node in
        node.inputs.allSatisfy { $0 >= partition.cut }
      })
    #expect(partition.prefix.last?.result ?? graph.nodes[0].id == partition.cut)
    for step in partition.prefix {
      #expect(step.nodes.allSatisfy { plan.isPure(graph.nodes[$0]) })
    }
    return graph[partition.cut].path.description
  }

  @Test func theCutIsRightBeforeTheFirstTrainableStep() {
    #expect(cut(.freezing(to: 0, of: graph)) == "input")
    #expect(cut(.freezing(to: 1, of: graph)) == "stem.act")
    #expect(cut(.freezing(to: 2, of: graph)) == "block1.add")
    // Pooling and flattening in the trained group are still pure.
    #expect(cut(.freezing(to: 3, of: graph)) == "flatten")
    #expect(cut(.freezing(to: -1, of: graph)) == "flatten")
  }

  @Test func nothingTrainsAndTheWholeNetworkIsPrefix() {
    #expect(cut(.inference) == "fc")
    #expect(Partition(graph, freezing: .inference).suffix.isEmpty)
  }

  @Test func aFrozenBatchNormOnBatchStatisticsIsNotInThePrefix() {
    for mode in [BatchNormMode.batchStatistics, .staleUpdate, .training] {
      // Its convolution is one step with it and goes along.
      #expect(cut(.freezing(to: -1, of: graph, frozenBatchNorm: mode)) == "input")
      #expect(
        cut(FreezePlan(trainable: [3], frozenBatchNorm: mode, trainableBatchNorm: .inference))
          == "input")
    }
    // Trainable batch norms matter in trainable groups only.
    #expect(cut(.freezing(to: 2, of: graph, trainableBatchNorm: .training)) == "block1.add")
  }

  @Test func aTrainableGroupInTheMiddleEndsThePrefix() {
    #expect(cut(FreezePlan(trainable: [1])) == "stem.act")
  }

  @Test func dropoutEndsThePrefix() {
    var builder = GraphBuilder(name: "test", inputChannels: 3)
    builder.add("gap", .globalAveragePooling)
    builder.add("flatten", .flatten)
    builder.add("keep", .dropout(probability: 0))
    builder.add("drop", .dropout(probability: 0.2))
    builder.add("fc", .dense(Dense(inputs: 3, outputs: 2)))
    #expect(cut(.inference, of: builder.build()) == "keep")
  }

  @Test func noCutFallsInsideAResidualBlock() {
    var builder = GraphBuilder(name: "test", inputChannels: 2)
    func convolution() -> ThawNetwork.Operation {
      .convolution(Convolution2D(inputs: 2, outputs: 2, window: Window2D(kernel: 1)))
    }
    let stem = builder.add("stem", convolution())
    builder.add("a", convolution())
    builder.beginGroup("late")
    builder.add("b", convolution())
    builder.add("sum", .add, [builder.last, stem])
    // 'a' is frozen, but behind it both 'a' and 'stem' are still needed.
    #expect(cut(FreezePlan(trainable: [1]), of: builder.build()) == "stem")
  }

  @Test(arguments: [ParityNetworks.residual, ParityNetworks.inception])
  func everyPlanCutsCleanly(_ graph: Graph) {
    for mask in 0..<(1 << graph.groups.count) {
      let groups = graph.groups.indices.filter { mask >> $0 & 1 == 1 }
      for frozen in BatchNormMode.allCases {
        for trained in BatchNormMode.allCases {
          _ = cut(
            FreezePlan(trainable: groups, frozenBatchNorm: frozen, trainableBatchNorm: trained),
            of: graph)
        }
      }
    }
  }
}
