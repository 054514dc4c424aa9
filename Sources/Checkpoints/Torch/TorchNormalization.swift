// SPDX-License-Identifier: Apache-2.0

import ThawArchives
import ThawTensors

/// A pickled `Normalize` before its numbers are read: fastai keeps tensors, torchvision lists.
///
/// - Source: fastai/data/transforms.py and torchvision/transforms/transforms.py, `Normalize`.
struct TorchNormalization {
  private enum Values {
    case numbers([Double])
    case tensor(TorchTensor)
  }

  private let mean: Values
  private let std: Values

  /// Every one among the objects of a pickle.
  static func all(_ arena: PickleArena) -> [TorchNormalization] {
    arena.objects.compactMap { object in
      guard object.name.hasSuffix(".Normalize"), let attributes = arena.attributes(of: object),
        let mean = attributes["mean"].flatMap({ values($0, arena) }),
        let std = attributes["std"].flatMap({ values($0, arena) })
      else { return nil }
      return TorchNormalization(mean: mean, std: std)
    }
  }

  private static func values(_ value: PickleValue, _ arena: PickleArena) -> Values? {
    if let tensor = arena.tensor(value) {
      return tensor.shape.count == 3 && tensor.storage.elementType.isFloatingPoint
        ? .tensor(tensor) : nil
    }
    let numbers = (arena.elements(value) ?? []).compactMap { element -> Double? in
      switch element {
      case .float(let number): number
      case .integer(let number): Double(number)
      default: nil
      }
    }
    return numbers.count == 3 ? .numbers(numbers) : nil
  }

  /// The one that all agree on; nil without one.
  ///
  /// - Parameters:
  ///   - source: the file.
  ///   - offsets: where the data of each storage begins.
  static func shared(
    _ all: [TorchNormalization], in source: ByteSource, offsets: [String: Int]
  ) throws(CheckpointError) -> PickledNormalization? {
    var found: PickledNormalization?
    for one in all.prefix(64) {
      guard let mean = try numbers(one.mean, source, offsets),
        let std = try numbers(one.std, source, offsets)
      else { return nil }
      let next = PickledNormalization(mean: mean, std: std)
      let isSound =
        next.mean.allSatisfy(\.isFinite) && next.std.allSatisfy { $0.isFinite && $0 > 0 }
      guard isSound, found == nil || found == next else { return nil }
      found = next
    }
    return found
  }

  private static func numbers(
    _ values: Values, _ source: ByteSource, _ offsets: [String: Int]
  ) throws(CheckpointError) -> [Double]? {
    switch values {
    case .numbers(let numbers): return numbers
    case .tensor(let tensor):
      guard let start = offsets[tensor.storage.key] else { return nil }
      let type = tensor.storage.elementType
      let stored = StoredTensor(
        name: "normalization", type, tensor.shape, in: source,
        offset: start + tensor.offset * type.size,
        strides: tensor.strides)
      // The decimal number that was meant.
      return try stored.floats().elements.map { Double("\($0)") ?? Double($0) }
    }
  }
}
