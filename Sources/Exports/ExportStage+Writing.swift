// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import ThawBackbones
import ThawCheckpoints
import ThawConsole
import ThawFiles
import ThawGraphs
import ThawImages
import ThawInference
import ThawNetwork

/// A file on its way, and what is known of it.
struct Written {
  let stored: StoredModel
  let format: ExportStage.Format
  /// As its user knows it.
  let name: String
  /// Where it is written before it has its name.
  let file: FilePath
  let test: TestVector
  let temperature: Double?
  var tensors = 0
  var inputs: [ExportStage.Value]?
  var outputs: [ExportStage.Value]?
  var checks: [ExportCheck] = []
}

/// The formats, each with its check.
extension ExportStage {
  /// Under the names and in the axes of the file that the weights once came from.
  func give(_ written: inout Written, back original: FilePath) throws {
    let checkpoint = try CheckpointReader.read(original)
    guard checkpoint.metadata[Checkpoint.kerasLayers] != Checkpoint.kerasLayersByPosition else {
      throw PipelineError.data(
        "\(original.displayed): its layers have no names, so that nobody could find them. Give the whole"
          + " model, saved in Keras by model.save(\"yours.keras\").")
    }
    let stored = written.stored
    let tensors = try names(stored, original, checkpoint).tensors(stored.parameters)
    if written.format == .npz {
      try NumPyWriter.write(written.file, tensors)
    } else {
      try SafetensorsWriter.write(
        written.file, tensors, metadata: ["format": "pt"].merging(facts(written)) { $1 })
    }
    written.tensors = tensors.count
    written.checks.append(
      try ExportCheck.tensors(written.file, named: written.name, expected: tensors))
  }

  /// What everybody needs to know who has the file alone.
  private func facts(_ written: Written) throws -> [String: String] {
    var entries = try written.stored.record.onnxMetadata(for: written.file)
    entries["thaw.format"] = nil
    entries[ExportStage.testVector] = written.test.json.serialized
    return entries
  }

  /// The entry of the metadata that holds the test vector.
  private static let testVector = "thaw.test_vector"

  func writeONNX(_ written: inout Written, _ options: ONNXExporter.Options) throws {
    let stored = written.stored
    var options = options
    options.activation = stored.record.outputActivation
    if stored.record.outputActivation == .softmax { options.temperature = written.temperature }
    var metadata = try stored.record.onnxMetadata(for: written.file)
    metadata[ExportStage.testVector] = written.test.json.serialized
    let exported = try ONNXExporter.model(
      of: stored.graph, stored.parameters, preprocessing: stored.preprocessing,
      metadata: metadata, options: options, producer: ("thaw", thawVersion))
    try ONNXWriter.write(written.file, exported)
    if stored.graph.precision == .int8 {
      context.console.say(
        "\(written.name): eight bits as QuantizeLinear and DequantizeLinear. A runtime that computes"
          + " between them in Float32, or whose products saturate, moves logits by a few steps.")
    } else if stored.graph.precision != .float32 {
      context.console.warn(
        "\(written.name): the network is made for \(stored.graph.precision.rawValue), which Thaw reads"
          + " in the file; other programs compute it in Float32, and probabilities differ by about as much"
          + " as rounding moves them.")
    }
    written.tensors = exported.graph.initializers.count
    written.inputs = exported.graph.inputs.map(Value.init)
    written.outputs = exported.graph.outputs.map(Value.init)
    written.checks.append(
      try ExportCheck.onnx(
        written.file, named: written.name, of: stored.forOthers, expected: written.test,
        context: context))
  }

  func writeSafetensors(_ written: inout Written, _ names: Names) throws {
    let stored = written.stored
    let counters = stored.graph.nodes.compactMap { node -> ParameterPath? in
      guard case .batchNormalization = node.operation else { return nil }
      return node.path.appending("num_batches_tracked")
    }
    let tensors: [StoredTensor]
    switch names {
    case .torchvision:
      tensors =
        stored.parameters.paths.compactMap { path in
          stored.parameters[path].map { StoredTensor(path.description, $0) }
        } + counters.map { ExportStage.counter($0.description) }
      try ModelFile.write(
        written.file, stored.record, stored.parameters, counters: counters,
        more: [ExportStage.testVector: written.test.json.serialized])
    case .timm:
      tensors = try timmTensors(stored, counters)
      try SafetensorsWriter.write(
        written.file, tensors, metadata: try facts(written).merging(["format": "pt"]) { $1 })
    }
    written.tensors = tensors.count
    written.checks.append(
      try ExportCheck.tensors(written.file, named: written.name, expected: tensors))
  }

  private static func counter(_ name: String) -> StoredTensor {
    StoredTensor(name, .int64, [], bytes: [UInt8](repeating: 0, count: 8))
  }

  /// A network that is known by no name is described in the file itself.
  private func names(
    _ stored: StoredModel, _ original: FilePath, _ checkpoint: Checkpoint
  ) throws -> OriginalNames {
    guard stored.record.architecture == Architecture.onnxName else {
      return try OriginalNames(checkpoint, Architecture(named: stored.record.architecture))
    }
    let side = stored.preprocessing.inputSize
    guard let network = try KerasNetwork(checkpoint, freeSide: side) else {
      throw PipelineError.data(
        "\(original.displayed): where weights of such a network go is told by whole models of Keras"
          + " alone, .h5 and .keras. Leave --like out, and write onnx.")
    }
    return try OriginalNames(checkpoint, network)
  }

  /// With timm's names: for other programs, since a model file of Thaw has those of its graph.
  private func timmTensors(
    _ stored: StoredModel, _ counters: [ParameterPath]
  ) throws -> [StoredTensor] {
    let architecture = try? Architecture(named: stored.record.architecture)
    guard let theirs = architecture?.timmTensors(stored.graph),
      let tensors = architecture?.timmTensors(stored.graph, stored.parameters)
    else {
      throw PipelineError.usage(
        "timm has no network that is \(stored.record.architecture). Leave --names timm out.")
    }
    return tensors
      + counters.compactMap { counter in
        theirs[counter.parent.appending("running_mean")].map { place in
          ExportStage.counter(
            ParameterPath(place.name).parent.appending("num_batches_tracked").description)
        }
      }
  }

  func writePrograms(
    _ written: inout Written, _ places: ExportPlaces, in folder: FilePath, runtime: RuntimeCheck?
  ) throws {
    let stored = written.stored
    let isONNX = written.format == .onnx
    if isONNX {
      let python = folder.appending(places.python)
      try AtomicFile.write(python, text: PythonProgram.text)
      if let runtime {
        written.checks.append(
          try runtime.check(
            program: python, named: written.name, rounds: stored.graph.precision == .int8))
      }
      try AtomicFile.write(
        folder.appending(places.javaScript),
        text: JavaScriptProgram.text(
          of: stored, test: written.test, temperature: written.temperature,
          bytesGoIn: written.inputs?.first?.type == "uint8"))
    }
    let readme = ExportReadme(
      name: places.name, model: stored, test: written.test, temperature: written.temperature,
      format: written.format, inputs: written.inputs ?? [], outputs: written.outputs ?? [],
      checks: written.checks,
      programs: isONNX ? (places.python, places.javaScript) : nil)
    try AtomicFile.write(folder.appending(places.readme), text: readme.text)
  }
}
