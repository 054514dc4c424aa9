// SPDX-License-Identifier: Apache-2.0

package import ThawBackbones
package import ThawCheckpoints
import ThawNetwork

/// Settings in `config.json` that change what a network computes with the same tensors, set against the
/// network that these were taken for.
///
/// Of timm's `model_args` every key counts that is not known to change nothing, or only shapes that the
/// tensors show; of transformers' configurations those keys that change arithmetic.
///
/// - Source: timm, timm/models/_builder.py and resnet.py; transformers, configuration_resnet.py,
///   configuration_mobilenet_v2.py, configuration_convnext.py, configuration_efficientnet.py and
///   configuration_regnet.py. A vision transformer's settings are read where it is recognised.
package struct StatedArithmetic {
  /// What differs, as clauses: `hidden_act is 'gelu', resnet18 has relu`.
  package let contradictions: [String]

  /// - Throws: ``BackboneError`` when the network of `fit` cannot be built.
  package init(_ configuration: JSONValue, _ fit: WeightFit) throws {
    let graph = try fit.graph()
    var functions: Set<Activation> = []
    var epsilons: Set<Double> = []
    var isLikeTensorFlow = false
    for node in graph.nodes {
      switch node.operation {
      case .activation(let function): functions.insert(function)
      case .batchNormalization(let layer): epsilons.insert(layer.epsilon)
      case .layerNormalization(let layer): epsilons.insert(layer.epsilon)
      case .convolution(let layer) where layer.window.padding == .same: isLikeTensorFlow = true
      default: break
      }
    }
    var found: [String] = []
    if case .object(let members)? = configuration["model_args"] {
      for member in members {
        let value = member.value
        guard let text = StatedArithmetic.timm(member.name, value, functions, epsilons) else {
          continue
        }
        found.append("model_args has \(member.name) \(value.serialized)\(text)")
      }
    }
    if let type = configuration["model_type"]?.text, type != "timm_wrapper" {
      for key in StatedArithmetic.transformers(type) {
        guard let value = configuration[key], value != .null else { continue }
        let expected = StatedArithmetic.expected(
          key, value, functions, epsilons, isLikeTensorFlow: isLikeTensorFlow)
        guard let expected else { continue }
        found.append("\(key) is \(value.serialized), \(fit.architecture) has \(expected)")
      }
    }
    contradictions = found
  }

  /// Activations by the names that the two libraries give them.
  private static let activations: [String: Activation] = [
    "relu": .relu, "relu6": .relu6, "silu": .silu, "swish": .silu, "gelu": .gelu,
    "sigmoid": .sigmoid, "gelu_tanh": .geluTanh, "quick_gelu": .quickGELU, "quickgelu": .quickGELU,
  ]

  // MARK: timm

  /// Keys that change nothing in prediction, or what the shapes of the tensors show.
  private static let harmless: Set = [
    "num_classes", "in_chans", "img_size", "drop_rate", "drop_path_rate", "drop_block_rate",
    "attn_drop_rate", "proj_drop_rate", "pos_drop_rate", "patch_drop_rate", "bn_momentum",
    "weight_init", "fix_init", "init_values", "ls_init_value", "zero_init_last", "features_only",
    "pretrained", "checkpoint_path", "scriptable", "exportable", "embed_dim", "depth", "depths",
    "dims", "layers", "mlp_ratio", "patch_size", "qkv_bias", "num_heads", "base_width",
    "cardinality", "stem_width", "class_token", "dynamic_img_size",
  ]

  /// What is wrong with a key of `model_args`, as the end of a clause; nil for nothing.
  private static func timm(
    _ key: String, _ value: JSONValue, _ functions: Set<Activation>, _ epsilons: Set<Double>
  ) -> String? {
    if harmless.contains(key) || value == .null { return nil }
    switch key {
    case "act_layer":
      guard let name = value.text, let function = activations[name.lowercased()],
        functions.contains(function)
      else { return ", and the activation is \(list(functions))" }
      return nil
    case "global_pool":
      return ["avg", "fast", "fastavg", "token"].contains(value.text ?? "")
        ? nil : ", and the features are a mean"
    case "output_stride": return value == .integer(32) ? nil : ", and the stride is 32"
    case "bn_eps":
      return isClose(value, epsilons) ? nil : ", and the epsilon is \(list(epsilons))"
    default: return ", which may change what is computed"
    }
  }

  // MARK: transformers

  /// Keys of a type of model that change arithmetic and that tensors do not show.
  private static func transformers(_ type: String) -> [String] {
    switch type {
    case "resnet": ["hidden_act", "downsample_in_bottleneck", "downsample_in_first_stage"]
    case "mobilenet_v1", "mobilenet_v2":
      ["hidden_act", "tf_padding", "layer_norm_eps", "output_stride"]
    case "efficientnet": ["hidden_act", "batch_norm_eps", "pooling_type"]
    case "convnext": ["hidden_act", "layer_norm_eps"]
    case "regnet": ["hidden_act"]
    default: []
    }
  }

  /// What the network has instead of `value`; nil where it is the same.
  private static func expected(
    _ key: String, _ value: JSONValue, _ functions: Set<Activation>, _ epsilons: Set<Double>,
    isLikeTensorFlow: Bool
  ) -> String? {
    switch key {
    case "hidden_act":
      let function = value.text.flatMap { activations[$0] }
      return function.map(functions.contains) == true ? nil : list(functions)
    case "layer_norm_eps", "batch_norm_eps": return isClose(value, epsilons) ? nil : list(epsilons)
    case "tf_padding": return value == .boolean(isLikeTensorFlow) ? nil : "\(isLikeTensorFlow)"
    case "output_stride": return value == .integer(32) ? nil : "32"
    case "pooling_type": return value == .string("mean") ? nil : "the mean"
    default: return value == .boolean(false) ? nil : "false"
    }
  }

  /// Whether an epsilon is one of the network's, or differs by no more than a millionth: 1e-12 and 1e-6 of
  /// layer norms give the same numbers.
  private static func isClose(_ value: JSONValue, _ epsilons: Set<Double>) -> Bool {
    guard let number = value.double else { return false }
    return epsilons.contains { abs($0 - number) <= 1.001e-6 }
  }

  private static func list(_ functions: Set<Activation>) -> String {
    functions.map(\.rawValue).sorted().joined(separator: " and ")
  }

  private static func list(_ epsilons: Set<Double>) -> String {
    epsilons.sorted().map { "\($0)" }.joined(separator: " and ")
  }
}
