// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawExecution
import ThawNetwork
import ThawOneDNN
import ThawTensors
import ThawTestSupport

/// 3x3 convolutions by Winograd's algorithm against plain loops in Double.
@Suite struct WinogradTests {
  struct Example: Sendable, CustomTestStringConvertible {
    var inputs = 64
    var outputs = 64
    var size = Extent2D(14)
    var padding = Padding.explicit(EdgeInsets(1))
    var images = 1
    /// The side of a tile.
    var tile = 4

    var testDescription: String { "\(inputs)->\(outputs) \(size) \(padding) \(tile)x\(tile)" }

    var layer: Convolution2D {
      Convolution2D(
        inputs: inputs, outputs: outputs, window: Window2D(kernel: 3, padding: padding),
        hasBias: true)
    }

    static let all = [
      Example(),
      // Tiles that reach beyond the image, more of them than are computed at once, several images.
      Example(size: Extent2D(height: 27, width: 26), images: 3),
      Example(inputs: 32, outputs: 96, size: Extent2D(height: 15, width: 57)),
      Example(inputs: 160, outputs: 32, size: Extent2D(height: 33, width: 13)),
      Example(size: Extent2D(height: 19, width: 22), padding: .explicit(EdgeInsets(0))),
      Example(
        size: Extent2D(15), padding: .explicit(EdgeInsets(top: 0, left: 2, bottom: 3, right: 1))),
      Example(inputs: 96, outputs: 64, size: Extent2D(7), tile: 2),
      Example(size: Extent2D(height: 9, width: 10), images: 2, tile: 2),
      Example(size: Extent2D(9), padding: .explicit(EdgeInsets(0)), tile: 2),
    ]
  }

  /// What may stand behind a convolution.
  enum Ending: CaseIterable {
    case nothing
    case relu
    /// A batch norm, what the convolution read, a rectifier.
    case ownInput
    /// The same with another addend, which is not needed afterwards.
    case lastUse
    /// The same, which is.
    case laterUse
    case relu6
    /// Another function than a rectifier.
    case silu
    /// A rectifier before the addition.
    case early
  }

  /// A first layer, so that images lie in the order that kernels want.
  static func started(_ name: String, channels: Int) -> GraphBuilder {
    var builder = GraphBuilder(name: name, inputChannels: 3)
    builder.add(
      "start",
      .convolution(
        Convolution2D(inputs: 3, outputs: channels, window: Window2D(kernel: 1), hasBias: true)))
    return builder
  }

  private static func network(_ example: Example, _ ending: Ending) -> Graph {
    var builder = started("\(ending)", channels: example.inputs)
    let start = builder.last
    let other = builder.add("other", .convolution(example.layer), [start])
    builder.add("conv", .convolution(example.layer), [start])
    switch ending {
    case .nothing: break
    case .relu: builder.add("act", .activation(.relu))
    case .ownInput, .lastUse, .laterUse:
      let addend = ending == .ownInput && isSquare(example) ? start : other
      builder.add("bn", .batchNormalization(BatchNormalization(channels: example.outputs)))
      builder.add("sum", .add, [builder.last, addend])
      builder.add("act", .activation(.relu))
      if ending == .laterUse { builder.add("again", .add, [builder.last, addend]) }
    case .relu6: builder.add("act", .activation(.relu6))
    case .silu: builder.add("act", .activation(.silu))
    case .early:
      builder.add("act", .activation(.relu))
      builder.add("sum", .add, [builder.last, other])
    }
    return builder.build()
  }

  /// Whether results lie as inputs do.
  private static func isSquare(_ example: Example) -> Bool {
    example.inputs == example.outputs && example.padding == .explicit(EdgeInsets(1))
  }

  /// Transformed numbers are larger than what they stand for, so errors go with the largest result: sums of
  /// up to 1440 products were 2e-6 of it off.
  private static func expectAgreement(_ example: Example, _ ending: Ending) throws {
    let graph = network(example, ending)
    let parameters = SampleNetworks.parameters(of: graph)
    let input = SampleNetworks.noise([example.images, 3, example.size.height, example.size.width])
    let plan = try OneDNNEngine.plan(
      graph, parameters: parameters, size: example.size, threads: 2)
    let kernels = try plan.parts().filter { "\($0.layer)" == "conv" }.map(\.kernel)
    #expect(kernels.first == "winograd \(example.tile)x\(example.tile)")
    let expected = try NaiveNetwork.run(graph, parameters, input)
    let largest = try #require(expected.map(abs).max())
    expectClose(
      try plan.run(input).elements.map(Double.init), expected, relative: 1e-6,
      absolute: 5e-6 * largest, "\(example.testDescription) \(ending)")
  }

  @Test(arguments: Example.all)
  func extentsAgreeWithPlainLoops(_ example: Example) throws {
    try Self.expectAgreement(example, .nothing)
    try Self.expectAgreement(example, .lastUse)
  }

  @Test(arguments: Ending.allCases)
  func whatFollowsAgreesWithPlainLoops(_ ending: Ending) throws {
    // More tiles than are computed at once.
    try Self.expectAgreement(Example(size: Extent2D(height: 25, width: 30)), ending)
    try Self.expectAgreement(Example(size: Extent2D(8), tile: 2), ending)
  }

