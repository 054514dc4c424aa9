// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import Testing
import ThawAnswers
import ThawBackbones
import ThawCheckpoints
import ThawConsole
import ThawImages
import ThawInference
import ThawNetwork
import ThawTensors
import ThawTestSupport

struct ExplanationTests {
  private let context = StageContext(
    console: Console(isQuiet: true), threads: 1, pretrained: PretrainedStore(directory: "none"))

  /// What follows the image of a small network.
  enum Head: CaseIterable { case linear, hidden, flattened }

  /// Two convolutions with relu, and a head of three classes.
  private func model(
    _ head: Head, change: (inout Parameters, Graph) -> Void = { _, _ in }
  ) -> StoredModel {
    var builder = GraphBuilder(name: "small", inputChannels: 3)
    for (name, inputs, outputs, stride) in [("conv1", 3, 8, 1), ("conv2", 8, 12, 2)] {
      builder.add(
        ParameterPath(name),
        .convolution(
          Convolution2D(
            inputs: inputs, outputs: outputs,
            window: Window2D(kernel: 3, stride: stride, padding: .explicit(EdgeInsets(1))),
            hasBias: true)))
      builder.add(ParameterPath("\(name)_relu"), .activation(.relu))
    }
    if head != .flattened { builder.add("pool", .globalAveragePooling) }
    builder.add("flatten", .flatten)
    builder.beginGroup("head")
    let features = head == .flattened ? 12 * SmallModel.side * SmallModel.side / 4 : 12
    if head == .hidden {
      builder.add("hidden", .dense(Dense(inputs: features, outputs: 10)))
      builder.add("hidden_relu", .activation(.relu))
      builder.add("drop", .dropout(probability: 0.5))
    }
    builder.add("fc", .dense(Dense(inputs: head == .hidden ? 10 : features, outputs: 3)))
    let graph = builder.build()
    var parameters = Parameters.procedural(for: graph)
    change(&parameters, graph)
    return SmallModel.stored(graph, parameters)
  }

  private func map(
    _ model: StoredModel, index: Int = 1, formula: ClassEvidence.Formula = .hiResCAM
  ) throws -> (evidence: ClassEvidence, map: ClassEvidence.Map) {
    let evidence = try ClassEvidence(model, source: "small", context: context)
    let map = try evidence.map(
      UnsafeBufferPointer(SmallModel.photo.elements), index: { _ in index }, formula: formula)
    return (evidence, map)
  }

  @Test(arguments: Head.allCases)
  func logitsAreTheClassifiers(_ head: Head) throws {
    let model = model(head)
    let classifier = try Classifier(
      [model], source: "small", compiler: context.compiler, threads: 1)
    let expected = try classifier.logits(UnsafeBufferPointer(SmallModel.photo.elements))
    let (evidence, map) = try map(model)
    expectClose(map.logits, expected.elements, relative: 1e-4, absolute: 1e-4)
    #expect(evidence.layer == "conv2_relu" && evidence.height == 8 && evidence.width == 8)
    #expect(map.values.count == 64 && evidence.isExact == (head != .hidden))
  }

  /// The class activation map: its values and the bias are the logit.
  @Test(arguments: [Head.linear, .flattened])
  func anExactMapAddsUpToTheLogit(_ head: Head) throws {
    let model = model(head)
    for index in 0..<3 {
      let (_, map) = try map(model, index: index)
      let sum = map.values.reduce(0.0) { $0 + Double($1) }
      let bias = Double(model.parameters["fc.bias"]?.elements[index] ?? 0)
      #expect(abs(sum + bias - Double(map.logits[index])) < 1e-3, "\(sum) + \(bias)")
    }
  }

  /// The sum of slopes times channels is the logit's slope when all channels grow alike, which central
  /// differences give: the channels grow with the last convolution's weights and bias.
  @Test func slopesAreThoseOfTheLogit() throws {
    func logits(_ factor: Float) throws -> [Float] {
      let model = model(.hidden) { parameters, _ in
        for name in ["conv2.weight", "conv2.bias"] {
          let path = ParameterPath(name)
          guard let tensor = parameters[path] else { continue }
          parameters[path] = Tensor(tensor.elements.map { $0 * factor }, shape: tensor.shape)
        }
      }
      return try Classifier([model], source: "small", compiler: context.compiler, threads: 1)
        .logits(UnsafeBufferPointer(SmallModel.photo.elements)).elements
    }
    let (more, less) = (try logits(1.001), try logits(0.999))
    for index in 0..<3 {
      let (_, map) = try map(model(.hidden), index: index)
      let expected = Double(more[index] - less[index]) / 0.002
      let sum = map.values.reduce(0.0) { $0 + Double($1) }
      #expect(abs(sum - expected) < 0.02 * abs(expected) + 0.02, "\(sum) for \(expected)")
    }
  }

