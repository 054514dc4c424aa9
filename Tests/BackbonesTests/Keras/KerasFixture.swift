// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import ThawBackbones
import ThawCheckpoints
import ThawExecution
import ThawGraphs
import ThawImages
import ThawNetwork
import ThawTensors

/// What `Tools/keras_graphs.py` wrote with Keras 2 and 3.
enum KerasFixture {
  static let files = [
    "nested.keras", "nested3.h5", "nested2.h5", "single.keras", "flipped.keras", "flipped2.h5",
    "flipped3.h5", "inverted.h5", "trainer.h5",
  ]

  /// Keras's probabilities by file; empty when the list cannot be read, which a test notices.
  static let answers: [String: [Float]] = {
    guard let data = try? Data(contentsOf: folder.appendingPathComponent("answers.json")) else {
      return [:]
    }
    return (try? JSONDecoder().decode([String: [Float]].self, from: data)) ?? [:]
  }()

  private static var folder: URL {
    (Bundle.module.resourceURL ?? URL(fileURLWithPath: ".")).appendingPathComponent(
      "Fixtures/keras")
  }

  static func checkpoint(_ file: String) throws -> Checkpoint {
    try CheckpointReader.read(FilePath(folder.appendingPathComponent(file).path))
  }

  /// Side of the photo.
  static let side = 16

  /// The photo as `contract` prepares it: [1, 3, side, side].
  static func photo(_ contract: Preprocessing) -> Tensor<Float> {
    Tensor(shape: [1, 3, side, side]) { elements in
      for channel in 0..<3 {
        let source = contract.channelOrder == .rgb ? channel : 2 - channel
        for y in 0..<side {
          for x in 0..<side {
            let sample = (31 * y + 17 * x + 73 * source + 5 * ((x * y) % 29)) % 256
            elements[(channel * side + y) * side + x] = Float(
              (Double(sample) * contract.scale - contract.mean[channel]) / contract.std[channel])
          }
        }
      }
    }
  }

  /// Probabilities of a network for the photo on an engine.
  static func probabilities(
    _ network: KerasNetwork, _ contract: Preprocessing, _ engine: some Engine
  ) throws -> [Float] {
    let logits = try Compiler(inference: engine, training: engine).compileInference(
      network.graph, parameters: network.parameters(), microBatch: 1, size: Extent2D(side)
    ).run(photo(contract)).elements
    guard network.outputActivation == .softmax else { return logits.map { 1 / (1 + exp(-$0)) } }
    let total = logits.map { exp($0) }.reduce(0, +)
    return logits.map { exp($0) / total }
  }

  // MARK: Other configurations

  /// The same file with another configuration.
  static func changed(
    _ file: String, _ change: (JSONValue) -> JSONValue
  ) throws -> Checkpoint {
    let original = try checkpoint(file)
    guard let model = original.kerasModel, let json = model.configuration else { return original }
    return Checkpoint(
      tensors: original.tensors, metadata: original.metadata, format: original.format,
      path: original.path,
      kerasModel: KerasModel(configuration: change(json), weights: model.weights))
  }

  /// The same file with another description of the layer called `name`, wherever it is.
  static func changing(
    _ file: String, layer name: String, _ change: @escaping (JSONValue) -> JSONValue
  ) throws -> Checkpoint {
    try changed(file) { $0.mapped { $0["config"]?["name"]?.text == name ? change($0) : $0 } }
  }
}

extension JSONValue {
  /// `change` applied to every object, the innermost first.
  func mapped(_ change: (JSONValue) -> JSONValue) -> JSONValue {
    switch self {
    case .array(let all): .array(all.map { $0.mapped(change) })
    case .object(let members):
      change(.object(members.map { JSONMember($0.name, $0.value.mapped(change)) }))
    default: self
    }
  }

  /// The object with another value for `name`.
  func setting(_ name: String, _ value: JSONValue) -> JSONValue {
    guard case .object(let members) = self else { return self }
    return .object(members.filter { $0.name != name } + [JSONMember(name, value)])
  }

  /// A layer with another argument.
  func configured(_ name: String, _ value: JSONValue) -> JSONValue {
    setting("config", (self["config"] ?? .object([])).setting(name, value))
  }
}
