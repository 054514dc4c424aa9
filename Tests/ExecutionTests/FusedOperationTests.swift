// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawExecution
import ThawNetwork

@Suite struct FusedOperationTests {
  private func convolution(_ inputs: Int, _ outputs: Int) -> ThawNetwork.Operation {
    .convolution(Convolution2D(inputs: inputs, outputs: outputs, window: Window2D(kernel: 1)))
  }

  @Test(arguments: [ParityNetworks.residual, ParityNetworks.inception])
  func stepsCoverTheGraphOnceInOrder(_ graph: Graph) {
    #expect(graph.fusedOperations.flatMap { Array($0.nodes) } == Array(1..<graph.nodes.count))
    let consumers = graph.consumers
    for step in graph.fusedOperations {
      // Nothing inside a step is seen from outside.
      for node in step.nodes.dropLast() {
        #expect(consumers[node].allSatisfy { step.nodes.contains($0.index) })
      }
    }
  }

  @Test func aStepAbsorbsNormActivationAndOneAddition() {
    let steps = ParityNetworks.residual.fusedOperations
    let nodes = ParityNetworks.residual.nodes
    let described = steps.map { step in step.nodes.map { nodes[$0].path.description } }
    #expect(
      described == [
        ["stem.conv", "stem.bn", "stem.act"], ["block1.dw", "block1.bn1", "block1.act"],
        ["block1.pw", "block1.bn2", "block1.add"], ["block2.conv", "block2.bn", "block2.act"],
        ["block2.down", "block2.down_bn", "block2.add", "block2.out"], ["pool"], ["gap"],
        ["flatten"], ["fc1"], ["bn", "fc1_act"], ["fc"],
      ])
    #expect(steps[2].epilogue == [.addition(of: nodes[3].id)])
    #expect(steps[4].epilogue == [.addition(of: steps[3].result), .activation(.relu)])
    #expect(steps[4].affine.map(\.path) == ["block2.down_bn"])
    #expect(steps[8].affine.isEmpty)
  }

  @Test func aResultWithTwoUsersEndsItsStep() {
    var builder = GraphBuilder(name: "test", inputChannels: 2)
    let convolved = builder.add("conv", convolution(2, 2))
    let active = builder.add("act", .activation(.relu))
    builder.add("sum", .add, [convolved, active])
    let steps = builder.build().fusedOperations
    #expect(steps.map(\.nodes.count) == [1, 1, 1])
  }

  @Test func aLoneNormTakesItsActivationButNoAddition() {
    var builder = GraphBuilder(name: "test", inputChannels: 2)
    builder.add("bn", .batchNormalization(BatchNormalization(channels: 2)))
    builder.add("act", .activation(.relu))
    builder.add("sum", .add, [builder.last, builder.input])
    #expect(builder.build().fusedOperations.map(\.nodes.count) == [2, 1])
  }

  @Test func aSumOfAResultWithItselfIsNotAbsorbed() {
    var builder = GraphBuilder(name: "test", inputChannels: 2)
    let convolved = builder.add("conv", convolution(2, 2))
    builder.add("sum", .add, [convolved, convolved])
    #expect(builder.build().fusedOperations.map(\.nodes.count) == [1, 1])
  }

  @Test func aSecondAdditionStartsItsOwnStep() {
    var builder = GraphBuilder(name: "test", inputChannels: 2)
    let convolved = builder.add("conv", convolution(2, 2))
    let sum = builder.add("sum", .add, [convolved, builder.input])
    builder.add("again", .add, [sum, builder.input])
    #expect(builder.build().fusedOperations.map(\.nodes.count) == [2, 1])
  }
}

/// What training may fuse: less than inference, and it depends on what is frozen.
@Suite struct TrainingFusionTests {
  private func described(_ graph: Graph, _ plan: FreezePlan) -> [[String]] {
    let nodes = Array(graph.nodes.dropFirst())
    return graph.fusedOperations(of: nodes, .training(plan)).map { operation in
      operation.nodes.map { graph.nodes[$0].path.description }
    }
  }

  @Test func onlyAConstantNormIsFolded() {
    let graph = ParityNetworks.residual
    let moving = described(graph, everything(in: graph, .training))
    #expect(moving.prefix(2) == [["stem.conv"], ["stem.bn", "stem.act"]])
    #expect(moving.contains(["block1.bn2", "block1.add"]))
    let constant = described(graph, everything(in: graph, .inference))
    #expect(constant.first == ["stem.conv", "stem.bn", "stem.act"])
    // Backward of a dense layer leaves nothing for an activation behind it.
    #expect(constant.suffix(3) == [["fc1"], ["bn", "fc1_act"], ["fc"]])
  }

  @Test func aPieceOfAGraphEndsAtItsLastNode() {
    let graph = ParityNetworks.residual
    let nodes = Array(graph.nodes[1...2])
    let operations = graph.fusedOperations(of: nodes, .inference)
    #expect(operations.flatMap { Array($0.nodes) } == [1, 2])
  }
}
