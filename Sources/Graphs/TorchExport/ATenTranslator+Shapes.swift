// SPDX-License-Identifier: Apache-2.0

import ThawCheckpoints
import ThawTensors

extension ATenTranslator {
  mutating func flatten(_ call: ATenCall) throws {
    let end = call.integer("end_dim") ?? -1
    let rank = call.tensor("self").flatMap(extents)?.count ?? 4
    if call.integer("start_dim") == 2, rank == 4, end == -1 || end == 3 {
      return try emit(
        "Reshape", call, [try value(call, "self")], ["shape": .integers([0, 0, -1])])
    }
    guard call.integer("start_dim") ?? 0 == 1, end == -1 || end == rank - 1 else {
      throw failure(call, "an image becomes a row from dimension 1 on, to the last")
    }
    try emit("Flatten", call, [try value(call, "self")], ["axis": .integer(1)])
  }

  /// Amounts from the last dimension on, before and after each.
  mutating func pad(_ call: ATenCall) throws {
    let amounts = call.integers("pad") ?? []
    guard amounts.count == 4, call.text("mode") ?? "constant" == "constant" else {
      throw failure(call, "zeros around rows and columns are expected")
    }
    try emit(
      "Pad", call, [try value(call, "self")],
      [
        "pads": .integers([0, 0, amounts[2], amounts[0], 0, 0, amounts[3], amounts[1]]),
        "value": .float(Float(call.number("value") ?? 0)),
      ])
  }

  /// x[:, [2, 1, 0]]
  mutating func index(_ call: ATenCall) throws {
    guard let indices = call.tensors("indices"), indices.count == 2, indices[0] == nil,
      let order = indices[1]
    else { throw failure(call, "an image's channels can be picked, and nothing else") }
    try emit(
      "Gather", call, [try value(call, "self"), name(order)], ["axis": .integer(1)])
  }

  /// x.flip(1)
  mutating func flip(_ call: ATenCall) throws {
    let channels = call.tensor("self").flatMap(extents).flatMap { $0.count == 4 ? $0[1] : nil }
    guard let axes = call.integers("dims"), axes == [1] || axes == [-3], let channels,
      (1...64).contains(channels)
    else { throw failure(call, "an image's channels can be put in the other order, nothing else") }
    let bytes = (0..<channels).reversed().flatMap { number in
      (0..<8).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) }
    }
    let order = constant(
      "\(call.name).order", StoredTensor("", .int64, [channels], bytes: bytes))
    try emit("Gather", call, [try value(call, "self"), order], ["axis": .integer(1)])
  }

  /// x[:], or some tokens of a sequence.
  mutating func slice(_ call: ATenCall) throws {
    if call.tensor("self").flatMap(extents)?.count == 3, call.integer("dim") ?? 0 == 1,
      call.integer("step") ?? 1 == 1
    {
      return try emit(
        "Slice", call, [try value(call, "self")],
        [
          "starts": .integers([call.integer("start") ?? 0]),
          "ends": .integers([call.integer("end") ?? Int.max]), "axes": .integers([1]),
        ])
    }
    guard call.integer("start") ?? 0 == 0, call.integer("end") ?? Int.max >= 1 << 31,
      call.integer("step") ?? 1 == 1
    else { throw failure(call, "a part of an image is not known here") }
    try emit("Identity", call, [try value(call, "self")])
  }
}
