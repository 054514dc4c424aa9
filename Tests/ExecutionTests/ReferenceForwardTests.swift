// SPDX-License-Identifier: Apache-2.0

import Glibc
import Testing
import ThawExecution
import ThawNetwork
import ThawTensors
import ThawTestSupport

/// One convolution to try.
struct ConvolutionCase: Sendable, CustomTestStringConvertible {
  let testDescription: String
  let layer: Convolution2D

  init(
    _ name: String, _ inputs: Int, _ outputs: Int, kernel: Int, stride: Int = 1, dilation: Int = 1,
    padding: Padding = .explicit(EdgeInsets(0)), groups: Int = 1, bias: Bool = false
  ) {
    testDescription = name
    layer = Convolution2D(
      inputs: inputs, outputs: outputs,
      window: Window2D(kernel: kernel, stride: stride, dilation: dilation, padding: padding),
      groups: groups, hasBias: bias)
  }

  static let all = [
    ConvolutionCase("1x1", 4, 6, kernel: 1),
    ConvolutionCase("1x1 stride 2, bias", 4, 6, kernel: 1, stride: 2, bias: true),
    ConvolutionCase("3x3 same", 4, 6, kernel: 3, padding: .same),
    ConvolutionCase("3x3 stride 2 same", 4, 6, kernel: 3, stride: 2, padding: .same, bias: true),
    ConvolutionCase(
      "5x5 pad 2, 2 groups", 4, 6, kernel: 5, padding: .explicit(EdgeInsets(2)), groups: 2),
    ConvolutionCase(
      "3x3 dilation 2", 4, 3, kernel: 3, dilation: 2, padding: .explicit(EdgeInsets(2))),
    ConvolutionCase(
      "asymmetric", 4, 2, kernel: 3, stride: 2,
      padding: .explicit(EdgeInsets(top: 0, left: 2, bottom: 3, right: 1)), bias: true),
    ConvolutionCase("depthwise 3x3", 4, 4, kernel: 3, padding: .same, groups: 4, bias: true),
    ConvolutionCase(
      "depthwise 5x5 stride 2", 4, 4, kernel: 5, stride: 2, padding: .same, groups: 4),
    ConvolutionCase(
      "depthwise, multiplier 2, dilation 3", 4, 8, kernel: 3, dilation: 3, padding: .same, groups: 4
    ),
    ConvolutionCase(
      "padding wider than the kernel", 4, 4, kernel: 1, padding: .explicit(EdgeInsets(2)), groups: 4
    ),
  ]
}

/// One pooling to try.
struct PoolingCase: Sendable, CustomTestStringConvertible {
  let testDescription: String
  let kind: PoolingKind
  let window: Window2D

  static let all: [PoolingCase] = [
    ("max", PoolingKind.maximum), ("average", .average(includesPadding: true)),
    ("average of pixels", .average(includesPadding: false)),
  ].flatMap { name, kind in
    [
      ("2x2", Window2D(kernel: 2, stride: 2)),
      ("3x3 stride 2 pad 1", Window2D(kernel: 3, stride: 2, padding: .explicit(EdgeInsets(1)))),
      (
        "3x3 ceil",
        Window2D(kernel: 3, stride: 2, padding: .explicit(EdgeInsets(1)), roundsUp: true)
      ),
      ("2x2 stride 3 ceil", Window2D(kernel: 2, stride: 3, roundsUp: true)),
      ("3x3 same", Window2D(kernel: 3, stride: 2, padding: .same)),
    ].map { PoolingCase(testDescription: "\(name) \($0)", kind: kind, window: $1) }
  }
}

@Suite struct ReferenceForwardTests {
  /// Odd, even and tiny images.
  static let sizes = [Extent2D(height: 7, width: 10), Extent2D(height: 6, width: 5), Extent2D(4)]

  private func image(_ size: Extent2D, _ count: Int = 2, _ channels: Int = 4) -> Tensor<Float> {
    .procedural("image", shape: [count, channels, size.height, size.width], spread: 3)
  }

