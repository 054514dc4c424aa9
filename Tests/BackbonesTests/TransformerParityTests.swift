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

/// What `Tools/parity_transformers.py` recorded of one network of timm, torchvision or transformers.
struct TransformerFixture: Decodable {
  /// Thaw's name of the network.
  let name: String
  /// Names and shapes of all tensors as the library writes them.
  let tensors: [String: [Int]]
  let sizes: [[Int]]
  let logits: [[Double]]
  /// By parameter: the sum of gradient times probe, and the gradient's norm.
  let gradients: [String: [Double]]

  static let all: [String: TransformerFixture] = {
    guard let folder = Bundle.module.resourceURL?.appendingPathComponent("Fixtures"),
      let data = try? Data(contentsOf: folder.appendingPathComponent("transformers.json"))
    else { return [:] }
    return (try? JSONDecoder().decode([String: TransformerFixture].self, from: data)) ?? [:]
  }()

  static let classes = 20

  func graph() throws -> Graph {
    try Architecture(named: name).graph(Head(classes: TransformerFixture.classes))
  }

  func images(_ index: Int) -> Tensor<Float> {
    let (height, width) = (sizes[index][0], sizes[index][1])
    return .procedural("input.\(height)x\(width)", shape: [2, 3, height, width])
  }
}

@Suite struct TransformerParityTests {
  static let networks = [
    "CLIP", "SigLIP", "facebook, DINOv3", "timm", "timm, DINOv3", "timm, DINOv3 with gated units",
    "timm, SigLIP", "timm, distilled", "timm, mean", "timm, registers", "torchvision",
    "transformers, CLIP", "transformers, DINOv2",
    "transformers, DINOv2 with registers", "transformers, DINOv3",
    "transformers, DINOv3 with gated units", "transformers, DeiT", "transformers, SigLIP",
    "transformers, ViT",
  ]

  @Test func theFixtureHoldsTheNetworksListed() {
    #expect(TransformerFixture.all.keys.sorted() == Self.networks)
  }

  /// At the learned size and at another, not square one. Measured: within 2e-6 of the largest logit.
  @Test(arguments: networks, [true, false])
  func logitsAreThoseOfTheRealNetwork(_ key: String, onOneDNN: Bool) throws {
    let fixture = try #require(TransformerFixture.all[key])
    let graph = try fixture.graph()
    let reference = ReferenceEngine<Float>()
    let engine: any Engine = onOneDNN ? OneDNNEngine(training: reference) : reference
    for (index, size) in fixture.sizes.enumerated() {
      let plan = try Compiler(inference: engine, training: engine).compileInference(
        graph, parameters: .procedural(for: graph), microBatch: 2,
        size: Extent2D(height: size[0], width: size[1]))
      let logits = try plan.run(fixture.images(index)).elements.map(Double.init)
      let expected = fixture.logits[index]
      let largest = expected.map(abs).max() ?? 0
      expectClose(logits, expected, relative: 0, absolute: 2e-5 * largest, "\(key) at \(size)")
    }
  }

  /// In Double within 1e-5 of each gradient's norm, what the fixture's digits allow.
  @Test(arguments: networks)
  func gradientsInDoubleAreThoseOfTheRealNetwork(_ key: String) throws {
    let fixture = try #require(TransformerFixture.all[key])
    let graph = try fixture.graph()
    let plan = try ReferenceEngine<Double>().trainingPlan(
      graph, nodes: Array(graph.nodes.dropFirst()), from: graph.nodes[0].id,
      parameters: .procedural(for: graph), freezing: FreezePlan(trainable: graph.groups.indices),
      batch: 2, size: Extent2D(height: fixture.sizes[0][0], width: fixture.sizes[0][1]))
    let loss = Tensor<Float>.procedural("loss", shape: [2, TransformerFixture.classes])
    _ = try plan.forward(
      scalars: fixture.images(0).elements.map(Double.init), step: StepIdentity(seed: 0, step: 0))
    plan.backward(scalars: loss.elements.map(Double.init))
    #expect(Set(plan.trainable.map(\.path.description)) == Set(fixture.gradients.keys))
    try plan.withTrainableScalars { parameter, _, gradient in
      try compare(Array(gradient), parameter, fixture, within: 1e-5)
    }
  }

