// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawNetwork
import ThawTensors
import ThawTestSupport
import ThawTraining

/// Weights on the straight line between two networks.
@Suite struct WeightInterpolationTests {
  private let start = Parameters([
    "a.weight": Tensor([1, 2, 3, 4], shape: [2, 2]), "a.running_mean": Tensor([0, 8], shape: [2]),
    "b.weight": Tensor([5], shape: [1]), "only.start": Tensor([6], shape: [1]),
  ])
  private let end = Parameters([
    "a.weight": Tensor([3, 2, -1, 8], shape: [2, 2]), "a.running_mean": Tensor([4, 0], shape: [2]),
    "b.weight": Tensor([5], shape: [1]), "only.end": Tensor([7], shape: [1]),
  ])

  @Test func everyArrayOfBothMovesItsShareOfTheWay() {
    let between = start.interpolated(towards: end, share: 0.25)
    #expect(between.paths == start.paths)
    #expect(between["a.weight"]?.elements == [1.5, 2, 2, 5])
    #expect(between["a.weight"]?.shape == [2, 2])
    #expect(between["a.running_mean"]?.elements == [1, 6])
    #expect(between["b.weight"]?.elements == [5])
    #expect(between["only.start"]?.elements == [6])
  }

  @Test func theEndsAreTheNetworksThemselves() {
    #expect(start.interpolated(towards: end, share: 0) == start)
    let whole = start.interpolated(towards: end, share: 1)
    #expect(whole["a.weight"] == end["a.weight"])
    #expect(whole["a.running_mean"] == end["a.running_mean"])
  }
}
