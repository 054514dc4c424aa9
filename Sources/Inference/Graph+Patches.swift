// SPDX-License-Identifier: Apache-2.0

package import ThawConsole
package import ThawNetwork

extension Graph {
  /// Refuses sides of the input, in pixels, that a transformer's patches do not divide: the last rows and
  /// columns of every photo would be left out without a word. Any other network takes any side.
  ///
  /// - Throws: ``PipelineError/usage(_:)`` with the two sides nearest to it.
  package func requireWholePatches(_ sides: [Int]) throws(PipelineError) {
    for node in nodes {
      guard case .tokens = node.operation, let patches = node.inputs.first.map({ self[$0] }),
        case .convolution(let layer) = patches.operation
      else { continue }
      let patch = layer.window.stride.height
      guard let side = sides.first(where: { $0 % patch != 0 }) else { continue }
      let below = side / patch * patch
      throw .usage(
        "size \(side): the network looks at patches of \(patch) pixels, which do not divide it. Take"
          + " \(below > 0 ? "\(below) or " : "")\(below + patch).")
    }
  }
}
