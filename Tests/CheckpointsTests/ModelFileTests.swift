// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import Testing
import ThawCheckpoints
import ThawFiles
import ThawNetwork
import ThawTensors
import ThawTestSupport

struct ModelFileTests {
  private let directory: TemporaryDirectory
  private var path: FilePath { directory.path.appending("model.safetensors") }

  init() throws { directory = try TemporaryDirectory() }

  private let record = ModelRecord(
    thawVersion: "0.1.0", architecture: "tiny", classNames: ["caf\u{E9}", "a \"b\"\n", "ant"],
    preprocessing: #"{"size":224}"#,
    freezing: FreezePlan(trainable: [2, 1], trainableBatchNorm: .training),
    training: #"{"epochs":3}"#, notes: ["licence": "Apache-2.0"])

  private let parameters = Parameters([
    "fc.weight": Tensor([1, 2, 3, 4, 5, 6], shape: [3, 2]),
    "fc.bias": Tensor([0, -1, 9], shape: [3]),
  ])

  @Test func everythingComesBack() throws {
    try ModelFile.write(path, record, parameters)
    let found = try ModelFile.read(path)
    #expect(found.record == record)
    #expect(found.parameters == parameters)
    #expect(try ModelFile.isModelFile(CheckpointReader.read(path)))
  }

  @Test func precisionComesBackAndAnUnknownOneIsRefused() throws {
    var record = record
    record.precision = .bfloat16
    try ModelFile.write(path, record, parameters)
    #expect(try ModelFile.read(path).record.precision == .bfloat16)
    let error = try #require(try changed { $0["thaw.precision"] = "float8" })
    #expect(error.kind == .refused && error.description.contains("'float8'"))
  }

  @Test func equalModelsHaveEqualBytes() throws {
    try ModelFile.write(path, record, parameters)
    let first = try FileSystem.read(path)
    let found = try ModelFile.read(path)
    try ModelFile.write(path, found.record, found.parameters)
    #expect(try FileSystem.read(path) == first)
  }

  @Test func everyFlippedBitIsRefused() throws {
    try ModelFile.write(path, record, parameters)
    var bytes = try FileSystem.read(path)
    var accepted: [Int] = []
    for index in 0..<8 * bytes.count {
      bytes[index / 8] ^= 1 << (index % 8)
      do throws(CheckpointError) {
        _ = try ModelFile.read(CheckpointReader.read(bytes: bytes, named: "model.safetensors"))
        accepted.append(index)
      } catch {}
      bytes[index / 8] ^= 1 << (index % 8)
    }
    #expect(accepted.isEmpty)
  }

  /// A model file whose metadata was changed after it was written.
  private func changed(_ change: (inout [String: String]) -> Void) throws -> CheckpointError? {
    try ModelFile.write(path, record, parameters)
    let checkpoint = try CheckpointReader.read(path)
    var metadata = checkpoint.metadata
    change(&metadata)
    try SafetensorsWriter.write(path, checkpoint.tensors, metadata: metadata)
    return #expect(throws: CheckpointError.self) { try ModelFile.read(path) }
  }

  @Test func laterFormatsAreRefusedByName() throws {
    let error = try #require(try changed { $0["thaw.format"] = "5" })
    #expect(error.kind == .refused)
    #expect(error.description.contains("refuses model file format '5'"))
  }

  /// What was written before there was a choice is a softmax, in the same bytes; anything else has a
  /// format that older versions refuse, as they would take sigmoids for a softmax.
  @Test func outputsThatAreNoSoftmaxHaveAFormatOfTheirOwn() throws {
    try ModelFile.write(path, record, parameters)
    let metadata = try CheckpointReader.read(path).metadata
    #expect(metadata["thaw.format"] == "1" && metadata["thaw.output_activation"] == nil)
    #expect(try ModelFile.read(path).record.outputActivation == .softmax)
    var several = record
    several.outputActivation = .independentSigmoids
    several.thresholds = [0.5, 0.1, 0.12345679]
    try ModelFile.write(path, several, parameters)
    #expect(try CheckpointReader.read(path).metadata["thaw.format"] == "2")
    #expect(try ModelFile.read(path).record == several)
    several.classNames = ["no", "yes"]
    several.outputActivation = .singleSigmoid
    several.thresholds = []
    try ModelFile.write(path, several, parameters)
    #expect(try ModelFile.read(path).record == several)
  }

  /// A version that does not know them would answer with the most probable class, silently.
  @Test func thresholdsOfOneLabelHaveAFormatOfTheirOwn() throws {
    var decided = record
    decided.thresholds = [0, 0.25, 0.9]
    decided.thresholdChoice = "[]"
    try ModelFile.write(path, decided, parameters)
    let metadata = try CheckpointReader.read(path).metadata
    #expect(metadata["thaw.format"] == "3" && metadata["thaw.output_activation"] == "softmax")
    #expect(try ModelFile.read(path).record == decided)
    decided.thresholdChoice = "{"
    #expect(throws: CheckpointError.self) { try ModelFile.write(path, decided, parameters) }
  }

  @Test func impossibleOutputsAreRefused() throws {
    var bad = record
    bad.outputActivation = .singleSigmoid
    let three = #expect(throws: CheckpointError.self) { try ModelFile.write(path, bad, parameters) }
    #expect(three?.description.contains("two classes apart, 3 are named") == true)
    bad.outputActivation = .softmax
    bad.thresholds = [0.5, 0.5]
    #expect(throws: CheckpointError.self) { try ModelFile.write(path, bad, parameters) }
    bad.outputActivation = .independentSigmoids
    for thresholds: [Float] in [[0.5], [0.5, 2, 0.5], [0.5, .nan, 0.5]] {
      bad.thresholds = thresholds
      #expect(throws: CheckpointError.self) { try ModelFile.write(path, bad, parameters) }
    }
    let missing = try #require(try changed { $0["thaw.format"] = "2" })
    #expect(missing.description.contains("has no 'thaw.output_activation'"))
    let unknown = try #require(
      try changed {
        $0["thaw.format"] = "2"
        $0["thaw.output_activation"] = "tanh"
      })
    #expect(unknown.description.contains("not understood: 'tanh'"))
    let text = try #require(try changed { $0["thaw.thresholds"] = #"["a"]"# })
    #expect(text.description.contains("no list of numbers"))
  }

