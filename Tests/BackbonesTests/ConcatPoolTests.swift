// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawBackbones
import ThawCheckpoints
import ThawExecution
import ThawImages
import ThawInference
import ThawNetwork
import ThawOneDNN
import ThawReference
import ThawTensors
import ThawTestSupport

/// fastai's networks: a body, and a classifier on maxima and means side by side.
struct ConcatPoolTests {
  /// fastai's ResNet-18 with the parameters of `Tools/parity_fastai.py`, and its logits for two images.
  private static let logits: [Float] = [
    3.1470394379422224, -5.126528493174688, 9.451212970690678, 3.341437940892828,
    -4.9072125024365985, 9.120630814083896,
  ]

  private func checkpoint(
    _ change: (String) -> String? = { $0 }
  ) throws -> Checkpoint {
    let list = try NameMappingTests.checkpoint("fastai_resnet18", format: .torchZip)
    let tensors = list.tensors.compactMap { tensor -> StoredTensor? in
      guard let name = change(tensor.name) else { return nil }
      return StoredTensor(name, ConcatPoolTests.values(tensor.name, tensor.shape))
    }
    return Checkpoint(tensors: tensors, metadata: [:], format: .torchZip, path: "net")
  }

  private static func values(_ name: String, _ shape: Shape) -> Tensor<Float> {
    let fanIn = Double(shape.extents.dropFirst().reduce(1, *))
    let leaf = name.split(separator: ".").last ?? ""
    let (centre, spread): (Double, Double) =
      switch leaf {
      case "weight": shape.rank == 1 ? (1, 0.3) : (0, (6 / fanIn).squareRoot())
      case "bias": (0, 0.2)
      case "running_mean": (0, 0.3)
      default: (1, 0.5)
      }
    let factor = name.hasSuffix("bn2.weight") ? 0.2 : 1
    return .procedural(
      ParameterPath(name), shape: shape, centre: centre * factor, spread: spread * factor)
  }

  private func network(_ checkpoint: Checkpoint) throws -> (graph: Graph, parameters: Parameters) {
    let fit = try #require(try CheckpointIdentity(checkpoint, cards: []).best)
    #expect(fit.architecture == "resnet18" && fit.head == nil && fit.complaint == nil)
    let head = try #require(ConcatPoolHead(checkpoint, fit))
    #expect(head.classes == 3 && head.names.count == 10)
    return try head.network(fit, fit.parameters(of: checkpoint))
  }

  private func logits(
    _ engine: some Engine, _ graph: Graph, _ parameters: Parameters
  ) throws -> [Float] {
    try Compiler(inference: engine, training: engine).compileInference(
      graph, parameters: parameters, microBatch: 2, size: Extent2D(64)
    ).run(.procedural("input.64x64", shape: [2, 3, 64, 64])).elements
  }

  @Test func logitsAreFastaisOnBothEngines() throws {
    let (graph, parameters) = try network(checkpoint())
    let reference = ReferenceEngine<Float>()
    for found in [
      try logits(reference, graph, parameters),
      try logits(OneDNNEngine(training: reference), graph, parameters),
    ] {
      expectClose(found, ConcatPoolTests.logits, relative: 0, absolute: 1e-3, "fastai")
    }
  }

  @Test func itsStructureTravelsInAModelFile() throws {
    let (graph, parameters) = try network(checkpoint())
    let text = try ONNXStructure.text(of: graph, parameters, preprocessing: .torch())
    let record = ModelRecord(
      thawVersion: "0", architecture: Architecture.onnxName, classNames: ["a", "b", "c"],
      preprocessing: "", structure: text)
    let again = try Architecture.graph(
      of: record, parameters, head: Head(classes: 3), file: "model.safetensors")
    let found = try logits(ReferenceEngine<Float>(), again, parameters)
    expectClose(found, ConcatPoolTests.logits, relative: 0, absolute: 1e-3, "again")
  }

  @Test func aPrefixBeforeBothPartsIsFound() throws {
    let (graph, parameters) = try network(checkpoint { "learner.net." + $0 })
    let found = try logits(ReferenceEngine<Float>(), graph, parameters)
    expectClose(found, ConcatPoolTests.logits, relative: 0, absolute: 1e-3, "prefixed")
  }

  @Test func anythingElseInItsPlaceIsNoSuchClassifier() throws {
    for missing in ["1.6.weight", "1.8.weight", "1.2.running_mean"] {
      let checkpoint = try checkpoint { $0 == missing ? nil : $0 }
      let fit = try #require(try CheckpointIdentity(checkpoint, cards: []).best)
      #expect(ConcatPoolHead(checkpoint, fit) == nil, "\(missing)")
    }
  }
}
