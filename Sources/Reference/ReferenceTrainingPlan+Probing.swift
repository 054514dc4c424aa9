// SPDX-License-Identifier: Apache-2.0

import ThawTensors

// What a gradient check does thousands of times: change a parameter a little and compute the output
// again, from the layer of that parameter on.

extension ReferenceTrainingPlan {
  /// The layer that owns trainable parameter `index`, as a position in the order of computation.
  package func layer(ofTrainable index: Int) -> Int {
    guard
      let position = program.parameters.firstIndex(where: { $0 === trained[index] })
    else { preconditionFailure("A trained parameter belongs to the program.") }
    return program.owners[position]
  }

  /// Repeats the last training pass from `layer` on: what lies before it keeps its results.
  ///
  /// Traps unless the last pass was a training pass. The results behind `layer` are replaced, so when
  /// several parameters are tried, those of later layers come first.
  ///
  /// - Returns: the output, and which side of its kinks every activation and pooling window behind
  ///   `layer` is on.
  package func repeatForward(from layer: Int) -> (output: [Scalar], kinks: KinkSides) {
    guard let pass = lastPass else {
      preconditionFailure("Only a training pass can be repeated.")
    }
    var kinks = KinkSides()
    for instruction in program.instructions[layer...] {
      instruction.layer.forward(pass)
      instruction.layer.note(&kinks, pass)
    }
    let count = pass.count * program.output.stride
    return (
      Array(UnsafeBufferPointer(start: program.output.values, count: count)), kinks
    )
  }
}

/// On which side of their kinks the pieces of a piecewise smooth function are: two passes with equal
/// sides, and what lies between them, went through the same smooth piece. (As a hash of 64 bits.)
package struct KinkSides: Equatable, Sendable {
  private var hash: UInt64 = 0xCBF2_9CE4_8422_2325

  /// Adds the choice of one element.
  @inline(__always)
  mutating func add(_ choice: UInt64) {
    hash = (hash ^ choice) &* 0x0000_0100_0000_01B3
    hash ^= hash >> 29
  }
}
