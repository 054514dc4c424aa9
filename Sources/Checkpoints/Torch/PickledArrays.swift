// SPDX-License-Identifier: Apache-2.0

import ThawArchives
import ThawTensors

/// A plain pickle (`pickle.dump`) with NumPy arrays, as Detectron's model zoo publishes its weights.
///
/// An array is pickled as a call of `numpy.core.multiarray._reconstruct`, whose object gets the state
/// (version, shape, element type, whether it is in Fortran's order, bytes). The bytes stay in the file
/// where they are; nothing is called.
///
/// - Source: numpy/core/src/multiarray/methods.c, `array_reduce`.
struct PickledArrays {
  static func read(_ source: ByteSource, _ key: String?) throws(CheckpointError) -> Checkpoint {
    var machine = PickleMachine(ByteCursor(source))
    let root = try machine.run()
    guard machine.cursor.remaining == 0 else {
      throw machine.cursor.error(.malformed, "the pickle goes on after its end")
    }
    let places = adopt(in: &machine)
    guard !places.isEmpty else {
      throw CheckpointError(
        source.path, .wrongFormat,
        "a Python pickle that is not a PyTorch checkpoint (\(machine.arena.kindName(root)),"
          + " without tensors)", at: 0,
        nextStep: "Nothing in it was run."
          + " Save the weights with torch.save(model.state_dict(), path).")
    }
    let state = try TorchStateDict(root, machine, key: key)
    return Checkpoint(
      tensors: try state.stored(in: source, offsets: places), metadata: [:], format: .torchLegacy,
      path: source.path, surroundings: try state.surroundings(in: source, offsets: places))
  }

  /// Puts a tensor in the place of every array, and returns where the data of each begins.
  private static func adopt(in machine: inout PickleMachine) -> [String: Int] {
    var places: [String: Int] = [:]
    var tensors: [Int: Int] = [:]
    for (index, object) in machine.arena.objects.enumerated() {
      guard object.name.hasSuffix("multiarray._reconstruct"),
        let array = StoredArray(object, machine.arena),
        machine.arena.tensors.count < CheckpointLimits.tensors
      else { continue }
      let key = "array \(index)"
      let count = array.shape.count
      places[key] = array.start
      tensors[index] = machine.arena.tensors.count
      machine.arena.tensors.append(
        TorchTensor(
          storage: TorchStorage(
            key: key, elementType: array.type, storedCount: count, start: 0, count: count),
          shape: array.shape, offset: 0, strides: nil))
    }
    machine.arena.replaceObjects(by: tensors)
    return places
  }

  /// Where an array of a known type lies.
  private struct StoredArray {
    let type: ElementType
    let shape: Shape
    let start: Int

    init?(_ object: PickleObject, _ arena: PickleArena) {
      guard let state = arena.elements(object.state), state.count == 5,
        let extents = arena.elements(state[1]), extents.count <= CheckpointLimits.rank,
        case .object(let number) = state[2], state[3] == .boolean(false),
        case .bytes(let start, let count) = state[4]
      else { return nil }
      let sizes = extents.compactMap { if case .integer(let size) = $0 { size } else { nil } }
      guard sizes.count == extents.count, let shape = Shape(checking: sizes),
        let type = StoredArray.type(arena.objects[number], arena)
      else { return nil }
      let bytes = shape.count.multipliedReportingOverflow(by: type.size)
      guard !bytes.overflow, bytes.partialValue == count else { return nil }
      (self.type, self.shape, self.start) = (type, shape, start)
    }

    /// `numpy.dtype('f4')` with the state (3, '<', ...).
    private static func type(_ object: PickleObject, _ arena: PickleArena) -> ElementType? {
      guard object.name == "numpy.dtype", case .string(let code)? = object.arguments.first else {
        return nil
      }
      if let state = arena.elements(object.state), state.count > 1, state[1] == .string(">") {
        return nil
      }
      return types[code]
    }

    private static let types: [String: ElementType] = [
      "f2": .float16, "f4": .float32, "f8": .float64, "i1": .int8, "i2": .int16, "i4": .int32,
      "i8": .int64, "u1": .uint8, "b1": .bool,
    ]
  }
}

extension PickleArena {
  /// Puts the tensors in the place of the objects with these numbers, in every dictionary.
  mutating func replaceObjects(by tensors: [Int: Int]) {
    for index in dictionaries.indices {
      for entry in dictionaries[index].entries {
        guard case .string = entry.key, case .object(let object) = entry.value,
          let tensor = tensors[object]
        else { continue }
        _ = dictionaries[index].set(entry.key, .tensor(tensor))
      }
    }
  }
}