  /// The kernels of every instruction set, each in a process of its own. The blocks of channels are
  /// oneDNN's, so narrower vectors compute a block in pieces.
  @Test func everyInstructionSetAgreesWithPlainLoops() async throws {
    await #expect(processExitsWith: .success) {
      KernelInstructions.plain.limit()
      for example in Example.all { try Self.expectAgreement(example, .laterUse) }
    }
    await #expect(processExitsWith: .success) {
      KernelInstructions.avx2.limit()
      for example in Example.all { try Self.expectAgreement(example, .laterUse) }
    }
  }

  /// However an image is cut and whatever is computed beside it.
  @Test(arguments: Example.all)
  func anyNumberOfThreadsAndImagesGivesTheSameBits(_ example: Example) throws {
    let graph = Self.network(example, .laterUse)
    let size = example.size
    let photos = SampleNetworks.noise([4, 3, size.height, size.width])
    let expected = try OneDNNEngine.plan(graph, size: size, threads: 1).run(photos)
    let perImage = expected.count / 4
    for threads in 2...5 {
      let plan = try OneDNNEngine.plan(graph, size: size, threads: threads)
      #expect(try plan.run(photos) == expected)
      let photo = Tensor(
        Array(photos.elements[..<(photos.count / 4)]), shape: [1, 3, size.height, size.width])
      #expect(try plan.run(photo).elements == Array(expected.elements[..<perImage]))
    }
  }

  /// Too small, too few channels, strides, groups, other kernels: computed, but not this way.
  @Test func otherConvolutionsGoTheirOwnWay() throws {
    for example in [
      Example(size: Extent2D(3)), Example(inputs: 16), Example(inputs: 64, outputs: 24),
    ] {
      let kernel = try Self.kernel(example.layer, example.size)
      #expect(!kernel.isEmpty && !kernel.contains("winograd"))
    }
    var strided = Example().layer
    strided.window.stride = Extent2D(2)
    var dilated = Example().layer
    dilated.window.dilation = Extent2D(2)
    for layer in [strided, dilated] {
      #expect(try Self.kernel(layer, Extent2D(14)).contains("winograd") == false)
    }
  }

  private static func kernel(_ layer: Convolution2D, _ size: Extent2D) throws -> String {
    var builder = started("other", channels: layer.inputs)
    builder.add("conv", .convolution(layer))
    let plan = try OneDNNEngine.plan(builder.build(), size: size, threads: 2)
    return try plan.parts().first { "\($0.layer)" == "conv" }?.kernel ?? ""
  }
}

/// The same in training: forward, and back to the source, with weights that are transformed for each step.
@Suite(.serialized) struct WinogradTrainingTests {
  @Test(arguments: WinogradTests.Example.all)
  func gradientsAgreeWithTheReference(_ example: WinogradTests.Example) throws {
    var builder = WinogradTests.started("trained", channels: example.inputs)
    builder.add("conv", .convolution(example.layer))
    builder.add("bn", .batchNormalization(BatchNormalization(channels: example.outputs)))
    builder.add("act", .activation(.relu6))
    builder.add("pool", .globalAveragePooling)
    builder.add("flatten", .flatten)
    let graph = builder.build()
    for mode in [BatchNormMode.inference, .training] {
      let pair = try TrainingPair(
        graph, freezing: everything(in: graph, mode), batch: 3, size: example.size)
      try pair.expectAgreement(images: example.images)
      // The next step has other weights.
      for plan in [pair.plan, pair.reference] as [any TrainingPlan] {
        plan.clearGradients()
        plan.withTrainable { _, values, _ in
          for index in values.indices { values[index] *= index.isMultiple(of: 2) ? 0.75 : 1.25 }
        }
      }
      try pair.expectAgreement(images: example.images)
    }
  }

  /// The last size has more tiles than are computed at once, so that a result could be written over what is
  /// still to be read.
  @Test(arguments: 1...6, [Extent2D(8), Extent2D(height: 9, width: 14), Extent2D(30)])
  func residualForms(_ form: Int, _ size: Extent2D) throws {
    let graph = TrainingNetworks.residualForm(form, channels: 32)
    for mode in [BatchNormMode.inference, .training] {
      let pair = try TrainingPair(
        graph, freezing: everything(in: graph, mode), batch: 3, size: size)
      try pair.expectAgreement(images: 3)
    }
  }

  /// The layer whose result first is not finite is named, also where its rectifier would hide that.
  @Test func theFirstLayerThatIsNotFiniteIsFound() throws {
    var builder = WinogradTests.started("broken", channels: 64)
    let layer = WinogradTests.Example().layer
    for name in ["first", "second", "third"] {
      builder.add(ParameterPath(name), .convolution(layer))
      builder.add(ParameterPath("\(name)_act"), .activation(.relu))
    }
    builder.add("pool", .globalAveragePooling)
    builder.add("flatten", .flatten)
    let graph = builder.build()
    var parameters = Parameters.procedural(for: graph)
    var bias = try #require(parameters["second.bias"]).elements
    bias[5] = -.infinity
    parameters["second.bias"] = Tensor(bias, shape: [64])
    let pair = try TrainingPair(
      graph, freezing: everything(in: graph), batch: 2, size: Extent2D(14), parameters: parameters)
    let found = try pair.images(2).withUnsafeElements {
      try pair.plan.firstNonFiniteLayer($0, step: StepIdentity(seed: 5, step: 3))
    }
    #expect(found == "second")
  }
}
