// SPDX-License-Identifier: Apache-2.0

import ThawArchives

/// Reads the weights that Keras writes, in each of its layouts, under `LAYER/VARIABLE` names.
///
/// | file | layout |
/// |---|---|
/// | `.h5` of Keras 1 and 2, `save_weights` | groups by layer name, in the order of `layer_names` |
/// | `.h5` of a whole model | the same below `model_weights`, with `model_config` |
/// | `.weights.h5` of Keras 3 | `layers/CLASS_NUMBER/vars/INDEX`, nested for nested models |
/// | `.keras` of Keras 3 | a zip archive of that file and `config.json` |
///
/// Variables are called as in Keras: `kernel`, `bias`, `gamma`, `beta`, `moving_mean`,
/// `moving_variance`; those of unknown layers by index. A nested model's layers keep their own names.
/// Other HDF5 files give each array under its path. Lambdas, custom classes and everything else in a
/// configuration is never looked at, let alone run.
///
/// - Source: keras, src/legacy/saving/legacy_h5_format.py and src/saving/saving_lib.py.
struct KerasReader {
  /// The entry of a `.keras` archive that has the weights.
  static let weightsEntry = "model.weights.h5"

  static func read(_ source: ByteSource) throws(CheckpointError) -> Checkpoint {
    try KerasReader(source, configuration: nil).checkpoint(.kerasWeights)
  }

  /// Reads a `.keras` archive.
  static func read(_ archive: ZIPArchive) throws(CheckpointError) -> Checkpoint {
    var configuration: KerasConfiguration?
    var compilation: JSONValue?
    if let entry = archive["config.json"] {
      let bytes = try archive.contents(entry, limit: CheckpointLimits.configuration)
      do throws(JSONError) {
        let json = try JSONParser.parse(bytes, memberLimit: 10_000)
        configuration = KerasConfiguration(json)
        compilation = json["compile_config"]
      } catch {
        throw CheckpointError(
          archive.source.path, .malformed, "config.json: \(error.reason)", at: entry.start)
      }
    }
    guard let entry = archive[weightsEntry] else {
      throw CheckpointError(
        archive.source.path, .wrongFormat, "the archive has no \(weightsEntry)")
    }
    let weights: ByteSource
    if entry.isDeflated {
      let bytes = try archive.contents(entry, limit: archive.decompressionLimit(entry))
      weights = ByteSource(bytes, path: archive.source.path)
    } else {
      try archive.verify(entry)
      weights = ByteSource(archive.source, start: entry.start, count: entry.size)
    }
    var reader = try KerasReader(weights, configuration: configuration)
    reader.compilation = compilation
    reader.version = try version(in: archive)
    return try reader.checkpoint(.kerasArchive)
  }

  /// The Keras that wrote an archive; nil when it does not say it.
  private static func version(in archive: ZIPArchive) throws(CheckpointError) -> String? {
    guard let entry = archive["metadata.json"] else { return nil }
    let bytes = try archive.contents(entry, limit: 1 << 16)
    return (try? JSONParser.parse(bytes, memberLimit: 100))?["keras_version"]?.text
  }

  private let source: ByteSource
  private let root: HDF5Group
  private var configuration: KerasConfiguration?
  /// What the model was compiled with.
  private var compilation: JSONValue?
  /// The Keras that wrote an archive, as it says.
  private var version: String?
  private let found: (layers: [KerasLayer], areUnnamed: Bool)

  private init(
    _ source: ByteSource, configuration: KerasConfiguration?
  ) throws(CheckpointError) {
    self.source = source
    var file = try HDF5File(source)
    root = try file.tree()
    self.configuration = configuration
    if configuration == nil, let json = try KerasReader.json("model_config", of: root, source) {
      self.configuration = KerasConfiguration(json)
    }
    // Optimizers' settings are of no use here, and a loss that cannot be read is none.
    compilation = try? KerasReader.json("training_config", of: root, source)
    found = try KerasReader.layers(of: root, self.configuration, source)
  }

