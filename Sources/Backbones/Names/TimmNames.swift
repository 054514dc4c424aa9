// SPDX-License-Identifier: Apache-2.0

import Network

/// timm's names where they differ from the ones a family knows itself.
///
/// - Source: timm, timm/models/vgg.py and mobilenetv3.py (`mobilenetv2_100`).
enum TimmNames {
  /// The translation for an architecture; nil when timm has our names, or the family knows its.
  static func translation(for architecture: String) -> ((String) -> String)? {
    if architecture.hasPrefix("vgg") { return vgg }
    if architecture.hasPrefix("mobilenet_v2") { return mobileNet }
    return nil
  }

  /// timm turns the dense layers into convolutions and calls the head `head.fc`.
  private static func vgg(_ name: String) -> String {
    let layers = [
      "pre_logits.fc1.": "classifier.0.", "pre_logits.fc2.": "classifier.3.",
      "head.fc.": "classifier.6.",
    ]
    for (theirs, ours) in layers where name.hasPrefix(theirs) {
      return ours + name.dropFirst(theirs.count)
    }
    return name
  }

  /// timm counts blocks within a stage, torchvision through.
  private static func mobileNet(_ name: String) -> String {
    let ends = [
      "conv_stem.": "features.0.0.", "bn1.": "features.0.1.", "conv_head.": "features.18.0.",
      "bn2.": "features.18.1.", "classifier.": "classifier.1.",
    ]
    for (theirs, ours) in ends where name.hasPrefix(theirs) {
      return ours + name.dropFirst(theirs.count)
    }
    let parts = name.split(separator: ".").map(String.init)
    guard parts.count == 5, parts[0] == "blocks", let stage = Int(parts[1]),
      let index = Int(parts[2]), stage >= 0, stage < 7
    else { return name }
    let before = [0, 1, 3, 6, 10, 13, 16]
    let layers =
      stage == 0
      ? ["conv_dw": "0.0", "bn1": "0.1", "conv_pw": "1", "bn2": "2"]
      : [
        "conv_pw": "0.0", "bn1": "0.1", "conv_dw": "1.0", "bn2": "1.1", "conv_pwl": "2",
        "bn3": "3",
      ]
    guard let layer = layers[parts[3]] else { return name }
    return "features.\(before[stage] + index + 1).conv.\(layer).\(parts[4])"
  }
}
