// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawDiagnosis
import ThawTensors

@Suite struct PhotoCopiesTests {
  private static let side = 32

  /// A photo of 5 x 5 patches whose brightness `seed` draws; `noise` makes a copy that was saved again.
  private func photo(_ seed: UInt64, noise: Float = 0, gain: Float = 1) -> [Float] {
    var patches = RandomStream(seed: seed, purpose: .procedural)
    let levels = (0..<25).map { _ in Float(patches.uniform(in: -1...1)) }
    var stream = RandomStream(seed: seed + 1000, purpose: .procedural)
    return (0..<3 * PhotoCopiesTests.side * PhotoCopiesTests.side).map { index in
      let (x, y) = (
        index % PhotoCopiesTests.side, index / PhotoCopiesTests.side % PhotoCopiesTests.side
      )
      let level = levels[y * 5 / PhotoCopiesTests.side * 5 + x * 5 / PhotoCopiesTests.side]
      return gain * level + noise * Float(stream.normal())
    }
  }

  private func tensors(_ photos: [[Float]], labels: [Int]) -> LabelledTensors {
    let storage = AlignedStorage<Float>(count: photos.count * photos[0].count)
    for (index, value) in photos.joined().enumerated() { storage.elements[index] = value }
    return LabelledTensors(storage: storage, stride: photos[0].count, labels: labels)
  }

  @Test func photosThatWereSavedAgainShareANumberAndOthersDoNot() {
    let originals = (0..<12).map { photo(UInt64($0)) }
    let copies = (0..<3).map { photo(UInt64($0), noise: 0.05, gain: 0.9) }
    let found = PhotoCopies(
      tensors(originals + copies, labels: (0..<15).map { $0 % 12 % 2 }),
      side: PhotoCopiesTests.side)
    #expect(found.groups == Array(0..<12) + [0, 1, 2])
  }

  @Test func whatAFixedCameraSeesIsNoCopy() {
    // Every photo of the class is the same scene.
    let alike = (0..<12).map { photo(7, noise: 0.05 + 0.001 * Float($0)) }
    let others = (20..<32).map { photo(UInt64($0)) }
    let found = PhotoCopies(
      tensors(alike + others, labels: (0..<24).map { $0 < 12 ? 0 : 1 }),
      side: PhotoCopiesTests.side)
    #expect(found.groups == Array(0..<24))
  }
}
