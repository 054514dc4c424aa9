// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawPlanning

/// Which photos to label next.
struct LabelQueueTests {
  @Test func uncertaintyIsTheMissingMargin() {
    #expect(LabelQueue.uncertainty(of: [1, 0, 0], severalLabels: false) == 0)
    #expect(LabelQueue.uncertainty(of: [0.5, 0.5, 0], severalLabels: false) == 1)
    #expect(abs(LabelQueue.uncertainty(of: [0.1, 0.6, 0.3], severalLabels: false) - 0.7) < 1e-6)
    #expect(LabelQueue.uncertainty(of: [0.5, 1], severalLabels: true) == 1)
    #expect(abs(LabelQueue.uncertainty(of: [0.9, 0.1], severalLabels: true) - 0.2) < 1e-6)
    #expect(LabelQueue.entropy(of: [1, 0]) == 0)
    #expect(abs(LabelQueue.entropy(of: [0.25, 0.25, 0.25, 0.25]) - 1) < 1e-12)
  }

  /// Three unsure photos are planted among sure ones.
  @Test func unsurePhotosComeFirst() {
    var uncertainty = [Double](repeating: 0.1, count: 20)
    (uncertainty[4], uncertainty[11], uncertainty[17]) = (0.8, 0.9, 0.7)
    let queue = LabelQueue.queue(
      .uncertainty, uncertainty: uncertainty, vectors: .init(repeating: [1], count: 20),
      groups: [], count: 4)
    #expect(queue.map(\.photo) == [11, 4, 17, 0])
    #expect(queue.allSatisfy { $0.distance == nil })
  }

  /// Ten unsure photos of one corner and two of others, a little surer: one of each is named first.
  @Test func unlikePhotosComeBeforeMoreOfTheSame() throws {
    let corner = (0..<10).map { [1, 0.01 * Float($0), 0] }
    let vectors: [[Float]] = corner + [[0, 1, 0], [0, 0, 1]]
    let uncertainty = [Double](repeating: 0.9, count: 10) + [0.6, 0.5]
    let queue = LabelQueue.queue(
      .diversity, uncertainty: uncertainty, vectors: vectors, groups: [], count: 12)
    #expect(queue.prefix(3).map(\.photo) == [0, 10, 11])
    let second = try #require(queue[1].distance)
    #expect(queue[0].distance == nil && abs(second - 2.0.squareRoot()) < 1e-6)
    #expect(Set(queue.map(\.photo)).count == 12)
    let only = LabelQueue.queue(
      .uncertainty, uncertainty: uncertainty, vectors: vectors, groups: [], count: 3)
    #expect(only.map(\.photo) == [0, 1, 2])
  }

  @Test(arguments: LabelQueue.Order.allCases)
  func copiesAreNotNamedTwice(order: LabelQueue.Order) throws {
    let queue = LabelQueue.queue(
      order, uncertainty: [0.3, 0.9, 0.5, 0.2], vectors: [[1, 0], [1, 0], [0, 1], [1, 1]],
      groups: [[0, 1]], count: 10)
    #expect(queue.count == 3 && queue[0].photo == 1 && queue[0].copies == [0])
    #expect(!queue.contains { $0.photo == 0 })
  }
}
