// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import ThawImages
import ThawNetwork

/// A card about to be written for weights that somebody brought.
struct CardText {
  var name: String
  var summary: String
  var architecture: String
  var naming: Architecture.Naming
  var file: String
  var sha256: String
  var license: String
  var classes: String
  var origin: FilePath
  var preprocessing: Preprocessing
  /// What makes probabilities of its outputs.
  var outputActivation = OutputActivation.softmax

  /// The YAML document.
  var text: String {
    """
    name: \(name)
    summary: \(quoted(summary))
    architecture: \(architecture)
    naming: \(naming.rawValue)
    file: \(quoted(file))
    sha256: \(sha256)
    license: \(quoted(license))
    classes: \(classes)\(activation)
    source:
      address: \(quoted("file://" + origin.displayed))
    preprocessing:
      size: \(preprocessing.inputSize)
      order: \(preprocessing.channelOrder.rawValue)
      scale: \(preprocessing.scale)
      mean: \(preprocessing.mean)
      std: \(preprocessing.std)
      interpolation: \(preprocessing.interpolation.rawValue)
      crop: \(preprocessing.cropFraction)
      resize: \(preprocessing.resizeRule.rawValue)

    """
  }

  /// A line of its own where it is not the usual one.
  private var activation: String {
    outputActivation == .softmax ? "" : "\noutput_activation: \(outputActivation.rawValue)"
  }

  /// A YAML scalar in single quotes, on one line.
  private func quoted(_ text: String) -> String {
    let line = String(text.unicodeScalars.map { $0.value < 0x20 ? " " : Character($0) })
    return "'"
      + line.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "''") + "'"
  }
}
