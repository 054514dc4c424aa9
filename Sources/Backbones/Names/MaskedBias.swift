// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import ThawCheckpoints
import ThawTensors

/// The bias of queries, keys and values in one tensor, with a mask that takes the keys' away, as facebook's
/// DINOv3 stores it; here queries and values have biases of their own.
///
/// - Source: facebookresearch/dinov3, `LinearKMaskedBias`.
enum MaskedBias {
  private static let joined = "qkv.bias"
  private static let mask = "qkv.bias_mask"
  /// What stands in their place, and which third of the rows it is.
  private static let parts = [(name: "q_bias", third: 0), (name: "v_bias", third: 2)]

  /// `tensors` with each masked bias as two, in its place; nothing is read yet.
  ///
  /// - Parameter checkpoint: whose file a wrong mask is reported of.
  static func splitting(_ tensors: [StoredTensor], of checkpoint: Checkpoint) -> [StoredTensor] {
    let masks = Dictionary(
      tensors.filter { hasLast($0.name, mask) }.map { ($0.name, $0) },
      uniquingKeysWith: { first, _ in first })
    guard !masks.isEmpty else { return tensors }
    var used: Set<String> = []
    let biases: [[StoredTensor]] = tensors.map { tensor in
      guard hasLast(tensor.name, joined), let mask = masks[tensor.name + "_mask"],
        tensor.shape.rank == 1, tensor.shape[0].isMultiple(of: 3), tensor.shape == mask.shape,
        tensor.elementType.isFloatingPoint, mask.elementType.isFloatingPoint
      else { return [tensor] }
      used.insert(mask.name)
      let base = tensor.name.dropLast(joined.count)
      let path = checkpoint.path
      return parts.map { part(base + $0.name, third: $0.third, of: tensor, mask, in: path) }
    }
    return biases.joined().filter { !used.contains($0.name) }
  }

  /// Where `checkpoint` has what ``splitting(_:)`` called `name`: the tensor and the elements; nil when it was
  /// not made there.
  static func place(
    of name: String, in checkpoint: Checkpoint
  ) -> (tensor: StoredTensor, elements: Range<Int>)? {
    for part in parts where hasLast(name, part.name) {
      let base = name.dropLast(part.name.count)
      guard checkpoint[base + mask] != nil, let tensor = checkpoint[base + joined] else { continue }
      let count = tensor.shape.count / 3
      return (tensor, part.third * count..<(part.third + 1) * count)
    }
    return nil
  }

  /// Whether `end` is all of `name`, or follows a full stop.
  private static func hasLast(_ name: String, _ end: String) -> Bool {
    name == end || name.hasSuffix("." + end)
  }

  private static func part(
    _ name: String, third: Int, of bias: StoredTensor, _ mask: StoredTensor, in path: FilePath
  ) -> StoredTensor {
    let count = bias.shape[0] / 3
    return StoredTensor(name, .float32, [count]) { (body) throws(CheckpointError) in
      let values = zip(try bias.floats().elements, try mask.floats().elements).map { $0 * $1 }
      guard values[count..<2 * count].allSatisfy({ $0 == 0 }) else {
        throw CheckpointError(
          path, .mismatch, "'\(mask.name)' does not take away the bias of the keys")
      }
      values[third * count..<(third + 1) * count].withUnsafeBytes { body($0, 0) }
    }
  }
}
