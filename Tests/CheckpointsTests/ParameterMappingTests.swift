// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawCheckpoints
import ThawNetwork
import ThawTensors
import ThawTestSupport

struct ParameterMappingTests {
  private let graph: Graph = {
    var builder = GraphBuilder(name: "tiny", inputChannels: 2)
    builder.add("fc", .dense(.init(inputs: 2, outputs: 3, hasBias: true)))
    return builder.build()
  }()

  private let weight = StoredTensor("fc.weight", Tensor([1, 2, 3, 4, 5, 6], shape: [3, 2]))
  private let bias = StoredTensor("fc.bias", Tensor([7, 8, 9], shape: [3]))

  /// A checkpoint of `tensors`, through a file.
  private func checkpoint(_ tensors: [StoredTensor]) throws -> Checkpoint {
    let directory = try TemporaryDirectory()
    let path = directory.path.appending("a.safetensors")
    try SafetensorsWriter.write(path, tensors)
    return try CheckpointReader.read(path)
  }

  private func complaint(
    _ tensors: [StoredTensor], _ rename: (String) -> ParameterPath? = { ParameterPath($0) }
  ) throws -> String {
    let checkpoint = try checkpoint(tensors)
    let error = #expect(throws: CheckpointError.self) {
      try checkpoint.parameters(renaming: rename, for: graph)
    }
    #expect(error?.kind == .mismatch)
    return error?.description ?? ""
  }

  @Test func tensorsAreRenamedAndCountersPassedOver() throws {
    let counter = StoredTensor("fc.num_batches_tracked", .int64, [], bytes: littleEndian(Int64(1)))
    let extra = StoredTensor("aux.weight", Tensor([1], shape: [1]))
    let tensors = [
      weight.renamed("classifier.weight"), bias.renamed("classifier.bias"), counter, extra,
    ]
    let parameters = try checkpoint(tensors).parameters(
      renaming: { name in
        name.hasPrefix("aux.")
          ? nil
          : ParameterPath(name.hasPrefix("classifier.") ? "fc." + name.dropFirst(11) : name)
      }, for: graph)
    #expect(parameters.paths == ["fc.bias", "fc.weight"])
    #expect(parameters["fc.bias"]?.elements == [7, 8, 9])
    #expect(parameters["fc.weight"]?.shape == [3, 2])
  }

  @Test func everythingThatDoesNotFitIsListed() throws {
    let extras = (10..<25).map { StoredTensor("x\($0)", Tensor([1], shape: [1])) }
    let wrong = StoredTensor("fc.bias", Tensor([7, 8], shape: [2]))
    let text = try complaint(extras + [wrong])
    #expect(text.contains("1 missing: 'fc.weight'; 15 unexpected: 'x10', 'x11'"))
    #expect(text.contains("'x19', …; 1 unfitting: 'fc.bias' is [2], the layer expects [3]"))
    #expect(!text.contains("x20"))
  }

  @Test func transposedAndIntegerTensorsDoNotFit() throws {
    let transposed = StoredTensor("fc.weight", Tensor([1, 2, 3, 4, 5, 6], shape: [2, 3]))
    #expect(try complaint([transposed, bias]).contains("is [2, 3], the layer expects [3, 2]"))
    let integers = StoredTensor("fc.bias", .int8, [3], bytes: [1, 2, 3])
    #expect(try complaint([weight, integers]).contains("'fc.bias' is of type I8"))
  }

  @Test func twoTensorsCannotStandForOneParameter() throws {
    let text = try complaint([weight, bias, bias.renamed("b")]) { name in
      ParameterPath(name == "b" ? "fc.bias" : name)
    }
    #expect(text.contains("stands for 'fc.bias' like"))
  }
}
