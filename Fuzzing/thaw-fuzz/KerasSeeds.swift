// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import ThawCheckpoints
import ThawFiles

/// The Keras models of the tests: their configurations to start from, and arrays for what comes of them.
enum KerasSeeds {
  /// Empty when the program does not run in the repository's folder.
  static let checkpoints: [Checkpoint] = ["nested.keras", "flipped2.h5", "trainer.h5"].compactMap {
    try? CheckpointReader.read(FilePath("Tests/BackbonesTests/Fixtures/keras").appending($0))
  }

  static func write(into folder: FilePath) throws {
    for (index, checkpoint) in checkpoints.enumerated() {
      guard let json = checkpoint.kerasModel?.configuration else { continue }
      try AtomicFile.write(folder.appending("model-\(index).json"), text: json.serialized)
    }
  }
}
