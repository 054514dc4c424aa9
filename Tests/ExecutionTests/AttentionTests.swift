// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawExecution
import ThawNetwork
import ThawOneDNN
import ThawReference
import ThawTensors
import ThawTestSupport

@Suite struct AttentionTests {
  private func plan(
    _ transformer: SmallTransformer, threads: Int, precision: Precision = .float32
  ) throws -> any InferencePlan {
    var engine = OneDNNEngine(training: ReferenceEngine<Float>())
    engine.threads = threads
    var graph = transformer.graph
    graph.precision = precision
    return try Compiler(inference: engine, training: engine).compileInference(
      graph, parameters: .procedural(for: graph), microBatch: 3, size: transformer.size)
  }

  private func images(_ transformer: SmallTransformer, _ count: Int) -> Tensor<Float> {
    .procedural(
      "image", shape: [count, 3, transformer.size.height, transformer.size.width], spread: 2)
  }

  @Test(arguments: SmallTransformer.all)
  func threadsAndNeighboursChangeNoBit(_ transformer: SmallTransformer) throws {
    let images = images(transformer, 5)
    let together = try plan(transformer, threads: 2).run(images).elements
    #expect(try plan(transformer, threads: 1).run(images).elements == together)
    let stride = images.count / 5
    for index in 0..<5 {
      let one = Tensor(
        images.elements[index * stride..<(index + 1) * stride],
        shape: Shape([1] + images.shape.extents.dropFirst()))
      let alone = try plan(transformer, threads: 1).run(one).elements
      #expect(alone == Array(together[index * 5..<(index + 1) * 5]))
    }
  }

  /// What is between layers has 8 bits of precision; attention itself is computed in Float32.
  @Test(arguments: SmallTransformer.all)
  func bfloat16IsCloseToFloat32(_ transformer: SmallTransformer) throws {
    let images = images(transformer, 3)
    let exact = try plan(transformer, threads: 1).run(images).elements.map(Double.init)
    let rounded = try plan(transformer, threads: 1, precision: .bfloat16).run(images).elements.map(
      Double.init)
    let largest = exact.map(abs).max() ?? 0
    expectClose(rounded, exact, relative: 0, absolute: 0.03 * largest)
    if OneDNNEngine.hasBFloat16 { #expect(rounded != exact) }
  }

  @Test func aSequenceThatIsTooShortIsRefused() throws {
    let selection = ThawNetwork.Operation.selectTokens(TokenSelection(first: 3, count: 2))
    #expect(throws: NetworkError.self) {
      try selection.resultShape(of: [[1, 8, 1, 4]], at: "token")
    }
    #expect(try selection.resultShape(of: [[1, 8, 1, 5]], at: "token") == [1, 8, 1, 2])
    let attention = ThawNetwork.Operation.attention(Attention(channels: 8, heads: 2))
    #expect(throws: NetworkError.self) {
      try attention.resultShape(of: [[1, 8, 1, 4]], at: "attention")
    }
  }

  @Test func parametersLieBesideTheNodeThatMakesTokens() {
    let names = SmallTransformer.odd.graph.parameters.map(\.path.description)
    #expect(names.contains("embed.cls_token") && names.contains("embed.pos_embed"))
    #expect(!names.contains { $0.hasPrefix("embed.tokens") })
  }
}
