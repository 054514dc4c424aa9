// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawBackbones
import ThawCheckpoints
import ThawGraphs
import ThawImages
import ThawNetwork
import ThawTensors

/// What ONNX Runtime computes of such files is checked by `Tools/check_export.py`.
@Suite struct ONNXTransformerTests {
  private func contract(side: Int) -> Preprocessing {
    .torch(inputSize: side)
  }

  private func exported(_ key: String, side: Int) throws -> (Graph, ONNXGraph) {
    let fixture = try #require(TransformerFixture.all[key])
    let graph = try fixture.graph()
    let model = try ONNXExporter.model(
      of: graph, .procedural(for: graph), preprocessing: contract(side: side))
    return (graph, model.graph)
  }

  @Test(arguments: TransformerParityTests.networks)
  func sequencesTravelAsRowsOfChannels(_ key: String) throws {
    let (graph, file) = try exported(key, side: 32)
    func count(_ operation: String) -> Int { file.nodes.count { $0.operation == operation } }
    // One convolution makes the patches; every dense layer over tokens is a product.
    let norms = graph.nodes.count {
      if case .layerNormalization = $0.operation { true } else { false }
    }
    #expect(count("Conv") == 1 && count("LayerNormalization") == norms)
    // Queries by keys and weights by values, and four dense layers a block, of a gated unit one more; the head
    // is a Gemm.
    let isGated = graph.nodes.contains { $0.operation == .multiply }
    // A pooling by attention has as many as a block, less queries' part of one.
    let pools = graph.nodes.contains { $0.path == "attn_pool" } ? 1 : 0
    #expect(count("MatMul") == 2 * (2 + (isGated ? 5 : 4)) + 6 * pools && count("Gemm") == 1)
    #expect(count("Softmax") == 2 + 1 + pools)
    // Around attention alone, not around layer norms: parts, keys, merged; and the patches, once.
    // The mean or a second token beside the class token, and a layer norm behind the mean, are of images.
    let joins = graph.nodes.first { $0.operation == .concatenate }.map { node in
      node.inputs.count { if case .selectTokens = graph[$0].operation { true } else { false } }
    }
    let isNormalised = graph.nodes.contains { $0.path == "fc_norm" }
    #expect(
      count("Transpose") == 2 * 3 + 1 + (joins ?? 0) + (isNormalised ? 2 : 0) + 3 * pools)
    let names = Set(file.initializers.map(\.name))
    let hasPositions = graph.parameters.contains { $0.path == "pos_embed" }
    #expect(names.isSuperset(of: ["blocks.0.attn.qkv.weight", "head.weight"]))
    #expect(names.contains("pos_embed") == hasPositions)
    #expect(names.contains("blocks.0.attn.cosines") == !hasPositions)
  }

  /// Positions for the file's own size, made when it is written.
  @Test(arguments: [32, 48]) func positionsAreThoseOfTheFilesSize(side: Int) throws {
    let (graph, file) = try exported("timm", side: side)
    let stored = try #require(file.initializers.first { $0.name == "pos_embed" })
    #expect(stored.shape == [1, 1 + side * side / 64, 48])
    let learned = try Parameters.procedural(for: graph).tensor("pos_embed").elements
    let values = try stored.floats().elements
    #expect(values.prefix(48) == learned.prefix(48))
    #expect((values == learned) == (side == 32))
  }

  @Test func linearWeightsAreTurned() throws {
    let (graph, file) = try exported("timm", side: 32)
    let stored = try #require(file.initializers.first { $0.name == "blocks.1.mlp.fc1.weight" })
    let own = try Parameters.procedural(for: graph).tensor("blocks.1.mlp.fc1.weight")
    #expect(own.shape == [96, 48] && stored.shape == [48, 96])
    let values = try stored.floats()
    #expect((0..<96).allSatisfy { values[7 * 96 + $0] == own[$0 * 48 + 7] })
  }
}
