// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawImages
import ThawTensors
import ThawTestSupport

@Suite struct MixingTests {
  private let size = PixelSize(width: 10, height: 8)

  private func batch(_ count: Int) -> [Float] {
    (0..<(count * 2 * 80)).map { Float(($0 * 7919) % 1000) / 100 }
  }

  @Test func mixupIsTheWeightedSumWithThePartner() {
    let draw = BatchMixing.mixup().draw(count: 9, seed: 3, step: 5, size: size)
    #expect(Set(draw.pairs.map(\.partner)) == Set(0..<9))
    #expect(draw.pairs.allSatisfy { (0.5...1).contains($0.fraction) && $0.box == nil })
    let before = batch(9)
    var after = before
    after.withUnsafeMutableBufferPointer { draw.mix($0, channels: 2, size: size) }
    var features = before
    features.withUnsafeMutableBufferPointer { draw.mix($0, width: 160) }
    let expected = before.indices.map { index in
      let pair = draw.pairs[index / 160]
      return pair.fraction * Double(before[index])
        + (1 - pair.fraction) * Double(before[pair.partner * 160 + index % 160])
    }
    expectClose(after.map(Double.init), expected, relative: 1e-5)
    #expect(after == features)
    #expect(after != before)
  }

  @Test func cutmixReplacesTheBoxAndNothingElse() {
    var differing = 0
    for step in 0..<20 {
      let draw = BatchMixing.cutmix().draw(count: 5, seed: 1, step: step, size: size)
      let before = batch(5)
      var after = before
      after.withUnsafeMutableBufferPointer { draw.mix($0, channels: 2, size: size) }
      for (index, pair) in draw.pairs.enumerated() {
        guard let box = pair.box else {
          Issue.record("Cutmix needs a box.")
          return
        }
        #expect(box.fits(in: size))
        var replaced = 0
        for at in 0..<160 {
          let (x, y) = (at % 10 - box.x, at / 10 % 8 - box.y)
          let isInside = x >= 0 && x < box.size.width && y >= 0 && y < box.size.height
          let source = isInside ? pair.partner : index
          #expect(after[index * 160 + at] == before[source * 160 + at])
          replaced += isInside ? 1 : 0
        }
        #expect(abs(pair.fraction - (1 - Double(replaced) / 160)) < 1e-12)
        differing += replaced > 0 && pair.partner != index ? 1 : 0
      }
    }
    #expect(differing > 20)
  }

  @Test func softTargetsSumToOneAndFollowTheFractions() {
    let labels: [Int32] = [0, 2, 1, 1, 3]
    for mixing in [BatchMixing.mixup(), .cutmix()] {
      let draw = mixing.draw(count: 5, seed: 8, step: 1, size: size)
      var targets = [Float](repeating: .nan, count: 20)
      labels.withUnsafeBufferPointer { labels in
        targets.withUnsafeMutableBufferPointer {
          draw.targets(labels: labels, classes: 4, into: $0)
        }
      }
      for (index, pair) in draw.pairs.enumerated() {
        let row = targets[(index * 4)..<(index * 4 + 4)].map(Double.init)
        expectClose([row.reduce(0, +)], [1.0], relative: 1e-6)
        var expected = [0.0, 0, 0, 0]
        expected[Int(labels[index])] += pair.fraction
        expected[Int(labels[pair.partner])] += 1 - pair.fraction
        expectClose(row, expected, relative: 1e-6)
      }
    }
  }

  @Test func aBatchOfOneAndASampleOfItselfAreUnchanged() {
    let draw = BatchMixing.mixup().draw(count: 1, seed: 1, step: 1, size: size)
    let before = batch(1)
    var after = before
    after.withUnsafeMutableBufferPointer { draw.mix($0, channels: 2, size: size) }
    #expect(after == before)
  }

  @Test func drawsDependOnSeedAndStepOnly() {
    let mixing = BatchMixing.mixup()
    let draw = mixing.draw(count: 16, seed: 1, step: 7, size: size)
    #expect(draw == mixing.draw(count: 16, seed: 1, step: 7, size: size))
    #expect(draw != mixing.draw(count: 16, seed: 1, step: 8, size: size))
    #expect(draw != mixing.draw(count: 16, seed: 2, step: 7, size: size))
  }

  @Test(arguments: [0.05, 0.2, 0.4, 1, 2, 8])
  func betaHasItsMeanAndVariance(_ alpha: Double) {
    var stream = RandomStream(seed: 4, purpose: .mixing)
    let count = 20_000
    let values = (0..<count).map { _ in stream.beta(alpha, alpha) }
    #expect(values.allSatisfy { (0...1).contains($0) })
    let mean = values.reduce(0, +) / Double(count)
    let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(count)
    let expected = 1 / (4 * (2 * alpha + 1))
    // Five standard errors of the mean; 5 % for the variance (at most 1 % is its standard error).
    #expect(abs(mean - 0.5) < 5 * (expected / Double(count)).squareRoot())
    #expect(abs(variance / expected - 1) < 0.05)
    let skewed = (0..<count).map { _ in stream.beta(alpha, 2 * alpha) }.reduce(0, +)
    #expect(abs(skewed / Double(count) - 1.0 / 3) < 0.02)
  }
}
