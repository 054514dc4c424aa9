// SPDX-License-Identifier: Apache-2.0

import ThawExecution
import ThawNetwork

/// A batch norm on its running statistics and a frozen channel scale, as the layers of a training plan
/// use them: scale and shift.
final class FrozenAffine {
  private let nodes: [Node]
  private(set) var scale: [Float] = []
  private(set) var shift: [Float] = []

  /// That of `nodes`, a batch norm, a channel scale, or one behind the other.
  init(_ nodes: [Node], _ parameters: Parameters) throws {
    self.nodes = nodes
    try update(parameters)
  }

  /// Takes over other values.
  func update(_ parameters: Parameters) throws {
    guard let map = try ChannelAffine(nodes, parameters) else {
      preconditionFailure("Layers \(nodes.map(\.path)) hold no scale per channel.")
    }
    scale = map.scale.map(Float.init)
    shift = map.shift.map(Float.init)
  }
}