  /// Measured: within 1e-6 of the norms.
  @Test(arguments: networks)
  func gradientsOnOneDNNAreThoseOfTheRealNetwork(_ key: String) throws {
    let fixture = try #require(TransformerFixture.all[key])
    let graph = try fixture.graph()
    let plan = try OneDNNEngine(training: ReferenceEngine<Float>()).compileTraining(
      graph, nodes: Array(graph.nodes.dropFirst()), from: graph.nodes[0].id,
      parameters: .procedural(for: graph), freezing: FreezePlan(trainable: graph.groups.indices),
      batch: 2, size: Extent2D(height: fixture.sizes[0][0], width: fixture.sizes[0][1]))
    #expect(plan is OneDNNTrainingPlan)
    let loss = Tensor<Float>.procedural("loss", shape: [2, TransformerFixture.classes])
    var logits = Tensor<Float>(zeros: [2, TransformerFixture.classes])
    try logits.withUnsafeMutableElements { output in
      try fixture.images(0).withUnsafeElements {
        try plan.forward($0, step: StepIdentity(seed: 0, step: 0), into: output)
      }
    }
    try loss.withUnsafeElements { try plan.backward($0) }
    for parameter in plan.trainable {
      let gradient = try #require(plan.gradient(of: parameter.path)).elements.map(Double.init)
      try compare(gradient, parameter, fixture, within: 1e-4)
    }
  }

  private func compare(
    _ gradient: [Double], _ parameter: ParameterDescription, _ fixture: TransformerFixture,
    within tolerance: Double
  ) throws {
    let probe = Tensor<Float>.procedural("probe.\(parameter.path)", shape: parameter.shape)
    let expected = try #require(fixture.gradients[parameter.path.description])
    let projection = zip(gradient, probe.elements).reduce(0) { $0 + $1.0 * Double($1.1) }
    let norm = gradient.reduce(0) { $0 + $1 * $1 }.squareRoot()
    // A key's bias moves every score of a query alike: its gradient is rounding.
    let allowed = tolerance * max(expected[1], 1e-3)
    #expect(abs(norm - expected[1]) < allowed, "norm of \(parameter.path)")
    #expect(abs(projection - expected[0]) < 3 * allowed, "projection of \(parameter.path)")
  }

  @Test(arguments: VisionTransformerShape.published.map(\.name))
  func aSpelledNameIsReadBack(_ name: String) throws {
    let shape = try #require(VisionTransformerShape(name: name))
    #expect(VisionTransformerShape(spelled: shape.spelled) == shape)
    #expect(shape.name == name)
  }

  @Test func aNameThatSpellsNoNetworkIsRefused() {
    for name in [
      "vit_p16_g14x14_w384_d12_h5_m1536", "vit_p16_g14x14_w384_d12_h6", "vit_p0_g1x1_w8_d1_h1_m8",
      "vit_p16_g14x14_w384_d12_h6_m1536_noclass", "vit_p16_g14x14_w384_d12_h6_m1536_pos1",
      "vit_p16_g14x14_w384_d12_h6_m1536_reg0", "vit_p16_g14x14_w384_d12_h6_m1536_other",
      "vit_p16_g14x14_w999999999999_d12_h6_m1536", "vit_huge",
      "vit_p1000000_g1000000x1000000_w384_d12_h6_m1536",
      // Heads of 6 channels are not turned by rows and columns, nor is there anything to turn by.
      "vit_p16_g14x14_w24_d2_h4_m96_pos0_rope100", "vit_p16_g14x14_w384_d12_h6_m1536_pos0_rope1",
      "vit_p16_g14x14_w384_d12_h6_m1536_rope100", "vit_p16_g14x14_w384_d12_h6_m1536_pos0_ropebf16",
      "vit_p16_g14x14_w384_d12_h6_m1536_pos0_rope100.0",
    ] { #expect(VisionTransformerShape(name: name) == nil, "\(name)") }
  }
}