  @Test(arguments: ConvolutionCase.all, sizes)
  func convolutionIsTheSumOverTaps(_ convolution: ConvolutionCase, _ size: Extent2D) throws {
    guard convolution.layer.window.output(for: size) != nil else { return }
    let graph = singleLayer(.convolution(convolution.layer), channels: 4)
    let parameters = Parameters.procedural(for: graph)
    let input = image(size)
    let expected = Naive.convolution(
      convolution.layer, input, weight: try parameters.tensor("layer.weight"),
      bias: parameters["layer.bias"], output: try graph.shapes(batch: 2, size: size)[1])
    expectClose(
      try infer(graph, input, in: Double.self), expected, relative: 1e-13, absolute: 1e-13)
    expectClose(
      try infer(graph, input, in: Float.self).map(Double.init), expected, relative: 1e-5,
      absolute: 1e-5)
  }

  @Test(arguments: PoolingCase.all, sizes)
  func poolingIsTheMaximumOrMeanUnderTheWindow(_ pooling: PoolingCase, _ size: Extent2D) throws {
    let graph = singleLayer(.pooling(pooling.kind, pooling.window), channels: 4)
    // All negative, so that a zero of the padding would win a maximum.
    let input = Tensor<Float>.procedural(
      "image", shape: [2, 4, size.height, size.width], centre: -4, spread: 3)
    let shape = try graph.shapes(batch: 2, size: size)[1]
    let expected = Naive.pooling(pooling.kind, pooling.window, input, output: shape)
    expectClose(try infer(graph, input, in: Double.self), expected, relative: 1e-13)
    expectClose(try infer(graph, input, in: Float.self).map(Double.init), expected)
  }

  @Test(arguments: sizes) func globalPoolingSeesTheWholePlane(_ size: Extent2D) throws {
    let input = image(size, 3)
    let planes = stride(from: 0, to: input.count, by: size.height * size.width).map { start in
      input.elements[start..<(start + size.height * size.width)].map(Double.init)
    }
    expectClose(
      try infer(singleLayer(.globalAveragePooling, channels: 4), input, in: Double.self),
      planes.map { $0.reduce(0, +) / Double($0.count) }, relative: 1e-12, absolute: 1e-12)
    expectClose(
      try infer(singleLayer(.globalMaximumPooling, channels: 4), input, in: Double.self),
      planes.map { $0.max() ?? 0 }, relative: 1e-13)
  }

  @Test(arguments: Activation.allCases)
  func activationIsItsFormula(_ function: Activation) throws {
    let input = Tensor<Float>(
      [-800, -7, -3, -1, -0.5, 0, 0.25, 1, 3, 5.5, 6, 6.5, 90, 2.5, 800], shape: [1, 1, 3, 5])
    let expected = input.elements.map(Double.init).map { x in
      switch function {
      case .relu: max(x, 0)
      case .relu6: min(max(x, 0), 6)
      case .silu: x / (1 + exp(-x))
      case .sigmoid: 1 / (1 + exp(-x))
      case .gelu: x / 2 * erfc(-x / 2.0.squareRoot())
      case .geluTanh:
        x / (1 + exp(-2 * (2 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x)))
      case .quickGELU: x / (1 + exp(-1.702 * x))
      case .hardSigmoid: min(max(x / 6 + 0.5, 0), 1)
      case .hardSwish: x * min(max(x / 6 + 0.5, 0), 1)
      }
    }
    let graph = singleLayer(.activation(function), channels: 1)
    expectClose(try infer(graph, input, in: Double.self), expected, relative: 1e-13)
    expectClose(try infer(graph, input, in: Float.self).map(Double.init), expected, relative: 1e-6)
  }

  @Test(arguments: Activation.allCases)
  func notANumberIsNotHidden(_ function: Activation) throws {
    let input = Tensor<Float>([.nan, 1], shape: [1, 1, 1, 2])
    let output = try infer(singleLayer(.activation(function), channels: 1), input, in: Float.self)
    #expect(output[0].isNaN && !output[1].isNaN)
    let pooled = try infer(singleLayer(.globalMaximumPooling, channels: 1), input, in: Float.self)
    #expect(pooled[0].isNaN)
  }

