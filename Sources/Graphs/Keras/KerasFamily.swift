// SPDX-License-Identifier: Apache-2.0

package import ThawCheckpoints
package import ThawImages

/// Whose network a Keras model is built on, by the names of its layers: that says how its pixels are
/// usually prepared where the file does not.
///
/// - Source: keras.applications, the `preprocess_input` of each network.
package struct KerasFamily: Sendable, Hashable {
  /// For people: `MobileNetV2`.
  package let name: String
  /// Side of its photos in keras.applications.
  package let inputSize: Int
  private let values: Values

  private enum Values: Hashable { case caffe, tf, torch }

  /// Layers that one family alone has, in Keras's names of today and of before.
  private static let table: [(layer: String, family: KerasFamily)] = [
    ("block_1_expand", KerasFamily("MobileNetV2", .tf)),
    ("expanded_conv_project", KerasFamily("MobileNet", .tf)),
    ("conv_dw_1", KerasFamily("MobileNet", .tf)),
    ("conv2_block1_preact_bn", KerasFamily("ResNetV2", .tf)),
    ("conv2_block1_0_bn", KerasFamily("ResNet", .caffe)),
    ("bn2a_branch2a", KerasFamily("ResNet", .caffe)),
    ("block2_sepconv1", KerasFamily("Xception", .tf, 299)),
    ("block35_1_mixed", KerasFamily("InceptionResNetV2", .tf, 299)),
    ("mixed0", KerasFamily("InceptionV3", .tf, 299)),
    ("stem_bn1", KerasFamily("NASNet", .tf)),
    ("pool2_conv", KerasFamily("DenseNet", .torch)),
    ("block1_conv2", KerasFamily("VGG", .caffe)),
  ]

  private init(_ name: String, _ values: Values, _ inputSize: Int = 224) {
    (self.name, self.values, self.inputSize) = (name, values, inputSize)
  }

  /// The family of a model's configuration; nil when none of its layers says so.
  package init?(layersOf model: JSONValue) {
    var names: Set<String> = []
    KerasFamily.collect(model, into: &names, depth: 0)
    guard let found = KerasFamily.table.first(where: { names.contains($0.layer) }) else {
      return nil
    }
    self = found.family
  }

  private static func collect(_ model: JSONValue, into names: inout Set<String>, depth: Int) {
    guard depth < 32, let layers = model.kerasLayers else { return }
    for layer in layers {
      if let name = layer["config"]?["name"]?.text ?? layer["name"]?.text { names.insert(name) }
      collect(layer, into: &names, depth: depth + 1)
    }
  }

  /// The usual preprocessing.
  package var preprocessing: Preprocessing {
    let numbers: Preprocessing =
      switch values {
      case .caffe: .caffe()
      case .tf: .tf()
      case .torch: .torch()
      }
    return Preprocessing.kerasGeometry(inputSize).withValues(of: numbers)
  }
}

extension Preprocessing {
  /// Photos as `keras.utils.load_img(path, target_size=...)` loads them: nearest pixel, both sides
  /// scaled, 0 to 255.
  package static func kerasGeometry(_ inputSize: Int) -> Preprocessing {
    Preprocessing(
      inputSize: inputSize, scale: 1, mean: [0, 0, 0], std: [1, 1, 1], interpolation: .nearest,
      cropFraction: 1, resizeRule: .squash)
  }
}
