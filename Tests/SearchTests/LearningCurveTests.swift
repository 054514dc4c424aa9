// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing
import ThawSearch
import ThawTensors

/// What twice the photos would bring.
struct LearningCurveTests {
  private let sizes = [50.0, 100, 200, 400]

  @Test func aPowerLawIsContinued() {
    let errors = sizes.map { 0.05 + 2 * pow($0, -0.5) }
    let next = LearningCurve.extrapolate(sizes, errors, to: 800)
    #expect(abs(next - (0.05 + 2 * pow(800, -0.5))) < 1e-6)
    // What no longer falls stays.
    #expect(LearningCurve.extrapolate(sizes, [0.2, 0.2, 0.2, 0.2], to: 800) == 0.2)
    // More photos never harm.
    #expect(LearningCurve.extrapolate(sizes, [0.1, 0.12, 0.15, 0.2], to: 800) <= 0.2)
  }

  /// Answers that are right with the probability that a power law says.
  private func curve(_ count: Int, seed: UInt64, floor: Double, scale: Double) -> LearningCurve {
    let correct = sizes.map { size in
      (0..<count).map { photo in
        var stream = RandomStream(seed: seed, purpose: .resampling, sample: photo)
        // The same photo is hard at every size, so that answers hang together as real ones do.
        return stream.uniform(in: 0...1) >= floor + scale * pow(size, -0.5)
      }
    }
    return LearningCurve(
      sizes: sizes, correct: correct, groups: (0..<count).map { [$0] }, seed: seed)
  }

  @Test func theIntervalHoldsWhatTwiceThePhotosBring() throws {
    let (floor, scale) = (0.03, 3.0)
    let truth = 1 - (floor + scale * pow(800, -0.5))
    var held = 0
    for seed in 0..<20 {
      let found = try #require(curve(400, seed: UInt64(seed), floor: floor, scale: scale).doubled())
      held += found.accuracy.lower <= truth && truth <= found.accuracy.upper ? 1 : 0
      #expect(found.gain.lower >= 0 && found.gain.lower <= found.gain.value)
      #expect(found.accuracy.upper - found.accuracy.lower < 0.12)
    }
    #expect(held >= 17)
  }

  @Test func classesThatStillLearnGainMore() throws {
    let learning = curve(200, seed: 1, floor: 0.02, scale: 4)
    let learned = curve(200, seed: 2, floor: 0.1, scale: 0.01)
    let both = LearningCurve(
      sizes: sizes, correct: zip(learning.correct, learned.correct).map { $0 + $1 },
      groups: (0..<400).map { [$0] }, seed: 3)
    let first = try #require(both.doubled(of: Set(0..<200)))
    let second = try #require(both.doubled(of: Set(200..<400)))
    #expect(first.gain.value > 0.02 && first.gain.value > 5 * second.gain.value)
  }

  @Test func tooFewPhotosSayNothing() {
    #expect(curve(19, seed: 1, floor: 0, scale: 1).doubled() == nil)
    #expect(curve(20, seed: 1, floor: 0, scale: 1).doubled() != nil)
    // Nor of a class, when all of them together are enough.
    #expect(curve(60, seed: 1, floor: 0, scale: 1).doubled(of: Set(0..<19)) == nil)
    #expect(CrossValidationStage.conclusion(nil).contains("too few"))
  }
}