  /// The document in an attribute; nil when there is none.
  ///
  /// A configuration that cannot be read is an error: without it the weights would be taken for those
  /// of a network that only has the same tensors.
  private static func json(
    _ name: String, of root: HDF5Group, _ source: ByteSource
  ) throws(CheckpointError) -> JSONValue? {
    guard let text = root.attributes[name]?.first else { return nil }
    guard text.utf8.count <= CheckpointLimits.configuration else {
      throw CheckpointError(
        source.path, .malformed, "its \(name) has \(text.utf8.count) bytes, too many")
    }
    do throws(JSONError) {
      return try JSONParser.parse(Array(text.utf8), memberLimit: 10_000)
    } catch {
      throw CheckpointError(source.path, .malformed, "its \(name): \(error.reason)")
    }
  }

  private func checkpoint(_ format: CheckpointFormat) throws(CheckpointError) -> Checkpoint {
    var tensors: [StoredTensor] = []
    var names: Set<String> = []
    var weights = KerasWeights()
    for layer in found.layers {
      // Two nested models may have layers of one name; the whole path tells them apart.
      let isTaken = layer.variables.contains { names.contains(layer.name + "/" + $0.name) }
      let name = isTaken ? layer.path : layer.name
      var variables: [String: String] = [:]
      for variable in layer.variables {
        let full = name.isEmpty ? variable.name : name + "/" + variable.name
        guard names.insert(full).inserted, names.count <= CheckpointLimits.tensors else {
          throw CheckpointError(source.path, .malformed, "the weight \(quoted(full)) occurs twice")
        }
        tensors.append(try variable.dataset.tensor(full, in: source))
        variables[variable.name] = full
      }
      switch layer.scope {
      case .unknown: break
      case .names(let names): weights.add(variables, at: names)
      case .group(let group, let scope): weights.add(variables, inGroup: group, scope: scope)
      }
    }
    guard !tensors.isEmpty else {
      throw CheckpointError(source.path, .wrongFormat, "the HDF5 file holds no weights")
    }
    var model = configuration?.model
    model?.weights = weights
    if let compilation { model?.compilation = compilation }
    return Checkpoint(
      tensors: tensors, metadata: metadata, format: format, path: source.path, kerasModel: model)
  }

  private var metadata: [String: String] {
    var metadata: [String: String] = [:]
    metadata["keras.model"] = configuration?.name
    let version =
      root.attributes["keras_version"]
      ?? KerasReader.modelWeights(of: root)?.attributes["keras_version"]
    metadata["keras.version"] = self.version ?? version?.first
    if found.areUnnamed { metadata[Checkpoint.kerasLayers] = Checkpoint.kerasLayersByPosition }
    return metadata
  }

  private static func modelWeights(of root: HDF5Group) -> HDF5Group? {
    if case .group(let group)? = root["model_weights"] { group } else { nil }
  }

  private static func layers(
    of root: HDF5Group, _ configuration: KerasConfiguration?, _ source: ByteSource
  ) throws(CheckpointError) -> (layers: [KerasLayer], areUnnamed: Bool) {
    for group in [root, modelWeights(of: root)].compactMap(\.self) {
      if let names = KerasLegacyLayout.texts("layer_names", of: group) {
        return (try KerasLegacyLayout(source).layers(names, in: group), false)
      }
    }
    var layout = KerasVariablesLayout(configuration)
    let layers = layout.layers(of: root)
    return layers.isEmpty
      ? ([KerasLayer(name: "", path: "", variables: plain(root, ""))], false)
      : (layers, layout.hasUnnamedLayers)
  }

  /// Every array under its path: a file that Keras did not write.
  private static func plain(_ group: HDF5Group, _ path: String) -> [KerasVariable] {
    group.members.flatMap { member -> [KerasVariable] in
      let name = path.isEmpty ? member.name : path + "/" + member.name
      switch member.node {
      case .dataset(let dataset): return [KerasVariable(name: name, dataset: dataset)]
      case .group(let inner): return plain(inner, name)
      }
    }
  }
}

/// A layer's variables in Keras's order.
struct KerasLayer {
  /// What a layout knows of a layer's place in the model.
  enum Scope {
    /// Nothing.
    case unknown
    /// Its names in the configuration, outermost first.
    case names([String])
    /// The outermost layer, and what the arrays in it are named for.
    case group(String, [String])
  }

  let name: String
  /// Unique in the file.
  let path: String
  /// What is known of its place in the model.
  var scope = Scope.unknown
  let variables: [KerasVariable]
}

/// One array of a layer.
struct KerasVariable {
  let name: String
  let dataset: HDF5Dataset
}
