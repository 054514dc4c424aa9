// SPDX-License-Identifier: Apache-2.0

import ThawTensors

/// Which values may share memory: two do when their lifetimes do not overlap.
struct ReferenceBuffers {
  /// From the first to the last moment at which `count` elements are needed.
  struct Lifetime {
    let count: Int
    let first: Int
    let last: Int
  }

  /// The buffer of each lifetime, by its position in the list.
  let assignment: [Int]
  /// Elements of each buffer.
  let sizes: [Int]

  /// Assigns buffers greedily in order of birth: the smallest free one that is large enough, else
  /// the largest free one, enlarged.
  init(_ lifetimes: [Lifetime]) {
    var assignment = [Int](repeating: 0, count: lifetimes.count)
    var sizes: [Int] = []
    var busyUntil: [Int] = []
    let births = lifetimes.indices.sorted {
      (lifetimes[$0].first, $0) < (lifetimes[$1].first, $1)
    }
    for index in births {
      let life = lifetimes[index]
      let free = sizes.indices.filter { busyUntil[$0] < life.first }
      let fitting = free.filter { sizes[$0] >= life.count }.min { sizes[$0] < sizes[$1] }
      if let buffer = fitting ?? free.max(by: { sizes[$0] < sizes[$1] }) {
        sizes[buffer] = max(sizes[buffer], life.count)
        busyUntil[buffer] = life.last
        assignment[index] = buffer
      } else {
        assignment[index] = sizes.count
        sizes.append(life.count)
        busyUntil.append(life.last)
      }
    }
    self.assignment = assignment
    self.sizes = sizes
  }

  /// The memory of every lifetime.
  func allocate<Scalar: TensorScalar>(_ type: Scalar.Type) -> [AlignedStorage<Scalar>] {
    let buffers = sizes.map { AlignedStorage<Scalar>(count: $0) }
    return assignment.map { buffers[$0] }
  }
}
