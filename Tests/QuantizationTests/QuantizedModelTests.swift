// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import Testing
import ThawBackbones
import ThawCheckpoints
import ThawConsole
import ThawExecution
import ThawExports
import ThawFiles
import ThawGraphs
import ThawImages
import ThawInference
import ThawNetwork
import ThawOneDNN
import ThawQuantization
import ThawReference
import ThawRuns
import ThawTensors
import ThawTestSupport
import ThawTinyBackbone

/// A model in eight bits: how it is made, kept, refused and exported.
@Suite(.serialized) struct QuantizedModelTests {
  private static let classes = ["this", "that", "something else"]

  private func context() -> StageContext {
    StageContext(
      console: Console(isQuiet: true), threads: 2,
      pretrained: PretrainedStore(directory: TinyBackbone.directory))
  }

  /// The backbone of made-up weights on bytes, as the stage writes it.
  private func quantized(
    in directory: TemporaryDirectory, _ change: (inout QuantizeStage.Options) -> Void = { _ in }
  ) throws -> (result: QuantizationResult, file: FilePath) {
    let photos = directory.path.appending("photos")
    try TinyPhotos.write(to: photos, classes: Self.classes, count: 8)
    var options = QuantizeStage.Options()
    options.output = directory.path.appending("int8.safetensors")
    options.atMostPoints = 100
    change(&options)
    let result = try QuantizeStage(context: context()).quantize(
      ModelReference(TinyBackbone.name), data: LabelledPhotos(photos), options: options)
    return (result, directory.path.appending("int8.safetensors"))
  }

  @Test("The file keeps a quarter of the bytes and gives the same logits again")
  func fileKeepsEverything() throws {
    let directory = try TemporaryDirectory()
    let (result, file) = try quantized(in: directory)
    let before = try FileStatus(
      of: TinyBackbone.directory.appending("\(TinyBackbone.name).safetensors")
    ).size
    #expect(result.bytesAfter * 100 < before * 32)
    #expect(result.calibratedOn.count == 12 && result.judgedOn.count == 12)
    #expect(result.layers.count > 40)
    let read = try StoredModel(modelFile: file)
    #expect(read.graph.precision == .int8)
    let again = directory.path.appending("again.safetensors")
    try ModelFile.write(again, read.record, read.parameters)
    #expect(try FileSystem.read(again) == FileSystem.read(file))
    let pixels = ByteParityTests.noise(2, 32, 9)
    func logits(_ engine: some Engine) throws -> [Float] {
      try engine.compileInference(
        read.graph, operations: read.graph.fusedOperations, from: read.graph.nodes[0].id,
        parameters: read.parameters, microBatch: 2, size: Extent2D(32)
      ).run(pixels).elements
    }
    #expect(try logits(ByteParityTests.engine).allSatisfy(\.isFinite))
    if result.layers.allSatisfy({ $0.precision == "int8" }) {
      #expect(try logits(ByteParityTests.engine) == logits(ReferenceEngine<Float>()))
    }
  }

  @Test("An older version refuses the file, and a file without steps is damaged")
  func formats() throws {
    let directory = try TemporaryDirectory()
    let (_, file) = try quantized(in: directory)
    let checkpoint = try CheckpointReader.read(file)
    #expect(checkpoint.metadata["thaw.format"] == "4")
    #expect(checkpoint.tensors.contains { $0.elementType == .int8 })
    var (record, parameters) = try ModelFile.read(file)
    record.quantization = nil
    #expect(throws: CheckpointError.self) { try ModelFile.write(file, record, parameters) }
    record.quantization = Quantization(activations: [:], weights: [:])
    parameters["nobody.weight"] = nil
    record.precision = .float32
    #expect(throws: CheckpointError.self) { try ModelFile.write(file, record, parameters) }
  }

  @Test("A model that loses more than allowed is not written")
  func refusesLoss() throws {
    let directory = try TemporaryDirectory()
    let error = #expect(throws: PipelineError.self) {
      try quantized(in: directory) { $0.atMostPoints = -100 }
    }
    #expect(error?.description.contains("--at-most-points") == true)
    #expect(!FileSystem.exists(directory.path.appending("int8.safetensors")))
  }

  @Test("A model in eight bits is not quantized again, and not trained")
  func refusesTraining() throws {
    let directory = try TemporaryDirectory()
    let (_, file) = try quantized(in: directory)
    var options = QuantizeStage.Options()
    options.output = directory.path.appending("twice.safetensors")
    #expect(throws: PipelineError.self) {
      try QuantizeStage(context: context()).quantize(
        ModelReference(file.string), data: LabelledPhotos(directory.path.appending("photos")),
        options: options)
    }
    let model = try StoredModel(modelFile: file)
    #expect(throws: ExecutionError.trainingOnBytes) {
      try context().compiler.compile(
        model.graph, parameters: model.parameters, freezing: .freezing(to: -1, of: model.graph),
        microBatch: 2, batch: 2, size: Extent2D(32))
    }
  }

  @Test("A diagnosis of a model in eight bits is refused, and says what to diagnose")
  func refusesDiagnosis() throws {
    let directory = try TemporaryDirectory()
    let (_, file) = try quantized(in: directory)
    let error = #expect(throws: PipelineError.self) {
      try DiagnosePreprocessingStage(context: context()).diagnose(
        .model(
          ModelReference(file.string), data: LabelledPhotos(directory.path.appending("photos"))),
        photos: 8, seed: 1)
    }
    #expect(error?.description.contains("Diagnose the model it was made of") == true)
  }

  @Test("ONNX gets the bytes between QuantizeLinear and DequantizeLinear; ours is not read back")
  func exportsQDQ() throws {
    let directory = try TemporaryDirectory()
    let (result, file) = try quantized(in: directory)
    let output = directory.path.appending("int8.onnx")
    _ = try ExportStage(context: context()).export(
      ModelReference(file.string), to: .onnx, output: output)
    let model = try ONNXReader.read(output, externalData: .refused)
    let onBytes = result.layers.count { $0.precision == "int8" }
    #expect(model.graph.initializers.count { $0.elementType == .int8 } == 2 * onBytes)
    #expect(model.graph.nodes.contains { $0.operation == "QuantizeLinear" })
    #expect(
      try FileStatus(of: output).size * 100 < 40
        * FileStatus(of: TinyBackbone.directory.appending("tiny.safetensors")).size)
    let error = #expect(throws: (any Error).self) { try StoredModel(onnx: output) }
    #expect("\(error.map { "\($0)" } ?? "")".contains("Linear"))
    #expect(throws: PipelineError.self) {
      try ExportStage(context: context()).export(
        ModelReference(file.string), to: .safetensors,
        output: directory.path.appending("other.safetensors"))
    }
  }

  @Test("Another scale is another key of cached features")
  func cacheKey() throws {
    let directory = try TemporaryDirectory()
    let model = try StoredModel(modelFile: try quantized(in: directory).file)
    var other = model.graph
    guard let (path, scale) = model.graph.quantization?.activations.first else {
      Issue.record("nothing is on bytes")
      return
    }
    other.quantization?.activations[path] = ByteScale(scale: scale.scale * 2, zero: scale.zero)
    func key(_ graph: Graph) throws -> String {
      try FeatureCacheKey(
        graph, upTo: graph.output.id, parameters: model.parameters,
        preprocessing: model.preprocessing, engine: "int8"
      ).key()
    }
    #expect(try key(model.graph) != key(other))
  }
}
