// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import Testing
import ThawDiagnosis
import ThawExecution
import ThawNetwork
import ThawRankThreads
import ThawRanks
import ThawReference
import ThawTensors
import ThawTestSupport

/// Passes of a diagnosis whose batches several ranks compute: the numbers of one process, to the bit.
@Suite struct DiagnosisRanksTests {
  /// What a diagnosis measures by passes.
  private struct Measured: Sendable {
    var logits: [UInt32] = []
    var moments: [ParameterPath: ChannelMoments] = [:]
    var losses: [Double?] = []
    var passes = 0.0
    var features: [UInt32] = []
    /// Batches and layers that this process computed.
    var own = 0
  }

  private static func measure(_ ranks: RankGroup) throws -> Measured {
    var small = try SmallNetwork()
    let network = try small.phased(batch: 8)
    var result = Measured()
    for selection in [BatchNormInspection.Selection.none, .all, .only(["bn2", "bn6"])] {
      let output = try network.run(
        small.photos.subset(Array(0..<45)), batchStatistics: selection, batch: 7, seed: 3,
        ranks: ranks, check: { result.own += $0 })
      result.logits += output.logits.elements.map(\.bitPattern)
      result.moments.merge(output.moments) { $1 }
    }
    let attribution = try PhaseAttribution(
      network, small.photos, batch: 8, seed: 3, ranks: ranks, check: { result.own += 1 })
    result.losses = attribution.alone + attribution.upTo + attribution.groups
    result.losses += [attribution.inferenceLoss, attribution.trainingLoss]
    result.passes = network.photoPasses
    // Logits that are no numbers.
    small.parameters["fc.bias"] = Tensor([.nan, .infinity], shape: [2])
    result.logits += try small.phased().run(
      small.photos, batchStatistics: .none, batch: 20, seed: 3, ranks: ranks
    ).logits.elements.map(\.bitPattern)
    let engine = ReferenceEngine<Float>()
    let plan = try Compiler(inference: engine, training: engine).compileInference(
      small.graph, parameters: .procedural(for: small.graph), microBatch: 4,
      size: SmallNetwork.size)
    result.features = try plan.run(SmallNetwork.photos(70, seed: 2), ranks: ranks).elements
      .map(\.bitPattern)
    return result
  }

  /// Goes through `body` in a job.
  private static func inJob<Result: Sendable>(
    _ count: Int, _ directory: FilePath, _ body: @escaping @Sendable (RankGroup) throws -> Result
  ) throws -> [Result] {
    try asRanks(count) { ranks in
      let job = RankJob(
        kind: .diagnoseBatchNorm, run: directory.string, recipe: "", threads: 1, engine: "none",
        pretrained: nil)
      if ranks.isLeader { try ranks.begin(.work(job)) } else { _ = try ranks.nextOrder() }
      defer { ranks.endJob() }
      return try body(ranks)
    }
  }

  @Test(arguments: [2, 3, 5])
  func everyRankHasTheNumbersOfOneProcess(count: Int) throws {
    let alone = try DiagnosisRanksTests.measure(.alone)
    #expect(alone.logits.contains { Float(bitPattern: $0).isNaN })
    #expect(alone.moments.count == 8 && alone.losses.count { $0 != nil } == 16)
    let directory = try TemporaryDirectory()
    let found = try DiagnosisRanksTests.inJob(count, directory.path, DiagnosisRanksTests.measure)
    for measured in found {
      #expect(measured.logits == alone.logits)
      #expect(measured.features == alone.features)
      #expect(measured.moments == alone.moments)
      #expect(
        measured.losses.map { $0?.bitPattern } == alone.losses.map { $0?.bitPattern })
      #expect(measured.passes == alone.passes)
      #expect(measured.own > 0 && measured.own < alone.own)
    }
    #expect(found.reduce(0) { $0 + $1.own } == alone.own)
  }

  /// Machines that compute differently may come to different conclusions on the way.
  @Test func otherWorkIsRefusedByName() throws {
    let directory = try TemporaryDirectory()
    let found = try DiagnosisRanksTests.inJob(3, directory.path) { ranks -> String in
      do {
        let _: [Float] = try ranks.rows(ranks.rank == 2 ? 5 : 4, width: 3) { row, place in
          place[0] = Float(row)
        }
        return ""
      } catch RankError.disagreement(let words) { return words }
    }
    #expect(found.allSatisfy { $0.contains("rank 2 (host2): has come to other work") }, "\(found)")
  }
}
