// SPDX-License-Identifier: Apache-2.0

import ThawCheckpoints
import ThawNetwork

/// Means, maxima and norms over some dimensions of a value.
extension ONNXImporter {
  /// The dimensions that a reduction goes over, counted from the first: those of its attribute, or since
  /// operation set 18 of its second input; all where it names none.
  ///
  /// - Parameter rank: dimensions of what is reduced.
  func reducedAxes(_ node: ONNXNode, rank: Int) throws -> Set<Int> {
    let axes = try integers(node, 1, attribute: "axes") ?? []
    if axes.isEmpty { return node.integer("noop_with_empty_axes") == 1 ? [] : Set(0..<rank) }
    let places = axes.map { $0 < 0 ? $0 + rank : $0 }
    guard places.allSatisfy((0..<rank).contains), Set(places).count == places.count else {
      throw failure(node, "axes \(axes.prefix(9)) are not some of \(rank) dimensions")
    }
    return Set(places)
  }

  /// Whether what a reduction goes over stays as dimensions of one element.
  func keepsDimensions(_ node: ONNXNode) -> Bool { node.integer("keepdims") ?? 1 != 0 }

  /// Whether a reduction of `image` goes over its height and its width, and nothing else.
  func reducesPixels(_ node: ONNXNode, of image: Image) throws -> Bool {
    guard let places = places(of: image) else { throw failure(node, "its input is no image") }
    return try reducedAxes(node, rank: 4) == [places.rows, places.rows + 1]
  }

  /// Whether a reduction of `image` goes over its channels, and nothing else.
  func reducesChannels(_ node: ONNXNode, of image: Image) throws -> Bool {
    guard let places = places(of: image) else { throw failure(node, "its input is no image") }
    return try reducedAxes(node, rank: 4) == [places.channels]
  }

  /// Which dimensions of the file's are the channels of an image, and its rows, before its columns.
  private func places(of image: Image) -> (channels: Int, rows: Int)? {
    switch image.layout {
    case .channelsFirst: (1, 2)
    case .channelsLast: (3, 1)
    default: nil
    }
  }

  /// A mean or maximum over the rows and columns of an image.
  mutating func reduction(_ node: ONNXNode, _ operation: Operation) throws {
    let input = try image(node)
    guard try reducesPixels(node, of: input) else {
      throw failure(node, "a mean or maximum over the height and the width of an image is expected")
    }
    try set(node, operation, [input])
    if !keepsDimensions(node), case .image(let pooled)? = values[node.outputs[0]] {
      set(node, .image(try flattened(pooled, layerName(node) + ".flatten")))
    }
  }
}
