// SPDX-License-Identifier: Apache-2.0

package import ThawNetwork
import ThawTensors

extension Parameters {
  /// These arrays moved towards those of `other`: (1 - share) of these and `share` of those, running
  /// statistics included. Arrays that are alike, and those that `other` has not, stay as they are.
  ///
  /// Networks of which one was fine-tuned from the other lie in one valley of the loss: those between
  /// them are networks too, often better on photos unlike the training's than either end.
  ///
  /// - Parameter share: 0 to 1.
  /// - Precondition: arrays of one path have one shape.
  /// - Source: Wortsman et al. 2022, "Robust fine-tuning of zero-shot models", arXiv:2109.01903.
  package func interpolated(towards other: Parameters, share: Float) -> Parameters {
    var result = self
    for path in other.paths {
      guard let start = self[path], let end = other[path], start != end else { continue }
      let shape = start.shape
      precondition(shape == end.shape, "\(path) has two shapes.")
      result[path] = start.withUnsafeElements { start in
        end.withUnsafeElements { end in
          Tensor(shape: shape) { output in
            for index in output.indices {
              output[index] = (1 - share) * start[index] + share * end[index]
            }
          }
        }
      }
    }
    return result
  }
}
