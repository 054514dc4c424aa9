// SPDX-License-Identifier: Apache-2.0

import ThawCheckpoints
import ThawTensors

/// The two classifiers of a distilled DeiT as one: the class token's and the distillation token's, whose logits its
/// authors average.
///
/// (A x + a + B y + b) / 2 is one dense layer of both tokens side by side, [A B] / 2 and (a + b) / 2.
///
/// - Source: Touvron et al. 2020, arXiv:2012.12877; timm, timm/models/deit.py; transformers,
///   `DeiTForImageClassificationWithTeacher`.
enum DistilledHeads {
  /// Names of the classifiers, the class token's first.
  private static let pairs = [
    ("head", "head_dist"), ("cls_classifier", "distillation_classifier"),
  ]
  private static let tokens = ["dist_token", "distillation_token"]

  /// `tensors` with each such pair as one, in the place of its first; nothing is read yet.
  static func joining(_ tensors: [StoredTensor]) -> [StoredTensor] {
    guard tensors.contains(where: { tensor in tokens.contains { hasLast(tensor.name, $0) } })
    else { return tensors }
    let byName = Dictionary(
      tensors.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    var used: Set<String> = []
    let joined = tensors.map { tensor in
      for (first, second) in pairs {
        for array in ["weight", "bias"] where hasLast(tensor.name, "\(first).\(array)") {
          let base = tensor.name.dropLast("\(first).\(array)".count)
          guard let other = byName["\(base)\(second).\(array)"], other.shape == tensor.shape,
            tensor.elementType.isFloatingPoint, other.elementType.isFloatingPoint,
            tensor.shape.rank == (array == "weight" ? 2 : 1)
          else { continue }
          used.insert(other.name)
          return join(tensor, other)
        }
      }
      return tensor
    }
    return joined.filter { !used.contains($0.name) }
  }

  /// The two stored tensors of one that ``joining(_:)`` has made; nil when it was not made there.
  static func parts(of name: String, in checkpoint: Checkpoint) -> [StoredTensor]? {
    guard
      checkpoint.tensors.contains(where: { tensor in tokens.contains { hasLast(tensor.name, $0) } })
    else { return nil }
    for (first, second) in pairs {
      for array in ["weight", "bias"] where hasLast(name, "\(first).\(array)") {
        let base = name.dropLast("\(first).\(array)".count)
        if let own = checkpoint[name], let other = checkpoint["\(base)\(second).\(array)"] {
          return [own, other]
        }
      }
    }
    return nil
  }

  /// Two classifiers that answer as `tensor` does when they are averaged.
  static func split(_ tensor: Tensor<Float>) -> [Tensor<Float>] {
    guard tensor.shape.rank == 2 else { return [tensor, tensor] }
    let (rows, columns) = (tensor.shape[0], tensor.shape[1] / 2)
    let elements = tensor.elements
    return [0, columns].map { first in
      let values = (0..<rows * columns).map { index in
        2 * elements[index / columns * 2 * columns + first + index % columns]
      }
      return Tensor(values, shape: [rows, columns])
    }
  }

  /// Whether `end` is all of `name`, or follows a full stop.
  private static func hasLast(_ name: String, _ end: String) -> Bool {
    name == end || name.hasSuffix("." + end)
  }

  private static func join(_ first: StoredTensor, _ second: StoredTensor) -> StoredTensor {
    let isMatrix = first.shape.rank == 2
    let (rows, columns) = (first.shape[0], isMatrix ? first.shape[1] : 1)
    let shape: Shape = isMatrix ? [rows, 2 * columns] : [rows]
    return StoredTensor(first.name, .float32, shape) { (body) throws(CheckpointError) in
      let values = [try first.floats().elements, try second.floats().elements]
      let joined =
        isMatrix
        ? (0..<rows).flatMap { row in
          values.flatMap { $0[row * columns..<(row + 1) * columns].map { $0 / 2 } }
        } : zip(values[0], values[1]).map { ($0 + $1) / 2 }
      joined.withUnsafeBytes { body($0, 0) }
    }
  }
}
