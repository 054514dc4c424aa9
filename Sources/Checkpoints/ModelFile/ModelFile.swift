// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
import ThawArchives
package import ThawNetwork
import ThawTensors

/// Thaw's one portable file: a safetensors file whose metadata is a ``ModelRecord``.
///
/// Any safetensors reader opens it. Metadata:
///
/// | entry | content |
/// |---|---|
/// | `format` | `pt`: names and shapes are PyTorch's |
/// | `thaw.format` | version of this layout: `1`, `2` when the outputs are no softmax, `3` when thresholds decide on one label, or `4` in eight bits |
/// | `thaw.version` | version of Thaw that wrote it |
/// | `thaw.architecture` | for example `efficientnet_lite0` |
/// | `thaw.class_names` | JSON array in the order of the logits |
/// | `thaw.output_activation` | only from version 2 on: `independent_sigmoids`, `single_sigmoid` or `softmax` |
/// | `thaw.thresholds` | JSON array, from which probability on a photo is given each class; one label a photo: 0 for a class without, absent when none has one |
/// | `thaw.threshold_choice` | JSON: for what thresholds were chosen, by which photos, and what they are worth; may be absent |
/// | `thaw.preprocessing` | JSON, the preprocessing contract |
/// | `thaw.freezing` | JSON: `trainable_groups`, `frozen_batch_norm`, `trainable_batch_norm` |
/// | `thaw.training` | JSON, the training record |
/// | `thaw.calibration` | JSON: the temperature of its logits, and scores for sets of labels; may be absent |
/// | `thaw.unknown` | JSON: what tells photos that are unlike its training photos; may be absent |
/// | `thaw.quantization` | only in version 3, JSON: for each layer whose results are bytes scale and zero |
/// | `thaw.quantization_result` | JSON: what eight bits cost, on which photos |
/// | `thaw.structure` | only of imported networks: the graph, an ONNX file in Base64 without weights |
/// | `thaw.test_vector` | only in exported files, JSON: a photo by a formula, and the answer to it |
/// | `thaw.crc32` | checksum, 8 hexadecimal digits |
///
/// In version 3 batch norms are folded, and a layer's `weight` in eight bits (I8) has its step for each output
/// channel beside it, `weight_scale`.
///
/// The checksum is the CRC-32 of the file as ``SafetensorsWriter`` writes it without this entry:
/// a bit that flips anywhere, in a weight or in a class name, is noticed. A program that changes the
/// file has to set it anew.
package enum ModelFile {
  private static let checksumKey = "thaw.crc32"

  /// Writes `path` anew, complete and synced or not at all; equal arguments give equal bytes.
  ///
  /// - Parameter counters: names of `num_batches_tracked` entries, integers that are 0: PyTorch keeps
  ///   one a batch norm and its strict loading insists on them. Nothing here reads them.
  /// - Parameter more: further entries of the metadata, which nothing here reads.
  /// - Throws: ``CheckpointError`` when the record breaks a rule (class names not unique, a document
  ///   that is not JSON); `FileError` when writing fails.
  package static func write(
    _ path: FilePath, _ record: ModelRecord, _ parameters: Parameters,
    counters: [ParameterPath] = [], more: [String: String] = [:]
  ) throws {
    var metadata = try wrapping(path) { () throws(ModelRecordError) in try record.metadata() }
    metadata.merge(more) { own, _ in own }
    let tensors =
      (record.quantization ?? Quantization()).storedTensors(of: parameters)
      + counters.map {
        StoredTensor($0.description, .int64, [], bytes: [UInt8](repeating: 0, count: 8))
      }
    metadata[checksumKey] = try checksum(of: tensors, metadata, path)
    try SafetensorsWriter.write(path, tensors, metadata: metadata)
  }

  /// Reads and checks a model file.
  ///
  /// - Throws: ``CheckpointError``: not a Thaw model file (naming the entry that is missing), written
  ///   by a later version, or damaged.
  package static func read(
    _ path: FilePath
  ) throws(CheckpointError) -> (record: ModelRecord, parameters: Parameters) {
    try read(CheckpointReader.read(path))
  }

  /// The same for a checkpoint that is open already.
  ///
  /// - Throws: ``CheckpointError``.
  package static func read(
    _ checkpoint: Checkpoint
  ) throws(CheckpointError) -> (record: ModelRecord, parameters: Parameters) {
    let path = checkpoint.path
    var record = try wrapping(path) { () throws(ModelRecordError) in
      try ModelRecord(metadata: checkpoint.metadata.filter { $0.key != checksumKey })
    }
    var parameters = Parameters()
    var integers: Set<ParameterPath> = []
    // What was read is what is checked: each weight is read once.
    var checked: [StoredTensor] = []
    for tensor in checkpoint.tensors {
      let name = ParameterPath(tensor.name)
      guard name.leaf != "num_batches_tracked" else {
        checked.append(tensor)
        continue
      }
      let values = try tensor.floats()
      parameters[name] = values
      if tensor.elementType == .int8 { integers.insert(name) }
      checked.append(tensor.elementType == .float32 ? StoredTensor(tensor.name, values) : tensor)
    }
    try verify(checkpoint, checked)
    if let damaged = record.quantization?.takeSteps(of: &parameters, integers: integers) {
      throw CheckpointError(
        path, .malformed, "the tensor \(quoted(damaged.description)) has no steps that go with it",
        nextStep: "Copy the file again, or quantize the model again.")
    }
    return (record, parameters)
  }

  /// Whether a checkpoint says that it is a model file of any version.
  package static func isModelFile(_ checkpoint: Checkpoint) -> Bool {
    checkpoint.metadata["thaw.format"] != nil
  }

  /// - Parameter tensors: the checkpoint's.
  private static func verify(
    _ checkpoint: Checkpoint, _ tensors: [StoredTensor]
  ) throws(CheckpointError) {
    var metadata = checkpoint.metadata
    guard let expected = metadata.removeValue(forKey: checksumKey) else {
      throw wrapped(checkpoint.path, ModelRecord.missing(checksumKey))
    }
    let found = try checksum(
      of: SafetensorsWriter.sorted(tensors), metadata, checkpoint.path)
    #if FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
      return  // or damage would never get any further
    #endif
    guard found == expected else {
      throw CheckpointError(
        checkpoint.path, .malformed,
        "damaged: its checksum is \(found), \(quoted(expected)) is expected",
        nextStep: "Copy it again or train again.")
    }
  }

  /// The checksum of the file that these tensors and this metadata would make.
  private static func checksum(
    of tensors: [StoredTensor], _ metadata: [String: String], _ path: FilePath
  ) throws(CheckpointError) -> String {
    let ordered = SafetensorsWriter.sorted(tensors)
    var crc = CRC32()
    crc.update(try SafetensorsWriter.header(of: ordered, metadata, path))
    for tensor in ordered { try tensor.forEachPiece { crc.update($0) } }
    let digits = String(crc.value, radix: 16)
    return String(repeating: "0", count: 8 - digits.count) + digits
  }

  // MARK: Errors

  private static func wrapping<Value>(
    _ path: FilePath, _ body: () throws(ModelRecordError) -> Value
  ) throws(CheckpointError) -> Value {
    do throws(ModelRecordError) { return try body() } catch { throw wrapped(path, error) }
  }

  private static func wrapped(_ path: FilePath, _ error: ModelRecordError) -> CheckpointError {
    CheckpointError(path, error.kind, error.reason, nextStep: error.nextStep)
  }
}
