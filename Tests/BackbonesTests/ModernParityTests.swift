// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing
import ThawBackbones
import ThawExecution
import ThawNetwork
import ThawOneDNN
import ThawReference
import ThawTensors
import ThawTestSupport

/// What `Tools/parity_modern.py` recorded of one network of torchvision, timm or Keras.
private struct ModernFixture: Decodable {
  let sizes: [[Int]]
  let scale: Double
  let logits: [[Double]]
  /// By parameter: the sum of gradient times probe, and the gradient's norm.
  let gradients: [String: [Double]]
  /// Names of all tensors, where they differ from ours.
  let tensors: [String]

  static let all: [String: ModernFixture] = {
    guard let folder = Bundle.module.resourceURL?.appendingPathComponent("Fixtures"),
      let data = try? Data(contentsOf: folder.appendingPathComponent("modern.json"))
    else { return [:] }
    return (try? JSONDecoder().decode([String: ModernFixture].self, from: data)) ?? [:]
  }()

  /// Our name of the network that `key` is about.
  static func architecture(_ key: String) throws -> Architecture {
    try Architecture(named: String(key.prefix { $0 != " " }))
  }

  /// The parameters that the recording used.
  func parameters(of graph: Graph) -> Parameters {
    var result = Parameters.procedural(for: graph)
    for parameter in graph.parameters where parameter.role == .normScale {
      result[parameter.path] = .procedural(
        parameter.path, shape: parameter.shape, centre: scale, spread: 0.3 * scale)
    }
    return result
  }

  func images(_ index: Int) -> Tensor<Float> {
    let (height, width) = (sizes[index][0], sizes[index][1])
    return .procedural("input.\(height)x\(width)", shape: [2, 3, height, width])
  }
}

@Suite struct ModernParityTests {
  static let networks = [
    "convnext_tiny", "convnext_tiny by timm", "efficientnet_b0", "efficientnet_b0 by timm",
    "efficientnet_b0_keras", "efficientnet_b1", "efficientnet_b1_keras", "efficientnet_b2",
    "efficientnet_lite0_timm", "efficientnetv2_rw_s", "efficientnetv2_rw_t", "regnetx_004",
    "regnety_008",
    "tf_efficientnet_b0", "tf_efficientnet_b2", "tf_efficientnetv2_b0", "tf_efficientnetv2_b2",
    "tf_efficientnetv2_s",
  ]
  private static let classes = 20

  @Test func theFixtureHoldsTheNetworksListed() {
    #expect(ModernFixture.all.keys.sorted() == Self.networks)
  }