  @Test func batchNormUsesRunningStatisticsInInference() throws {
    for (hasScale, hasShift) in [(true, true), (false, true), (true, false)] {
      let layer = BatchNormalization(
        channels: 4, epsilon: 1e-3, hasScale: hasScale, hasShift: hasShift)
      let graph = singleLayer(.batchNormalization(layer), channels: 4)
      let parameters = Parameters.procedural(for: graph)
      let input = image(Extent2D(3))
      let expected = Naive.build(input.shape) { n, c, y, x in
        func value(_ name: ParameterPath, _ fallback: Double) -> Double {
          parameters[name].map { Double($0[c]) } ?? fallback
        }
        let centred = Naive.at(input, n, c, y, x) - value("layer.running_mean", 0)
        return centred / (value("layer.running_var", 1) + 1e-3).squareRoot()
          * value("layer.weight", 1) + value("layer.bias", 0)
      }
      expectClose(
        try infer(graph, input, in: Double.self), expected, relative: 1e-12, absolute: 1e-12)
    }
  }

  @Test func headIsFlattenDenseAndDropoutIsTheIdentity() throws {
    var builder = GraphBuilder(name: "head", inputChannels: 2)
    builder.add("flatten", .flatten)
    builder.add("drop", .dropout(probability: 0.5))
    builder.add("fc", .dense(Dense(inputs: 12, outputs: 3)))
    let graph = builder.build()
    let parameters = Parameters.procedural(for: graph)
    let (weight, bias) = (try parameters.tensor("fc.weight"), try parameters.tensor("fc.bias"))
    let input = image(Extent2D(height: 2, width: 3), 5, 2)
    var expected: [Double] = []
    for n in 0..<5 {
      for o in 0..<3 {
        expected.append(
          (0..<12).reduce(Double(bias[o])) {
            $0 + Double(weight[o * 12 + $1]) * Double(input[n * 12 + $1])
          })
      }
    }
    expectClose(
      try infer(graph, input, in: Double.self), expected, relative: 1e-13, absolute: 1e-13)
  }

  @Test(arguments: sizes, [Extent2D(1), Extent2D(3), Extent2D(height: 7, width: 2), Extent2D(12)])
  func adaptivePoolingIsTheMeanOverItsShareOfTheImage(_ size: Extent2D, _ outputs: Extent2D) throws
  {
    let graph = singleLayer(.adaptiveAveragePooling(outputs), channels: 4)
    let input = image(size)
    expectClose(
      try infer(graph, input, in: Double.self), try NaiveNetwork.run(graph, Parameters(), input),
      relative: 1e-12, absolute: 1e-12)
  }

  @Test func layerNormAndScalesAgreeWithPlainLoops() throws {
    for graph in [
      TrainingNetworks.modern(stochasticDepth: 0.3), TrainingNetworks.gated(fromItself: false),
    ] {
      let input = Tensor<Float>.procedural("image", shape: [2, 3, 16, 16])
      let expected = try NaiveNetwork.run(graph, .procedural(for: graph), input)
      expectClose(
        try infer(graph, input, in: Double.self), expected, relative: 1e-11, absolute: 1e-11)
    }
  }

  @Test func addAndConcatenateJoinBranches() throws {
    var builder = GraphBuilder(name: "join", inputChannels: 2)
    let doubled = builder.add("sum", .add, [builder.input, builder.input])
    builder.add("join", .concatenate, [doubled, builder.input, doubled])
    let input = image(Extent2D(height: 2, width: 3), 2, 2)
    let expected = Naive.build([2, 6, 2, 3]) { n, c, y, x in
      Naive.at(input, n, c % 2, y, x) * (c / 2 == 1 ? 1 : 2)
    }
    expectClose(try infer(builder.build(), input, in: Double.self), expected, relative: 1e-15)
  }

  @Test func resultsDoNotDependOnTheNeighbours() throws {
    let graph = ParityNetworks.residual
    let size = Extent2D(height: 15, width: 17)
    let images = Tensor<Float>.procedural("images", shape: [5, 3, size.height, size.width])
    let together: [Float] = try infer(graph, images, microBatch: 3)
    for index in 0..<5 {
      let stride = images.count / 5
      let one = Tensor(
        images.elements[(index * stride)..<((index + 1) * stride)],
        shape: [1, 3, size.height, size.width])
      let alone: [Float] = try infer(graph, one, microBatch: 2)
      #expect(alone == Array(together[(index * 5)..<((index + 1) * 5)]))
    }
  }
}
