// SPDX-License-Identifier: Apache-2.0

import Glibc
import Testing
import ThawDiagnosis
import ThawExecution
import ThawNetwork
import ThawTensors
import ThawTestSupport

@Suite struct LayerShiftTests {
  @Test func theDivergenceIsThatOfTwoNormalDistributions() {
    let moments = ChannelMoments(count: 10, mean: [3], variance: [8])
    let shift = LayerShift(moments, runningMean: [1], runningVariance: [4], epsilon: 0)
    #expect(abs(shift.meanShift - 1) < 1e-12)
    #expect(abs(shift.varianceRatio - 2) < 1e-12)
    // KL(N(3, 8) || N(1, 4)) = (ln(1/2) + (8 + 4) / 4 - 1) / 2.
    #expect(abs(shift.divergence - (log(0.5) + 2) / 2) < 1e-12)
  }

  @Test func deadChannelsAreEqualWithinEpsilonAndAFewDoNotDecide() {
    let moments = ChannelMoments(
      count: 10, mean: [0, 0, 0, 0, 100], variance: [1e-12, 1, 1, 1, 1])
    let shift = LayerShift(
      moments, runningMean: [0, 0, 0, 0, 0], runningVariance: [1e-9, 1, 1, 1, 1], epsilon: 1e-3)
    #expect(shift.divergence < 1e-6)
    #expect(shift.worstChannel == 4)
    #expect(shift.worstDivergence > 4000)
    #expect(abs(shift.shareOfBadChannels - 0.2) < 1e-12)
  }

  @Test(arguments: 0..<8)
  func aDamagedLayerStandsOutAndThoseBehindItDoNot(index: Int) throws {
    for (factor, shift) in [(Float(0.02), Float(0)), (60, 0), (1, 4)] {
      var network = try SmallNetwork()
      try network.damage("bn\(index)", variance: factor, shift: shift)
      let layers = try network.factLayers()
      let suspects = BatchNormFacts.suspects(layers)
      #expect(suspects == [index], "variance x \(factor), mean + \(shift)")
      #expect(BatchNormFacts.areBeyondDoubt(suspects, in: layers) == [index])
    }
  }

  @Test(arguments: 0..<8)
  func statisticsOfOtherChannelsStandOutHoweverLittleTheyDiffer(index: Int) throws {
    var network = try SmallNetwork()
    try network.rotate("bn\(index)")
    let layers = try network.factLayers()
    let suspects = BatchNormFacts.suspects(layers)
    #expect(suspects == [index])
    #expect(BatchNormFacts.areBeyondDoubt(suspects, in: layers) == [index])
  }

  @Test func strangenessIsTheShareThatAnyChannelWouldHave() {
    let mean = (0..<16).map { Double($0 % 5) }
    func strangeness(_ data: [Double]) -> Double {
      LayerShift(
        ChannelMoments(count: 10, mean: data, variance: [Double](repeating: 1, count: 16)),
        runningMean: mean.map(Float.init), runningVariance: [Float](repeating: 1, count: 16),
        epsilon: 0
      ).strangeness
    }
    #expect(strangeness(mean) == 0)
    #expect(strangeness(mean.map { $0 + 0.2 }) < 0.1)
    #expect(strangeness(Array(mean.dropFirst(3) + mean.prefix(3))) > 0.7)
    let few = LayerShift(
      ChannelMoments(count: 10, mean: [5], variance: [1]), runningMean: [0], runningVariance: [1],
      epsilon: 0)
    #expect(few.strangeness == 0)
  }

  @Test func aHealthyNetworkHasNoSuspectsNorHasOneOnOtherPhotos() throws {
    #expect(BatchNormFacts.suspects(try SmallNetwork().factLayers()).isEmpty)
  }

  @Test func switchingTheDamagedLayerAloneRepairsTheLogits() throws {
    var network = try SmallNetwork()
    let healthy = try network.phased().run(
      network.photos, batchStatistics: .none, batch: 48, seed: 1)
    try network.damage("bn3", variance: 30, shift: 1)
    let phased = try network.phased()
    func difference(_ selection: BatchNormInspection.Selection) throws -> Double {
      let output = try phased.run(network.photos, batchStatistics: selection, batch: 48, seed: 1)
      return zip(output.logits.elements, healthy.logits.elements).map { abs(Double($0 - $1)) }.max()
        ?? 0
    }
    #expect(try difference(.none) > 0.1)
    #expect(try difference(.only(["bn3"])) < 2e-3)
    #expect(try difference(.only(["bn2"])) > 0.1)
  }
}

@Suite struct RecalibrationTests {
  @Test func statisticsAreThoseOfEveryLayersInputBehindRecalibratedLayers() throws {
    var network = try SmallNetwork()
    let truth = network.parameters
    for index in 0..<8 { try network.damage("bn\(index)", variance: 3, shift: -0.5) }
    // Batches that are smaller than the photos must not matter.
    let result = try Recalibration(
      try network.phased(), on: network.photos, batch: 12, seed: 3)
    for path in truth.paths where path.leaf == "running_mean" || path.leaf == "running_var" {
      expectClose(
        try result.parameters.tensor(path), try truth.tensor(path), relative: 1e-3,
        absolute: 1e-3, path.description)
    }
  }

  @Test func onlyTheNamedLayersChangeAndTheNetworkKeepsItsOwn() throws {
    var network = try SmallNetwork()
    let truth = network.parameters
    try network.damage("bn2", variance: 9)
    let phased = try network.phased()
    let result = try Recalibration(
      phased, on: network.photos, only: ["bn2"], batch: 48, seed: 1)
    #expect(phased.parameters == network.parameters)
    for path in truth.paths {
      let (own, expected) = (try result.parameters.tensor(path), try truth.tensor(path))
      if path.parent == "bn2" {
        expectClose(own, expected, relative: 1e-3, absolute: 1e-3, path.description)
      } else {
        #expect(own == expected, "\(path)")
      }
    }
  }
}

@Suite struct PhaseAttributionTests {
  @Test func theDamagedLayerIsTheOneWhoseSwitchMattersMost() throws {
    var network = try SmallNetwork()
    try network.damage("bn5", variance: 0.01, shift: 2)
    let phased = try network.phased()
    let attribution = try PhaseAttribution(phased, network.photos, batch: 48, seed: 1)
    // Switched alone, the damaged layer brings the loss of the intact network back; layers behind it
    // can hide the damage, not undo it.
    let distances = attribution.alone.map { abs($0 - attribution.trainingLoss) }
    #expect(distances.indices.min { distances[$0] < distances[$1] } == 5)
    #expect(distances[5] < 0.02 * abs(attribution.inferenceLoss - attribution.trainingLoss))
    #expect(abs((attribution.upTo[7] ?? 0) - attribution.trainingLoss) < 1e-6)
    #expect(attribution.groups.count == 3)
    #expect(attribution.groups[2] == nil)
  }
}
