// SPDX-License-Identifier: Apache-2.0

import ThawCheckpoints
import ThawTensors

/// The projections of a pooling by attention in one tensor, the query's rows first, as PyTorch's
/// `MultiheadAttention` stores them; here the query's are apart, which see a token of their own (`probe`).
///
/// - Source: transformers, `SiglipMultiheadAttentionPoolingHead`.
enum PooledAttention {
  private static let joined = ["in_proj_weight": "weight", "in_proj_bias": "bias"]
  private static let layer = "attention."

  /// `tensors` with each such projection as two, in its place; nothing is read yet.
  static func splitting(_ tensors: [StoredTensor]) -> [StoredTensor] {
    let pools = tensors.compactMap { tensor -> String? in
      tensor.name.hasSuffix("probe") ? String(tensor.name.dropLast("probe".count)) : nil
    }
    guard !pools.isEmpty else { return tensors }
    return tensors.flatMap { tensor -> [StoredTensor] in
      for pool in pools {
        let base = pool + layer
        guard tensor.name.hasPrefix(base), tensor.elementType.isFloatingPoint,
          tensor.shape.rank >= 1, tensor.shape[0].isMultiple(of: 3),
          let array = joined[String(tensor.name.dropFirst(base.count))]
        else { continue }
        return [false, true].map { isOfKeys in
          part(base + (isOfKeys ? "kv." : "q.") + array, of: tensor, isOfKeys: isOfKeys)
        }
      }
      return [tensor]
    }
  }

  /// Where `checkpoint` has what ``splitting(_:)`` called `name`: the tensor and the elements; nil when it was
  /// not made there.
  static func place(
    of name: String, in checkpoint: Checkpoint
  ) -> (tensor: StoredTensor, elements: Range<Int>)? {
    for (stored, array) in joined {
      for (part, isOfKeys) in [("q.", false), ("kv.", true)] {
        let end = layer + part + array
        guard name.hasSuffix(end) else { continue }
        let pool = name.dropLast(end.count)
        guard checkpoint[pool + "probe"] != nil, let tensor = checkpoint[pool + layer + stored]
        else { continue }
        return (tensor, elements(of: tensor.shape, isOfKeys: isOfKeys))
      }
    }
    return nil
  }

  private static func elements(of shape: Shape, isOfKeys: Bool) -> Range<Int> {
    isOfKeys ? shape.count / 3..<shape.count : 0..<shape.count / 3
  }

  private static func part(
    _ name: String, of tensor: StoredTensor, isOfKeys: Bool
  ) -> StoredTensor {
    let rows = tensor.shape[0] / 3 * (isOfKeys ? 2 : 1)
    let shape = Shape([rows] + tensor.shape.extents.dropFirst())
    return StoredTensor(name, .float32, shape) { (body) throws(CheckpointError) in
      let values = try tensor.floats().elements
      values[elements(of: tensor.shape, isOfKeys: isOfKeys)].withUnsafeBytes { body($0, 0) }
    }
  }
}
