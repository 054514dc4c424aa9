// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
import ThawArchives

/// How a checkpoint file is laid out.
package enum CheckpointFormat: String, Sendable, Hashable {
  /// Hugging Face safetensors.
  case safetensors
  /// PyTorch before 1.6: pickles followed by raw storages.
  case torchLegacy
  /// PyTorch 1.6 and later: a zip archive.
  case torchZip
  /// Keras: an HDF5 file of weights (`.h5`, `.weights.h5`), or a whole model in the legacy layout.
  case kerasWeights
  /// Keras 3: a zip archive with the configuration and the weights (`.keras`).
  case kerasArchive
  /// NumPy: a zip archive of arrays (`.npz`), or one array (`.npy`).
  case numPy
  /// ONNX: a graph of operations with its constants.
  case onnx
}

/// The tensors of a weight file by name, in the file's order.
package struct Checkpoint: Sendable {
  /// All tensors; names are unique.
  package let tensors: [StoredTensor]
  /// Texts that came with them: safetensors' own, what Keras says of the model; none from PyTorch.
  package let metadata: [String: String]
  /// The layout.
  package let format: CheckpointFormat
  /// Where it was read from.
  package let path: FilePath
  /// What a Keras file says of its model; nil when the file has weights only.
  package let kerasModel: KerasModel?
  /// What the file holds around the tensors; nil for formats that hold nothing else.
  package let surroundings: CheckpointSurroundings?
  private let positions: [String: Int]

  /// Key of ``metadata``: whether the layers of a Keras file have no names.
  package static let kerasLayers = "keras.layers"
  /// Its value when layers are called by class and number in the order of the model.
  package static let kerasLayersByPosition = "without names, numbered by class"

  /// Names are unique: every reader has checked it.
  package init(
    tensors: [StoredTensor], metadata: [String: String], format: CheckpointFormat, path: FilePath,
    kerasModel: KerasModel? = nil, surroundings: CheckpointSurroundings? = nil
  ) {
    self.tensors = tensors
    self.metadata = metadata
    self.format = format
    self.path = path
    self.kerasModel = kerasModel
    self.surroundings = surroundings
    positions = Dictionary(
      zip(tensors.map(\.name), tensors.indices), uniquingKeysWith: { first, _ in first })
  }

  /// The tensor called `name`, nil when there is none.
  package subscript(name: String) -> StoredTensor? { positions[name].map { tensors[$0] } }

  /// The same file with other tensors of it, or under other names.
  package func with(_ tensors: [StoredTensor]) -> Checkpoint {
    Checkpoint(
      tensors: tensors, metadata: metadata, format: format, path: path, kerasModel: kerasModel,
      surroundings: surroundings)
  }

  /// All names in the file's order.
  package var names: [String] { tensors.map(\.name) }
  /// Number of tensors.
  package var count: Int { tensors.count }
  /// Size of all elements in bytes.
  package var byteCount: Int { tensors.reduce(0) { $0 + $1.byteCount } }
}

/// What a checkpoint may have at most; generous against real ones, small against memory.
enum CheckpointLimits {
  static let tensors = 100_000
  static let rank = 8
  static let safetensorsHeader = 100_000_000
  static let pickle = 1 << 26
  static let pickleValues = 2_000_000
  static let pickleStack = 100_000
  /// Objects (groups and data sets) in an HDF5 file, and levels of groups.
  static let hdf5Objects = 200_000
  static let hdf5Depth = 32
  /// A JSON configuration: Keras's grow with the number of layers.
  static let configuration = 1 << 25

  /// Bytes that a file of `count` bytes may become when it is decompressed.
  static func decompressed(from count: Int) -> Int { ArchiveLimits.decompressed(from: count) }
}
