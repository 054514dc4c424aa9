// SPDX-License-Identifier: Apache-2.0

package import ThawTensors

/// Something about a network, its parameters or its input that cannot work; names the layer.
package enum NetworkError: Error, Sendable, Equatable, CustomStringConvertible {
  /// A layer received an input it cannot take.
  case shapeMismatch(layer: ParameterPath, expected: String, found: String)
  /// A parameter has another shape than its layer needs.
  case parameterShape(ParameterPath, expected: Shape, found: Shape)
  /// Parameters that the network needs are absent (all of them, sorted).
  case missingParameters([ParameterPath])
  /// A parameter holds NaN or infinite values.
  case nonFiniteParameter(ParameterPath, count: Int)
  /// Running variances of a batch norm that are negative by more than its epsilon, or 0 without one.
  case unusableVariance(ParameterPath, count: Int)
  /// Batch statistics over a single value per channel: the variance is zero and the gradient vanishes.
  case degenerateBatch(layer: ParameterPath)
  /// No layer group has this name.
  case unknownGroup(String, known: [String])

  /// Where, what, expected against found, next step.
  package var description: String {
    switch self {
    case .shapeMismatch(let layer, let expected, let found):
      "layer '\(layer)': expected \(expected), found \(found)."
    case .parameterShape(let path, let expected, let found):
      "tensor '\(path)' is \(found), the layer expects \(expected)."
        + " Check that the weights belong to this architecture."
    case .missingParameters(let paths):
      "\(paths.count) tensors are missing: \(NetworkError.list(paths))."
        + " Check that the weights belong to this architecture."
    case .nonFiniteParameter(let path, let count):
      "tensor '\(path)' has \(count) values that are NaN or infinite: the training diverged or overflowed (in half"
        + " precision, perhaps), or the file is damaged. "
        + (path.description.contains("running_")
          ? "thaw diagnose batchnorm can put running statistics right."
          : "Take an earlier checkpoint, or fetch the file again.")
    case .unusableVariance(let path, let count):
      "tensor '\(path)' has \(count) variances below 0, which no training leaves: the file is damaged, or a"
        + " converter mixed tensors up. thaw diagnose batchnorm can put running statistics right."
    case .degenerateBatch(let layer):
      "layer '\(layer)': batch statistics need more than one value per channel."
        + " Use a batch of at least 2 or BatchNormMode.inference."
    case .unknownGroup(let name, let known):
      "no layer group is called '\(name)'. The groups are \(known.joined(separator: ", "))."
    }
  }

  private static func list(_ paths: [ParameterPath]) -> String {
    let shown = paths.prefix(10).map { "'\($0)'" }.joined(separator: ", ")
    return paths.count > 10 ? shown + ", …" : shown
  }
}
