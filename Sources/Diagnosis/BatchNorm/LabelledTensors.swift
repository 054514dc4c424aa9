// SPDX-License-Identifier: Apache-2.0

package import ThawNetwork
package import ThawTensors

/// Prepared photos in memory, with their classes.
package struct LabelledTensors: Sendable {
  private let storage: AlignedStorage<Float>
  private let rows: [Int]
  /// Elements of one photo.
  package let stride: Int
  /// Class of each photo, as a column of the logits.
  package let labels: [Int]

  /// Takes over memory that holds one photo after the other; traps when it is too short.
  package init(storage: AlignedStorage<Float>, stride: Int, labels: [Int]) {
    precondition(
      storage.elements.count >= labels.count * stride,
      "\(labels.count) photos of \(stride) elements do not fit \(storage.elements.count).")
    self.init(storage: storage, rows: Array(labels.indices), stride: stride, labels: labels)
  }

  private init(storage: AlignedStorage<Float>, rows: [Int], stride: Int, labels: [Int]) {
    self.storage = storage
    self.rows = rows
    self.stride = stride
    self.labels = labels
  }

  /// Number of photos.
  package var count: Int { labels.count }

  /// The elements of the photo at `index`; valid as long as these photos are.
  package func photo(_ index: Int) -> UnsafeBufferPointer<Float> {
    UnsafeBufferPointer(
      rebasing: storage.elements[rows[index] * stride..<(rows[index] + 1) * stride])
  }

  /// The photos at `indices`, one after the other.
  package func copy(_ indices: some Collection<Int>) -> [Float] {
    [Float](unsafeUninitializedCapacity: indices.count * stride) { buffer, initialized in
      for (position, index) in indices.enumerated() {
        _ = UnsafeMutableBufferPointer(
          rebasing: buffer[position * stride..<(position + 1) * stride]
        ).initialize(fromContentsOf: photo(index))
      }
      initialized = indices.count * stride
    }
  }

  /// The photos at `indices`, in the same memory.
  package func subset(_ indices: [Int]) -> LabelledTensors {
    LabelledTensors(
      storage: storage, rows: indices.map { rows[$0] }, stride: stride,
      labels: indices.map { labels[$0] })
  }

  /// At most `count` photos drawn by `seed`.
  package func sample(_ count: Int, seed: UInt64) -> LabelledTensors {
    guard count < self.count else { return self }
    var stream = RandomStream(seed: seed, purpose: .shuffle, epoch: 1)
    return subset(Array(stream.permutation(of: self.count).prefix(count)))
  }

  /// The same photos under other class numbers.
  package func relabelled(_ moved: [Int: Int]) -> LabelledTensors {
    LabelledTensors(
      storage: storage, rows: rows, stride: stride, labels: labels.map { moved[$0] ?? $0 })
  }

  /// The same photos flipped left to right; each is [channels, height, width] of `size`.
  package func mirrored(size: Extent2D) -> LabelledTensors {
    let flipped = AlignedStorage<Float>(count: count * stride)
    for index in 0..<count {
      let source = photo(index)
      for row in Swift.stride(from: 0, to: stride, by: size.width) {
        for column in 0..<size.width {
          flipped.elements[index * stride + row + column] = source[row + size.width - 1 - column]
        }
      }
    }
    return LabelledTensors(storage: flipped, stride: stride, labels: labels)
  }

  /// Batches of nearly equal size, none above `size`, in an order drawn from `seed`: as in training,
  /// so that batches are mixtures of the classes.
  func batches(of size: Int, seed: UInt64) -> [[Int]] {
    var stream = RandomStream(seed: seed, purpose: .shuffle)
    let order = stream.permutation(of: count)
    let parts = max((count + size - 1) / max(size, 1), 1)
    return (0..<parts).map { Array(order[$0 * count / parts..<($0 + 1) * count / parts]) }
  }
}
