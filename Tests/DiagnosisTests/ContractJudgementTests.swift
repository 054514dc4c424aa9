// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawDiagnosis
import ThawTensors
import ThawTestSupport

@Suite struct ContractJudgementTests {
  private func contract(
    _ name: String, _ divergence: Double, certain: Bool = true, logit: Float? = nil
  ) -> ContractEvidence {
    var result = ContractEvidence(
      name: name, divergence: divergence,
      resampled: (0..<40).map { certain || $0 % 2 == 0 ? divergence : 1 / divergence })
    if let logit {
      let logits = Tensor<Float>([logit, 0, 0, 0, logit, 0, 0, 0], shape: [2, 4])
      let head = HeadResponse(logits)
      result.head = head
      result.resampledScores = [Double](repeating: head.score, count: 40)
    }
    return result
  }

  private func judge(_ evidence: [ContractEvidence], photos: Int = 64, witness: Bool = true)
    -> ContractJudgement
  {
    ContractJudgement(
      batchNorms: evidence, declared: [0], photos: photos, headIsWitness: witness)
  }

  @Test func theBestContractIsNotAccused() {
    let result = judge([contract("declared", 0.02), contract("torch", 0.5)])
    #expect(result.status == .consistent)
    #expect(result.best == 0)
  }

  @Test func errorsOfTheRangeAreNamedEvenOnAFewPhotos() {
    let result = judge([contract("raw", 100), contract("tf", 0.03)], photos: 2)
    #expect(result.status == .wrong)
    #expect(result.best == 1)
    #expect(judge([contract("a", 0.06), contract("b", 0.03)], photos: 2).doubt == .fewPhotos)
  }

  @Test func aSmallLeadNeedsTheClassifiersSupport() {
    #expect(judge([contract("a", 0.026), contract("b", 0.02)]).doubt == .nearTie)
    #expect(
      judge([contract("a", 0.026, logit: 2), contract("b", 0.02, logit: 5)]).status == .wrong)
    #expect(
      judge([contract("a", 0.04, logit: 5), contract("b", 0.02, logit: 2)]).doubt
        == .contradiction)
    // A head that was trained under the declared contract cannot speak for it.
    #expect(
      judge([contract("a", 0.04, logit: 5), contract("b", 0.02, logit: 2)], witness: false).status
        == .wrong)
  }

  @Test func whatNotAllResamplesShowIsNotHeld() {
    let unsure = ContractEvidence(
      name: "b", divergence: 0.02, resampled: (0..<40).map { $0 % 4 == 0 ? 0.05 : 0.02 })
    #expect(judge([contract("a", 0.04), unsure]).status == .undecided)
  }

  @Test func whenNothingFitsNobodyIsAccused() {
    let result = judge([contract("a", 4), contract("b", 2)])
    #expect(result.status == .undecided)
    #expect(result.doubt == .nothingFits)
  }

  @Test func headsAreJudgedBySurenessWithinAPlausibleRange() {
    func judge(_ own: Float, _ other: Float) -> ContractJudgement {
      ContractJudgement(
        heads: [contract("a", 1, logit: own), contract("b", 1, logit: other)], declared: [0],
        photos: 64, classes: 4)
    }
    #expect(judge(8, 2).status == .consistent)
    #expect(judge(2, 8).status == .wrong)
    // Surer, but a hundred times beyond what training leaves: an input too large by as much.
    #expect(judge(8, 800).status == .consistent)
    #expect(judge(800, 8).status == .wrong)
    #expect(judge(0.01, 0.02).doubt == .untrained)
  }
}

@Suite struct ContractCureTests {
  private func results(_ right: Range<Int>) -> PhotoResults {
    PhotoResults(
      losses: (0..<100).map { right.contains($0) ? 0.1 : 2 },
      isRight: (0..<100).map(right.contains))
  }

  @Test func aCureThatDoesHarmIsToldFromOneThatHelps() throws {
    let helpful = try #require(ContractCure(declared: results(0..<50), better: results(0..<80)))
    #expect(helpful.isHelpful && !helpful.isHarmful)
    #expect(helpful.gained == 30 && helpful.lost == 0)
    #expect(helpful.interval[0] < 0.8 && helpful.interval[1] > 0.8)
    let harmful = try #require(ContractCure(declared: results(10..<90), better: results(30..<80)))
    #expect(harmful.isHarmful && !harmful.isHelpful)
    let chance = try #require(ContractCure(declared: results(0..<80), better: results(2..<83)))
    #expect(!chance.isHelpful && !chance.isHarmful)
    #expect(
      ContractCure(declared: .init(losses: [], isRight: []), better: .init(losses: [], isRight: []))
        == nil)
  }

  @Test func anUntrainedNetworkIsNotJudged() {
    let result = ContractJudgement(untrained: 0)
    #expect(result.status == .undecided && result.doubt == .untrained && result.best == 0)
  }
}
