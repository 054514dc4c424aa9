// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import Testing
import ThawBackbones
import ThawCheckpoints
import ThawConsole
import ThawExports
import ThawFiles
import ThawInference
import ThawNetwork
import ThawTensors
import ThawTestSupport
import ThawTinyBackbone

/// What was written is looked at again, and what is wrong in it is found.
struct ExportCheckTests {
  private let directory: TemporaryDirectory

  init() throws { directory = try TemporaryDirectory() }

  @Test func tensorsOfOtherBitsAreFound() throws {
    let file = directory.path.appending("out.safetensors")
    let one = StoredTensor("a", Tensor<Float>([1, 2, .nan], shape: [3]))
    let other = StoredTensor("b", Tensor<Float>([-0.0], shape: [1]))
    try SafetensorsWriter.write(file, [one, other])
    let check = try ExportCheck.tensors(file, named: "out", expected: [one, other])
    #expect(check.sameTensors == 2)
    let wrong: [([StoredTensor], String)] = [
      ([one, StoredTensor("b", Tensor<Float>([0], shape: [1]))], "other numbers in 'b'"),
      ([one], "2 tensors, 1 were written"),
      ([one, other, StoredTensor("c", Tensor<Float>([0], shape: [1]))], "no tensor 'c'"),
      ([one, StoredTensor("b", Tensor<Float>([-0.0], shape: [1, 1]))], "no tensor 'b' of shape"),
    ]
    for (expected, reason) in wrong {
      let error = #expect(throws: PipelineError.self) {
        try ExportCheck.tensors(file, named: "out", expected: expected)
      }
      #expect("\(error.map { "\($0)" } ?? "")".contains(reason))
    }
  }

  /// A file of another network, or with other weights, is none of this model.
  @Test func aNetworkThatAnswersOtherwiseIsFound() throws {
    let context = StageContext(
      console: Console(isQuiet: true), threads: 1,
      pretrained: PretrainedStore(directory: TinyBackbone.directory))
    let reference = ModelReference(TinyBackbone.name)
    let file = directory.path.appending("out.onnx")
    let result = try ExportStage(context: context).export(reference, to: .onnx, output: file)
    #expect(result.checks.first?.logitDifference ?? 1 < 1e-3)
    let model = try reference.read(context: context)
    var parameters = model.parameters
    let path = try #require(parameters.paths.last { $0.leaf == "weight" })
    let weight = try parameters.tensor(path)
    parameters[path] = Tensor(weight.elements.map { $0 * 1.5 }, shape: weight.shape)
    let other = StoredModel(
      graph: model.graph, parameters: parameters, preprocessing: model.preprocessing,
      record: model.record)
    let vector = try TestVector(of: other, context: context, source: "other")
    let error = #expect(throws: PipelineError.self) {
      try ExportCheck.onnx(file, named: "out", of: other, expected: vector, context: context)
    }
    #expect("\(error.map { "\($0)" } ?? "")".contains("gives logits that differ"))
    var named = model.record
    named.classNames[0] = "another name"
    let renamed = StoredModel(
      graph: model.graph, parameters: model.parameters, preprocessing: model.preprocessing,
      record: named)
    #expect(throws: PipelineError.self) {
      try ExportCheck.onnx(
        file, named: "out", of: renamed,
        expected: TestVector(of: model, context: context, source: "model"), context: context)
    }
  }
}
