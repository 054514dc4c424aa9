// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawScaling
import ThawTestSupport

@Suite struct ScalingModelTests {
  /// Steps of 32 photos in 4 shards of 100 ms, 10 ms of update, 100 MB of gradient; a network of 100 MB/s.
  private func model(shards: Int = 4, gradient: Int = 100_000_000) -> ScalingModel {
    ScalingModel(
      StepCost(
        batch: 32, shards: shards, shardSeconds: 0.4 / Double(shards), updateSeconds: 0.01,
        gradientBytes: gradient, validationSeconds: 0),
      link: NetworkLink(name: "slow", latency: 0, rate: 100e6), training: 320, validation: 0)
  }

  @Test func oneRankIsWhatWasMeasured() {
    let row = model().row(ranks: 1)
    #expect(abs(row.secondsPerEpoch - 10 * 0.41) < 1e-9)
    #expect(row.speedup == 1 && row.efficiency == 1 && row.networkSecondsPerStep == 0)
    #expect(row.limit == .none)
  }

  @Test func twoRanksSendTheGradientOnceInEachDirection() {
    let row = model().row(ranks: 2)
    // Half of it as partial sums, half as sums: 100 MB at 100 MB/s.
    #expect(abs(row.networkSecondsPerStep - 1) < 1e-9)
    #expect(abs(row.secondsPerEpoch - 10 * (0.2 + 0.01 + 1)) < 1e-9)
    #expect(row.limit == .network)
  }

  @Test func whatIsSentWhileTheRestIsComputedIsNotWaitedFor() {
    // Three pieces of 4 MB: 40 ms each, half as partial sums and half as sums.
    var cost = model(gradient: 3 << 22).cost
    func waiting(_ leads: [Double]) -> Double {
      cost.leads = leads
      return ScalingModel(
        cost, link: NetworkLink(name: "slow", latency: 0, rate: Double(1 << 22) / 0.04),
        training: 320, validation: 0
      ).waitingSeconds(ranks: 2)
    }
    #expect(abs(waiting([]) - 0.12) < 1e-9)
    #expect(abs(waiting([0, 0, 0]) - 0.12) < 1e-9)
    // Two pieces are through before the last one is complete.
    #expect(abs(waiting([0.1, 0.09, 0]) - 0.04) < 1e-9)
    // The first is late, and the others wait for it.
    #expect(abs(waiting([0.06, 0.055, 0.05]) - 0.06) < 1e-9)
    #expect(waiting([0.2, 0.2, 0.2]) == 0)
  }

  @Test func ranksThatShareUnevenlyAreLimitedByTheBusiest() {
    let row = model(gradient: 1000).row(ranks: 3)
    #expect(row.shardsOfBusiest == 2)
    #expect(row.limit == .unevenShards)
    // More ranks than shards are no faster.
    #expect(
      model(gradient: 1000).row(ranks: 8).secondsPerEpoch
        >= model(gradient: 1000).row(ranks: 4).secondsPerEpoch - 1e-4)
  }

  @Test func partialSumsThatDoNotFitTogetherCostMore() {
    // Of 8 shards the middle one of three ranks holds 2..<5: two partial sums.
    #expect(model(shards: 8).networkSeconds(ranks: 3) > model(shards: 3).networkSeconds(ranks: 3))
  }

  @Test func theAdviceFollowsTheLimit() throws {
    let slow = ScalingPlan(model(), threads: 1, ranks: [1, 2])
    #expect(try #require(slow.advice).contains("From 2 ranks on the network takes 83 %"))
    let uneven = ScalingPlan(model(gradient: 1000), threads: 1, ranks: [1, 2, 3])
    #expect(try #require(uneven.advice).contains("--shards 3"))
  }
}
