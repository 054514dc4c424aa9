// SPDX-License-Identifier: Apache-2.0

import ThawTensors

/// The order in which a view visits stored elements: row-major over `shape`, with its own steps.
struct StridedElements: Sendable {
  /// Extents of the view, outermost first.
  let shape: Shape
  /// Steps between neighbours in stored elements, one an axis; never negative.
  let strides: [Int]

  /// The stored order itself.
  init(rowMajor shape: Shape) {
    self.shape = shape
    var strides = [Int](repeating: 1, count: shape.rank)
    for axis in (0..<shape.rank).reversed().dropFirst() {
      strides[axis] = strides[axis + 1] * max(shape[axis + 1], 1)
    }
    self.strides = strides
  }

  init(_ shape: Shape, strides: [Int]) {
    self.shape = shape
    self.strides = strides
  }

  /// The view whose axis k is this one's axis `axes[k]`.
  func permuted(_ axes: [Int]) -> StridedElements {
    StridedElements(Shape(axes.map { shape[$0] }), strides: axes.map { strides[$0] })
  }

  /// Copies the elements in the view's order into `target`, reading the source a slab at a time, so
  /// that a large transposed tensor is never held twice.
  ///
  /// - Parameter read: gives `count` stored elements from the one at an index on.
  func copy(
    elementSize: Int, into target: UnsafeMutableRawBufferPointer,
    read: (_ first: Int, _ count: Int) throws(CheckpointError) -> [UInt8]
  ) throws(CheckpointError) {
    guard shape.count > 0 else { return }
    let steps = StridedElements(rowMajor: shape).strides
    // From the largest step in the source to the smallest: reading is then nearly sequential.
    let order = (0..<shape.rank).filter { shape[$0] > 1 }.sorted { strides[$0] > strides[$1] }
    let axes = order.map { Axis(extent: shape[$0], source: strides[$0], target: steps[$0]) }
    guard let outer = axes.first else {
      target.copyBytes(from: try read(0, 1))
      return
    }
    let inner = Array(axes.dropFirst())
    let reach = inner.reduce(1) { $0 + ($1.extent - 1) * $1.source }
    let rows = max(1, min(outer.extent, (1 << 20) / max(1, outer.source * elementSize)))
    for first in stride(from: 0, to: outer.extent, by: rows) {
      let count = min(rows, outer.extent - first)
      let slab = try read(first * outer.source, (count - 1) * outer.source + reach)
      let loop = [Axis(extent: count, source: outer.source, target: outer.target)] + inner
      let start = first * outer.target
      slab.withUnsafeBytes { source in
        switch elementSize {
        case 1: scatter(UInt8.self, source, loop, start, target)
        case 2: scatter(UInt16.self, source, loop, start, target)
        case 4: scatter(UInt32.self, source, loop, start, target)
        default: scatter(UInt64.self, source, loop, start, target)
        }
      }
    }
  }

  /// Copies stored elements that follow each other, the first being the one at index `first`, to their
  /// places in the view's order. Only for a view that permutes the axes of row-major elements.
  func place(
    _ run: UnsafeRawBufferPointer, from first: Int, elementSize: Int,
    into target: UnsafeMutableRawBufferPointer
  ) {
    let steps = StridedElements(rowMajor: shape).strides
    let order = (0..<shape.rank).filter { shape[$0] > 1 }.sorted { strides[$0] > strides[$1] }
    let axes = order.map { Axis(extent: shape[$0], source: strides[$0], target: steps[$0]) }
    switch elementSize {
    case 1: place(UInt8.self, run, axes, first, target)
    case 2: place(UInt16.self, run, axes, first, target)
    case 4: place(UInt32.self, run, axes, first, target)
    default: place(UInt64.self, run, axes, first, target)
    }
  }

  private func place<Word: BitwiseCopyable>(
    _: Word.Type, _ run: UnsafeRawBufferPointer, _ axes: [Axis], _ first: Int,
    _ target: UnsafeMutableRawBufferPointer
  ) {
    let size = MemoryLayout<Word>.size
    let count = run.count / size
    guard let inner = axes.last else { return target.copyMemory(from: run) }
    var index = axes.map { first / $0.source % $0.extent }
    var to = zip(index, axes).reduce(0) { $0 + $1.0 * $1.1.target }
    var done = 0
    while done < count {
      let last = index.count - 1
      let row = min(count - done, inner.extent - index[last])
      for step in 0..<row {
        let word = run.loadUnaligned(fromByteOffset: (done + step) * size, as: Word.self)
        target.storeBytes(of: word, toByteOffset: (to + step * inner.target) * size, as: Word.self)
      }
      done += row
      index[last] += row
      to += row * inner.target
      // Count up the outer axes like an odometer.
      for axis in stride(from: last, to: 0, by: -1) where index[axis] == axes[axis].extent {
        index[axis] = 0
        to += axes[axis - 1].target - axes[axis].extent * axes[axis].target
        index[axis - 1] += 1
      }
    }
  }

  /// One loop of a copy; steps in elements.
  private struct Axis {
    let extent: Int
    let source: Int
    let target: Int
  }

  private func scatter<Word: BitwiseCopyable>(
    _: Word.Type, _ source: UnsafeRawBufferPointer, _ axes: [Axis], _ start: Int,
    _ target: UnsafeMutableRawBufferPointer
  ) {
    let size = MemoryLayout<Word>.size
    guard let inner = axes.last else { return }
    let outer = axes.dropLast()
    var index = [Int](repeating: 0, count: outer.count)
    var (from, to) = (0, start)
    while true {
      for step in 0..<inner.extent {
        let word = source.loadUnaligned(
          fromByteOffset: (from + step * inner.source) * size, as: Word.self)
        target.storeBytes(of: word, toByteOffset: (to + step * inner.target) * size, as: Word.self)
      }
      // The next row: count up the outer axes like an odometer.
      var axis = outer.count - 1
      while axis >= 0 {
        index[axis] += 1
        from += outer[axis].source
        to += outer[axis].target
        if index[axis] < outer[axis].extent { break }
        from -= outer[axis].source * outer[axis].extent
        to -= outer[axis].target * outer[axis].extent
        index[axis] = 0
        axis -= 1
      }
      if axis < 0 { return }
    }
  }
}
