// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawExecution
import ThawNetwork
import ThawTensors

/// Which elements a pass drops.
@Suite struct DropoutMaskTests {
  private func mask(_ step: Int, _ part: Int, seed: UInt64 = 7) -> [Float] {
    var factors = [Float](repeating: -1, count: 256)
    factors.withUnsafeMutableBufferPointer { factors in
      guard let start = factors.baseAddress else { return }
      DropoutMask(probability: 0.5, layer: "drop").fill(
        start, count: 256, identity: StepIdentity(seed: seed, step: step, part: part))
    }
    return factors
  }

  /// 256 elements of probability 1/2: two masks are equal by chance once in 2^256.
  @Test func noTwoPassesThatARecipeAllowsShareAMask() {
    let steps = [0, 1, 2, 15, 16, 1 << 19, 1 << 20, (1 << 20) + 1, 1 << 23, 1 << 24, 1 << 34]
    let parts = [0, 1, 2, 15, 16, 17, 31, 32, 255, 256, 4095, 4096, 65_535]
    let masks = steps.flatMap { step in parts.map { mask(step, $0) } }
    #expect(Set(masks).count == steps.count * parts.count)
  }

  /// Runs of the first 2^20 steps and 16 parts are resumed with the masks they began with: those of
  /// the random stream whose epoch is the step, with the part in its bits 20 to 23.
  @Test(arguments: [(0, 0), (1, 0), (77, 3), (1 << 19, 15), ((1 << 20) - 1, 1)])
  func masksOfEarlierRunsStay(_ step: Int, _ part: Int) {
    let key = "drop".utf8.reduce(UInt32(0x811C_9DC5)) { ($0 ^ UInt32($1)) &* 0x0100_0193 }
    var stream = RandomStream(
      seed: 7, purpose: .dropout, epoch: step | part << 20, sample: Int(key))
    let expected = (0..<64).flatMap { _ in
      let word = stream.next()
      return (0..<4).map { Float((word >> (16 * $0)) & 0xFFFF < 0x8000 ? 0 : 2) }
    }
    #expect(mask(step, part) == expected)
  }

  @Test func namesOfPassesDiffer() {
    #expect(StepIdentity(seed: 1, step: 2, part: 3) != StepIdentity(seed: 1, step: 2))
    #expect(mask(5, 0, seed: 1) != mask(5, 0, seed: 2))
  }
}
