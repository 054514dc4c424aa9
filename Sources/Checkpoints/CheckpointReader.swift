// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
import ThawArchives

/// Reads weight files, whatever their names say; the format is told by the content.
///
/// Nothing from a file is ever executed, and every size is checked before memory is taken. Tensors
/// stay in the file until they are asked for.
package enum CheckpointReader {
  /// Opens a checkpoint and checks its whole structure (of a zip archive also the checksums).
  ///
  /// Formats:
  /// - safetensors;
  /// - PyTorch's `.pth` in both layouts: the tensors of the largest dictionary or module in it, by the
  ///   order of ``TorchStateDict/keys`` where several are as large; prefixes that wrappers put before
  ///   every name (`module.`) are removed; what else there is becomes ``Checkpoint/surroundings``;
  /// - plain pickles of NumPy arrays, as Detectron's model zoo has them;
  /// - Keras's `.h5`, `.weights.h5` and `.keras`: tensors are called `LAYER/VARIABLE`, for example
  ///   `conv1_bn/moving_mean`, and keep Keras's layout (kernels are height, width, in, out);
  /// - NumPy's `.npz` and `.npy` without pickled objects;
  /// - ONNX: the constants of its graph; see ``ONNXReader`` for the graph.
  ///
  /// - Parameter key: of several networks in a PyTorch file the one that is wanted, by its place
  ///   (`ema`); nil for the usual one. A file that has no such place is read as usual.
  /// - Throws: ``CheckpointError`` naming what the file is or what is wrong with it.
  package static func read(
    _ path: FilePath, key: String? = nil
  ) throws(CheckpointError) -> Checkpoint {
    let source = try ByteSource(path)
    switch source.kind {
    case .regular: return try read(source, key)
    case .directory:
      throw CheckpointError(path, .wrongFormat, "this is a directory")
    default:
      throw CheckpointError(path, .wrongFormat, "this is not a regular file")
    }
  }

  /// The same for a file that is in memory already; `path` is its name in messages.
  ///
  /// - Throws: ``CheckpointError``.
  package static func read(
    bytes: [UInt8], named path: FilePath, key: String? = nil
  ) throws(CheckpointError) -> Checkpoint {
    try read(ByteSource(bytes, path: path), key)
  }

  /// Whether a file looks like ONNX by its first bytes.
  ///
  /// - Throws: ``CheckpointError`` when it cannot be opened.
  package static func isONNX(_ path: FilePath) throws(CheckpointError) -> Bool {
    let source = try ByteSource(path)
    guard source.kind == .regular else { return false }
    let start = try source.bytes(at: 0, count: min(source.count, 512))
    return FileSignature(start, size: source.count) == .onnx
  }

  private static func read(
    _ source: ByteSource, _ key: String?
  ) throws(CheckpointError) -> Checkpoint {
    let start = try source.bytes(at: 0, count: min(source.count, 512))
    switch FileSignature(start, size: source.count) {
    case .zip: return try read(ZIPArchive(source), key)
    case .pickle: return try TorchLegacyReader.read(source, key)
    case .safetensors: return try SafetensorsReader.read(source)
    case .hdf5: return try KerasReader.read(source)
    case .numPyArray: return try NumPyReader.readArray(source)
    case .onnx:
      let model = try ONNXReader.read(source, .refused)
      return Checkpoint(
        tensors: model.graph.initializers, metadata: model.metadata, format: .onnx,
        path: source.path)
    case .other(let description):
      let isPointer = description.hasPrefix("a Git LFS pointer")
      throw CheckpointError(
        source.path, .wrongFormat, "this is \(description)",
        nextStep: isPointer ? "Fetch the file that it stands for: git lfs pull." : nil)
    }
  }

  /// A zip archive: told apart by what is in it.
  private static func read(
    _ archive: ZIPArchive, _ key: String?
  ) throws(CheckpointError) -> Checkpoint {
    if archive[KerasReader.weightsEntry] != nil { return try KerasReader.read(archive) }
    let names = archive.entries.map(\.name)
    if !names.isEmpty, names.allSatisfy({ $0.hasSuffix(".npy") }) {
      return try NumPyReader.read(archive)
    }
    return try TorchZipReader.read(archive, key)
  }
}
