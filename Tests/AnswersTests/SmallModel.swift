// SPDX-License-Identifier: Apache-2.0

import ThawCheckpoints
import ThawImages
import ThawInference
import ThawNetwork
import ThawTensors

/// What the small networks of these tests have in common.
enum SmallModel {
  static let side = 16

  /// A network of three classes as a file has it.
  static func stored(_ graph: Graph, _ parameters: Parameters) -> StoredModel {
    let contract = Preprocessing(
      inputSize: side, scale: 1 / 255, mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25],
      cropFraction: 1)
    return StoredModel(
      graph: graph, parameters: parameters, preprocessing: contract,
      record: ModelRecord(
        thawVersion: "1", architecture: "small", classNames: ["a", "b", "c"],
        preprocessing: contract.json))
  }

  /// Pixels without a pattern, [3, side, side].
  static let photo: AlignedStorage<Float> = {
    let pixels = AlignedStorage<Float>(count: 3 * side * side)
    for index in pixels.elements.indices {
      pixels.elements[index] = Float((index * 7919 + 104_729) % 1009) / 250 - 2
    }
    return pixels
  }()
}
