// SPDX-License-Identifier: Apache-2.0

import Foundation
package import SystemPackage
import ThawBackbones
import ThawCheckpoints
import ThawFiles
import ThawNetwork
import ThawTensors

/// A folder like `Pretrained/` with one card whose weights are made up, so that the tests need no
/// download. It is made once a test run.
package enum TinyBackbone {
  /// The card's name.
  package static let name = "tiny"
  /// The folder.
  package static let directory: FilePath = {
    let path = FilePath(
      FileManager.default.temporaryDirectory.appendingPathComponent("thaw-tests-tiny-\(getpid())")
        .path)
    atexit { TinyBackbone.remove() }
    do { try write(to: path) } catch {
      // Tests need it everywhere and a static value cannot throw: the run ends here, saying why.
      fatalError("The tests' backbone cannot be written: \(error)")
    }
    return path
  }()

  private static func remove() { try? FileManager.default.removeItem(atPath: directory.string) }

  /// Writes card, class list and weights to `directory`.
  ///
  /// - Parameter scale: of the first convolution, to make other weights.
  package static func write(to directory: FilePath, scale: Float = 1) throws {
    try FileSystem.createDirectory(directory)
    let classes = ["this", "that", "something else"]
    let graph = try Architecture(named: "efficientnet_lite0").graph(Head(classes: classes.count))
    var parameters = Parameters.procedural(for: graph)
    if let first = parameters.paths.first(where: { $0.description.hasSuffix("weight") }),
      let tensor = parameters[first]
    {
      parameters[first] = Tensor(tensor.elements.map { $0 * scale }, shape: tensor.shape)
    }
    let tensors = parameters.paths.compactMap { path in
      parameters[path].map { StoredTensor(path.description, $0) }
    }
    let weights = directory.appending("\(name).safetensors")
    try SafetensorsWriter.write(weights, tensors)
    try AtomicFile.write(
      directory.appending("classes.txt"), text: classes.joined(separator: "\n") + "\n")
    try AtomicFile.write(
      directory.appending("\(name).yml"),
      text: card(sha256: SHA256.hexadecimal(of: try FileSystem.read(weights))))
  }

  /// The card's text.
  ///
  /// - Parameter address: where its weights can be fetched.
  package static func card(
    sha256: String, address: String = "https://example.invalid/tiny.safetensors"
  ) -> String {
    """
    name: \(name)
    summary: made-up weights
    architecture: efficientnet_lite0
    naming: native
    file: \(name).safetensors
    sha256: \(sha256)
    license: CC0-1.0
    classes: classes.txt
    source:
      address: \(address)
    preprocessing:
      size: 32
      mean: [127, 127, 127]
      std: [128, 128, 128]

    """
  }
}
