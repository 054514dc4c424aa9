// SPDX-License-Identifier: Apache-2.0

import ThawCheckpoints
import ThawTensors

/// Operations on sequences of tokens.
extension ATenTranslator {
  /// Follows what is computed of no photo: numbers counted up and masks made of them, as transformers
  /// makes a mask that hides nothing. False for every other call.
  mutating func follows(_ call: ATenCall) -> Bool {
    guard let result = call.result else { return false }
    let source = call.tensor("self")
    let isCount = source.map(counts.contains) ?? false
    let isMask = source.map(openMasks.contains) ?? false
    switch call.operation {
    case "arange" where call.number("start") ?? 0 >= 0 && call.number("step") ?? 1 > 0:
      counts.insert(result)
    case "add" where isCount && (call.number("other") ?? -1) >= 0: counts.insert(result)
    case "unsqueeze" where isCount, "slice" where isCount, "view" where isCount,
      "expand" where isCount:
      counts.insert(result)
    case "ge" where isCount && call.number("other").map({ $0 <= 0 }) == true:
      openMasks.insert(result)
    case "unsqueeze" where isMask, "slice" where isMask, "view" where isMask,
      "expand" where isMask, "to" where isMask, "clone" where isMask, "contiguous" where isMask:
      openMasks.insert(result)
    default: return false
    }
    return true
  }

  /// softmax(q k^T scale) v, written out.
  mutating func attention(_ call: ATenCall) throws {
    guard !call.flag("is_causal"), call.number("dropout_p") ?? 0 == 0,
      !call.has("attn_mask") || call.tensor("attn_mask").map(openMasks.contains) == true
    else { throw failure(call, "an attention with a mask or a dropout is not known here") }
    let width = call.tensor("query").flatMap(extents)?.last ?? nil
    guard let scale = call.number("scale") ?? width.map({ 1 / Double($0).squareRoot() }) else {
      throw failure(call, "the number of channels of its heads is not known")
    }
    let factor = constant(call, "scale", Tensor([Float(scale)], shape: []))
    let queries = step("Mul", call, "scaled", [try value(call, "query"), factor])
    let keys = step(
      "Transpose", call, "turned", [try value(call, "key")], ["perm": .integers([0, 1, 3, 2])])
    let scores = step("MatMul", call, "scores", [queries, keys])
    let weights = step("Softmax", call, "weights", [scores], ["axis": .integer(-1)])
    try emit("MatMul", call, [weights, try value(call, "value")])
  }

  private func rank(_ call: ATenCall) throws -> Int {
    guard let rank = call.tensor("self").flatMap(extents)?.count, (1...8).contains(rank) else {
      throw failure(call, "the dimensions of its input are not known")
    }
    return rank
  }

  private func place(_ call: ATenCall, _ name: String, _ rank: Int) throws -> Int {
    let axis = call.integer(name) ?? 0
    let place = axis < 0 ? axis + rank : axis
    guard (0..<rank).contains(place) else { throw failure(call, "axis \(axis) does not exist") }
    return place
  }

  mutating func transpose(_ call: ATenCall) throws {
    let rank = try rank(call)
    var order = Array(0..<rank)
    order.swapAt(try place(call, "dim0", rank), try place(call, "dim1", rank))
    try emit("Transpose", call, [try value(call, "self")], ["perm": .integers(order)])
  }

  /// The extents behind an `unflatten`, 0 where they stay.
  func unflattened(_ call: ATenCall) throws -> [Int] {
    let rank = try rank(call)
    let place = try place(call, "dim", rank)
    guard place == rank - 1, let sizes = call.integers("sizes"), !sizes.isEmpty else {
      throw failure(call, "the last dimension can be unflattened, no other")
    }
    return [Int](repeating: 0, count: rank - 1) + sizes
  }

  private mutating func index(_ number: Int) -> String {
    let bytes = (0..<8).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) }
    return constant("index.\(number)", StoredTensor("", .int64, [], bytes: bytes))
  }

  mutating func select(_ call: ATenCall) throws {
    let axis = try place(call, "dim", try rank(call))
    guard let number = call.integer("index") else { throw failure(call, "its index is free") }
    let place = index(number)
    try emit("Gather", call, [try value(call, "self"), place], ["axis": .integer(axis)])
  }

  mutating func unbind(_ call: ATenCall) throws {
    let axis = try place(call, "dim", try rank(call))
    let input = try value(call, "self")
    for number in call.results.indices {
      let place = index(number)
      try emit("Gather", call, resultAt: number, [input, place], ["axis": .integer(axis)])
    }
  }

  /// Parts of one dimension, as slices.
  mutating func split(_ call: ATenCall) throws {
    let axis = try place(call, "dim", try rank(call))
    let input = try value(call, "self")
    var start = 0
    for number in call.results.indices {
      guard let size = extents(call.results[number])?[axis] else {
        throw failure(call, "the size of its parts is not known")
      }
      try emit(
        "Slice", call, resultAt: number, [input],
        [
          "starts": .integers([start]), "ends": .integers([start + size]),
          "axes": .integers([axis]),
        ])
      start += size
    }
  }
}