  /// Measured: within 2e-5 of the largest logit on both engines; but the made-up weights of EfficientNetV2-rw-S
  /// amplify rounding, in which PyTorch's own single precision is 4e-5 away and Thaw's, with AVX-512, 1.1e-4.
  @Test(arguments: networks, [true, false])
  func logitsAreThoseOfTheRealNetwork(_ key: String, onOneDNN: Bool) throws {
    // The names differ, not the numbers: one engine is enough.
    if key.contains(" ") && !onOneDNN { return }
    let fixture = try #require(ModernFixture.all[key])
    let graph = try ModernFixture.architecture(key).graph(Head(classes: Self.classes))
    let reference = ReferenceEngine<Float>()
    let engine: any Engine = onOneDNN ? OneDNNEngine(training: reference) : reference
    let parameters = fixture.parameters(of: graph)
    for (index, size) in fixture.sizes.enumerated() {
      let plan = try Compiler(inference: engine, training: engine).compileInference(
        graph, parameters: parameters, microBatch: 2,
        size: Extent2D(height: size[0], width: size[1]))
      let logits = try plan.run(fixture.images(index)).elements.map(Double.init)
      let expected = fixture.logits[index]
      let largest = expected.map(abs).max() ?? 0
      let allowed = key == "efficientnetv2_rw_s" ? 3e-4 : 1e-4
      expectClose(logits, expected, relative: 0, absolute: allowed * largest, "\(key) at \(size)")
      for row in [0, Self.classes] {
        #expect(
          top(logits[row..<(row + Self.classes)]) == top(expected[row..<(row + Self.classes)]))
      }
    }
  }

  private func top(_ logits: ArraySlice<Double>) -> [Int] {
    Array(logits.indices.sorted { logits[$0] > logits[$1] }.prefix(5)).map {
      $0 - logits.startIndex
    }
  }

  /// Measured: norms within 1e-5, projections within 2e-5 of the norms.
  @Test(arguments: networks.filter { ModernFixture.all[$0]?.gradients.isEmpty == false })
  func gradientsAreThoseOfTheRealNetwork(_ key: String) throws {
    let fixture = try #require(ModernFixture.all[key])
    let graph = try ModernFixture.architecture(key).graph(Head(classes: Self.classes))
    let engine = OneDNNEngine(training: ReferenceEngine<Float>())
    let plan = try engine.compileTraining(
      graph, nodes: Array(graph.nodes.dropFirst()), from: graph.nodes[0].id,
      parameters: fixture.parameters(of: graph),
      freezing: FreezePlan(trainable: graph.groups.indices), batch: 2,
      size: Extent2D(height: fixture.sizes[0][0], width: fixture.sizes[0][1]))
    #expect(plan is OneDNNTrainingPlan)
    let loss = Tensor<Float>.procedural("loss", shape: [2, Self.classes])
    var logits = Tensor<Float>(zeros: [2, Self.classes])
    try logits.withUnsafeMutableElements { output in
      try fixture.images(0).withUnsafeElements {
        try plan.forward($0, step: StepIdentity(seed: 0, step: 0), into: output)
      }
    }
    try loss.withUnsafeElements { try plan.backward($0) }
    #expect(Set(plan.trainable.map(\.path.description)) == Set(fixture.gradients.keys))
    for parameter in plan.trainable {
      let gradient = try #require(plan.gradient(of: parameter.path)).elements.map(Double.init)
      let probe = Tensor<Float>.procedural(
        "probe.\(parameter.path)", shape: parameter.shape)
      let expected = try #require(fixture.gradients[parameter.path.description])
      let projection = zip(gradient, probe.elements).reduce(0) { $0 + $1.0 * Double($1.1) }
      let norm = gradient.reduce(0) { $0 + $1 * $1 }.squareRoot()
      let allowed = 1e-4 * max(expected[1], 1e-6)
      #expect(abs(norm - expected[1]) < allowed, "norm of \(parameter.path) in \(key)")
      #expect(
        abs(projection - expected[0]) < 3 * allowed, "projection of \(parameter.path) in \(key)")
    }
  }

  @Test(arguments: networks.filter { $0.contains(" ") })
  func everyTensorOfTimmHasItsPlace(_ key: String) throws {
    let fixture = try #require(ModernFixture.all[key])
    let architecture = try ModernFixture.architecture(key)
    let graph = architecture.graph(Head(classes: Self.classes))
    let found = fixture.tensors.compactMap { architecture.path(of: $0, naming: .published) }
    #expect(found.count == graph.parameters.count)
    #expect(Set(found) == Set(graph.parameters.map(\.path)))
    // Names that are ours already stay, and strange ones come back to be reported.
    for path in graph.parameters.map(\.path) {
      #expect(architecture.path(of: path.description, naming: .native) == path)
    }
    #expect(architecture.path(of: "blocks.9", naming: .published) == "blocks.9")
    #expect(architecture.path(of: "stages.0.blocks.0.odd.weight", naming: .published) != nil)
  }

  @Test func stochasticDepthIsOffUnlessAskedFor() throws {
    func depths(_ graph: Graph) -> [Double] {
      graph.nodes.compactMap {
        if case .stochasticDepth(let probability) = $0.operation { probability } else { nil }
      }
    }
    let head = Head(classes: 2)
    let efficient = try #require(EfficientNet(variant: 0))
    let modern = try #require(ConvNeXt(size: "tiny"))
    #expect(depths(efficient.graph(head: head)).isEmpty && depths(modern.graph(head: head)).isEmpty)
    // torchvision's: 0.2 * 2 / 16 in the first block with a shortcut; 0.1 in ConvNeXt's last block.
    #expect(depths(efficient.graph(head: head, stochasticDepth: 0.2)).first == 0.2 * 2 / 16)
    let rising = depths(modern.graph(head: head, stochasticDepth: 0.1))
    #expect(rising.count == 17 && rising.last == 0.1 && rising == rising.sorted())
  }
}
