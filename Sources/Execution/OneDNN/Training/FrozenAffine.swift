// SPDX-License-Identifier: Apache-2.0

import Network

/// A batch norm on its running statistics, as the layers of a training plan use it: scale and shift.
final class FrozenAffine {
  private let node: Node
  private(set) var scale: [Float] = []
  private(set) var shift: [Float] = []

  /// That of `node`, a batch norm.
  init(_ node: Node, _ parameters: Parameters) throws {
    self.node = node
    try update(parameters)
  }

  /// Takes over other values.
  func update(_ parameters: Parameters) throws {
    guard let map = try ChannelAffine(node, parameters) else {
      preconditionFailure("Layer '\(node.path)' is not a batch norm.")
    }
    scale = map.scale.map(Float.init)
    shift = map.shift.map(Float.init)
  }
}
