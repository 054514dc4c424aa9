// SPDX-License-Identifier: Apache-2.0

import ThawCheckpoints
import ThawNetwork

/// A way in which a checkpoint may name the tensors of an architecture.
struct NamingScheme {
  /// For people: `torchvision or timm`, `Keras`.
  let label: String
  /// Kernels are height, width, in, out, and dense weights in, out.
  let isChannelsLast: Bool
  /// What such names leave open, as a sentence; nil for nothing.
  var remark: String?
  /// Whether what is left out on purpose is named as ignored.
  var listsOmissions = false
  /// Our path for a stored name; nil for what is left out on purpose.
  let translate: (String) -> ParameterPath?

  /// Whether one of sixteen names, spread over `tensors`, is a parameter's.
  func isPromising(_ tensors: [StoredTensor], _ needed: Set<ParameterPath>) -> Bool {
    let step = max(1, tensors.count / 16)
    return stride(from: 0, to: tensors.count, by: step).contains { index in
      translate(tensors[index].name).map(needed.contains) ?? false
    }
  }

  /// The schemes that could hold for `checkpoint`.
  static func candidates(
    for architecture: Architecture, graph: Graph, _ checkpoint: Checkpoint
  ) -> [NamingScheme] {
    switch checkpoint.format {
    case .kerasArchive: return keras(architecture, graph, checkpoint)
    case .kerasWeights:
      // An HDF5 file that something else wrote may have PyTorch's names.
      return keras(architecture, graph, checkpoint) + torch(architecture)
    default: return torch(architecture)
    }
  }

  private static func torch(_ architecture: Architecture) -> [NamingScheme] {
    var schemes = [
      NamingScheme(label: "torchvision's or timm's names", isChannelsLast: false) {
        architecture.path(of: stripped($0), naming: .native)
      },
      NamingScheme(label: "the published file's names", isChannelsLast: false) {
        architecture.path(of: stripped($0), naming: .published)
      },
    ]
    for foreign in ForeignNames.all(for: architecture) {
      schemes.append(
        NamingScheme(
          label: foreign.label, isChannelsLast: false, remark: foreign.remark, listsOmissions: true
        ) { name in
          guard let own = foreign.translate(name) else { return ParameterPath("?." + name) }
          return own.isEmpty ? nil : ParameterPath(own)
        })
    }
    if let timm = TimmNames.translation(for: architecture.name) {
      schemes.append(
        NamingScheme(label: "timm's names", isChannelsLast: false) {
          architecture.path(of: timm(stripped($0)), naming: .native)
        })
    }
    return schemes
  }

  /// Without the attribute in which larger models keep backbone and head.
  private static func stripped(_ name: String) -> String {
    for prefix in ["backbone.", "encoder."] where name.hasPrefix(prefix) {
      return String(name.dropFirst(prefix.count))
    }
    // timm's own names begin so too.
    let isOwn = name.hasPrefix("head.fc.") || name.hasPrefix("head.norm.")
    return isOwn || !name.hasPrefix("head.") ? name : String(name.dropFirst("head.".count))
  }

  private static func keras(
    _ architecture: Architecture, _ graph: Graph, _ checkpoint: Checkpoint
  ) -> [NamingScheme] {
    guard let names = KerasNames(architecture: architecture.name, graph: graph) else { return [] }
    let scales = Set(
      graph.parameters.filter { $0.path.leaf == "layer_scale" }.map(\.path.parent.description))
    if checkpoint.metadata[Checkpoint.kerasLayers] == Checkpoint.kerasLayersByPosition {
      guard let positions = KerasPositions(architecture: architecture.name, graph: graph) else {
        return []
      }
      return [
        keras("the places of Keras's unnamed layers", scales: scales, positions.layer)
      ]
    }
    let layers = checkpoint.names.map { layer(of: $0) }
    let renumbered =
      architecture.name.hasPrefix("inception") ? KerasNames.renumbered(layers) : [:]
    let isNormFirst = isNormBeforePooling(checkpoint, names)
    return [
      keras("Keras's names", scales: scales) { layer in
        isNormFirst && KerasNames.isUnnamedNorm(layer)
          ? nil : names.layer(renumbered[layer] ?? layer)
      }
    ]
  }

  /// Whether a ConvNeXt made without its top may normalise before its pooling: then it is another
  /// network, which no tensor shows. Weights alone are believed only when no classifier follows.
  private static func isNormBeforePooling(_ checkpoint: Checkpoint, _ names: KerasNames) -> Bool {
    if let model = checkpoint.kerasModel { return model.normalizesBeforePooling }
    return checkpoint.tensors.contains {
      $0.shape.rank == 2 && names.layer(layer(of: $0.name)) == nil
        && !$0.name.hasSuffix("_head_dense/kernel")
    }
  }

  /// - Parameters:
  ///   - scales: our layers whose only variable is a layer scale, whatever it is called.
  ///   - translate: Keras's layer to ours.
  private static func keras(
    _ label: String, scales: Set<String>, _ translate: @escaping (String) -> String?
  ) -> NamingScheme {
    NamingScheme(label: label, isChannelsLast: true) { name in
      guard !KerasNames.isPreprocessing(name), !name.contains("seed_generator") else {
        return nil
      }
      let keras = layer(of: name)
      guard let ours = translate(keras) else { return ParameterPath(name) }
      let variable = String(name.dropFirst(keras.isEmpty ? 0 : keras.utf8.count + 1))
      let leaf = scales.contains(ours) ? "layer_scale" : variables[variable]
      return leaf.map { ParameterPath(ours).appending($0) } ?? ParameterPath(name)
    }
  }

  private static func layer(of name: String) -> String {
    name.lastIndex(of: "/").map { String(name[..<$0]) } ?? ""
  }

  private static let variables = [
    "kernel": "weight", "bias": "bias", "gamma": "weight", "beta": "bias",
    "moving_mean": "running_mean", "moving_variance": "running_var",
  ]
}