  @Test(arguments: [
    "thaw.format", "thaw.version", "thaw.architecture", "thaw.class_names", "thaw.preprocessing",
    "thaw.freezing", "thaw.training", "thaw.crc32",
  ])
  func aMissingEntryIsNamed(_ key: String) throws {
    let error = try #require(try changed { $0[key] = nil })
    #expect(error.kind == .wrongFormat)
    #expect(error.description.contains("has no '\(key)', so this is not a Thaw model file"))
  }

  @Test(arguments: [
    ("thaw.class_names", "[]"), ("thaw.class_names", "[1]"), ("thaw.class_names", #"["a","a"]"#),
    ("thaw.class_names", "ant"), ("thaw.freezing", "{}"), ("thaw.training", "{"),
    ("thaw.preprocessing", ""), ("thaw.architecture", ""),
    (
      "thaw.freezing",
      #"{"trainable_groups":[],"frozen_batch_norm":"x","trainable_batch_norm":"training"}"#
    ),
  ])
  func impossibleEntriesAreRefused(_ key: String, _ text: String) throws {
    let error = try #require(try changed { $0[key] = text })
    #expect(error.kind == .malformed)
  }

  @Test func aChangedClassNameIsNoticed() throws {
    let error = try #require(try changed { $0["thaw.class_names"] = #"["x","y","z"]"# })
    #expect(error.description.contains("damaged: its checksum is"))
  }

  @Test func recordsThatBreakARuleAreNotWritten() throws {
    var bad = record
    bad.classNames = ["a", "a"]
    #expect(throws: CheckpointError.self) { try ModelFile.write(path, bad, parameters) }
    bad = record
    bad.notes = ["thaw.version": "9"]
    #expect(throws: CheckpointError.self) { try ModelFile.write(path, bad, parameters) }
    bad = record
    bad.training = "no json"
    #expect(throws: CheckpointError.self) { try ModelFile.write(path, bad, parameters) }
    #expect(!FileSystem.exists(path))
  }

  @Test func aPlainCheckpointIsNoModelFile() throws {
    try SafetensorsWriter.write(path, [StoredTensor("a", Tensor([1], shape: [1]))])
    let error = #expect(throws: CheckpointError.self) { try ModelFile.read(path) }
    #expect(error?.description.contains("not a Thaw model file") == true)
  }
}