  @Test func gradCAMIsTheSameWherePositionsWeighAlikeAndNotElsewhere() throws {
    let (_, one) = try map(model(.linear))
    let (_, other) = try map(model(.linear), formula: .gradCAM)
    expectClose(other.values, one.values, relative: 1e-3, absolute: 1e-5)
    let (_, here) = try map(model(.flattened))
    let (_, there) = try map(model(.flattened), formula: .gradCAM)
    let correlation = HeatMap(here.values, height: 8, width: 8)
      .correlation(with: HeatMap(there.values, height: 8, width: 8))
    #expect(try #require(correlation) < 0.95)
  }

  /// A map that stays when layers are drawn anew explains nothing of them.
  @Test(arguments: ["conv1.weight", "conv2.weight", "fc.weight"])
  func randomisedLayersGiveAnotherMap(_ name: String) throws {
    let (_, trained) = try map(model(.linear))
    let randomised = model(.linear) { parameters, _ in
      let path = ParameterPath(name)
      guard let tensor = parameters[path] else { return }
      let scale = tensor.elements.map(abs).max() ?? 1
      parameters[path] = Tensor(
        tensor.elements.indices.map {
          scale * (Float(($0 * 48_271 + 11) % 2003) / 1001 - 1)
        }, shape: tensor.shape)
    }
    let (_, other) = try map(randomised)
    let correlation = try #require(
      HeatMap(trained.values, height: 8, width: 8)
        .correlation(with: HeatMap(other.values, height: 8, width: 8)))
    #expect(correlation < 0.9, "\(correlation)")
  }

  /// A network that measures brightness finds the bright square, with gradients and without.
  @Test func theBrightSquareIsFoundByBothWays() throws {
    let bright = model(.linear) { parameters, graph in
      for description in graph.parameters {
        let isWeight = description.path.leaf == "weight"
        parameters[description.path] = Tensor(
          [Float](repeating: isWeight ? 0.05 : 0, count: description.shape.count),
          shape: description.shape)
      }
    }
    let pixels = AlignedStorage<Float>(count: 3 * SmallModel.side * SmallModel.side)
    for channel in 0..<3 {
      for row in 9..<14 {
        for column in 2..<7 {
          pixels.elements[(channel * SmallModel.side + row) * SmallModel.side + column] = 3
        }
      }
    }
    let input = UnsafeBufferPointer(pixels.elements)
    let evidence = try ClassEvidence(bright, source: "small", context: context)
    let values = try evidence.map(input, index: { _ in 0 }).values
    let heat = HeatMap(values, height: 8, width: 8)
    let occlusion = try OcclusionMap(bright, context: context)
    let spread = occlusion.spread(try occlusion.map(input, index: 0))
    let check = HeatMap(spread, height: SmallModel.side, width: SmallModel.side)
    for peak in [heat.peak, check.peak] {
      #expect((2.0...7).contains(peak.x * 16) && (9.0...14).contains(peak.y * 16), "\(peak)")
    }
    #expect(try #require(heat.correlation(with: check)) > 0.7)
  }

  @Test func mapsAreResizedByTheirCentres() {
    let map = HeatMap([0, 1, 2, 3], height: 2, width: 2)
    let large = map.resized(height: 4, width: 4)
    #expect(Array(large.values[0..<4]) == [0, 0.25, 0.75, 1])
    #expect(large.values[15] == 3)
    #expect(HeatMap([-1, 0, 1, 4], height: 2, width: 2).positive.values == [0, 0, 0.25, 1])
    #expect(HeatMap([1, 1], height: 1, width: 2).correlation(with: map) == nil)
  }

  /// The centre of what is hot together, not of another place that is warm, nor the corner of the hottest
  /// cell.
  @Test func thePeakIsTheCentreOfTheHottestArea() {
    let map = HeatMap(
      [
        0, 0, 0, 0, 0, 7,
        0, 8, 10, 0, 0, 0,
        0, 8, 10, 0, 0, 0,
        0, 0, 0, 0, 0, -3,
      ], height: 4, width: 6)
    let (x, y) = map.peak
    #expect(abs(x * 6 - (1.5 * 6 + 2.5 * 10) / 16) < 1e-9 && abs(y - 0.5) < 1e-9)
    let flat = HeatMap([-1, -1, -1, -1], height: 2, width: 2).peak
    #expect(flat.x == 0.25 && flat.y == 0.25)
  }
}
