// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawBackbones
import ThawGraphs
import ThawNetwork

/// When two graphs count as one network.
@Suite struct SameFunctionTests {
  private static func holds(
    _ left: Graph, _ right: Graph, renaming: @escaping (String) -> String = { $0 }
  ) -> Bool {
    SameFunction.holds(
      left, right, size: Extent2D(32),
      sources: (left: { $0.description }, right: { renaming($0.description) }))
  }

  private static func graph(_ build: (inout GraphBuilder) -> Void) -> Graph {
    var builder = GraphBuilder(name: "net", inputChannels: 3)
    build(&builder)
    return builder.build()
  }

  private static func small(
    stride: Int = 1, padding: Padding = .same, dropout: Bool = false,
    activation: Activation = .relu,
    epsilon: Double = 1e-3
  ) -> Graph {
    graph { builder in
      var window = Window2D(kernel: 3)
      window.stride = Extent2D(stride)
      window.padding = padding
      builder.add("conv", .convolution(Convolution2D(inputs: 3, outputs: 4, window: window)))
      builder.add("bn", .batchNormalization(BatchNormalization(channels: 4, epsilon: epsilon)))
      builder.add("act", .activation(activation))
      builder.add("pool", .globalAveragePooling)
      builder.add("flatten", .flatten)
      if dropout { builder.add("drop", .dropout(probability: 0.5)) }
      builder.add("fc", .dense(Dense(inputs: 4, outputs: 2)))
    }
  }

  @Test func whatChangesNothingInInferenceDoesNotCount() {
    #expect(Self.holds(Self.small(), Self.small(dropout: true)))
    // At stride 1, "same" is one pixel on each side.
    #expect(Self.holds(Self.small(), Self.small(padding: .explicit(EdgeInsets(1)))))
  }

  @Test func everythingElseDoes() {
    #expect(!Self.holds(Self.small(), Self.small(stride: 2)))
    #expect(!Self.holds(Self.small(), Self.small(padding: .explicit(EdgeInsets(0)))))
    #expect(!Self.holds(Self.small(), Self.small(activation: .relu6)))
    #expect(!Self.holds(Self.small(), Self.small(epsilon: 1e-5)))
    #expect(!Self.holds(Self.small(), Self.small()) { $0 == "conv.weight" ? "other" : $0 })
    // At stride 2 "same" is one pixel below and right alone.
    #expect(
      !Self.holds(Self.small(stride: 2), Self.small(stride: 2, padding: .explicit(EdgeInsets(1)))))
  }

  @Test func networksOfTwoDefinitionsAreTwo() throws {
    let head = Head(classes: 5)
    let torch = try Architecture(named: "mobilenet_v2").graph(head)
    let keras = try Architecture(named: "mobilenet_v2_keras").graph(head)
    #expect(Self.holds(keras, keras))
    #expect(!Self.holds(torch, keras))
  }
}
