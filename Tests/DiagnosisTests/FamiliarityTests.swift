// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawDiagnosis
import ThawTensors

@Suite struct FamiliarityTests {
  private func results(_ right: Int, loss: Double, of count: Int = 200) -> PhotoResults {
    PhotoResults(
      losses: (0..<count).map { ($0 < right ? loss : loss + 2) + 0.01 * Double($0 % 7) },
      isRight: (0..<count).map { $0 < right })
  }

  /// - Parameter surer: whether it is surer of the photos as they are than mirrored.
  private func traces(
    _ best: PhotoResults, _ solved: PhotoResults, surer: Bool = false
  ) -> Familiarity {
    let mirrored = PhotoResults(
      losses: best.losses.enumerated().map { index, loss in
        surer || index % 2 == 0 ? loss + 0.02 : loss - 0.02
      }, isRight: best.isRight)
    return Familiarity(best: best, solved: solved, mirrored: mirrored)
  }

  @Test func whatAHeadKnowsByHeartIsSeen() {
    let found = traces(results(199, loss: 0.02), results(125, loss: 1.2), surer: true)
    #expect(found.answer == .seen)
    #expect(found.reason.contains("99.5\u{A0}% of them right"))
    // Easy photos: nearly all right anyway, but far surer than a head that has not seen them.
    #expect(traces(results(200, loss: 0.001), results(196, loss: 0.2), surer: true).answer == .seen)
  }

  @Test func aHeadThatIsGoodAtPhotosAndTheirMirrorImagesMayHaveLearnedMorePhotos() {
    #expect(traces(results(199, loss: 0.02), results(125, loss: 1.2)).answer == .unknown)
    #expect(traces(results(100, loss: 1.2), results(98, loss: 1.3), surer: true).answer == .seen)
  }

  @Test func aHeadThatDoesNoBetterThanOneThatHasNotSeenThemHasNotLearnedThem() {
    #expect(traces(results(90, loss: 1.6), results(124, loss: 1.2)).answer == .unseen)
    #expect(traces(results(121, loss: 1.2), results(120, loss: 1.2)).answer == .unseen)
  }

  /// What a head learned on the statistics of pairs does not show in any other company.
  @Test func aHeadOfSmallBatchesMayKnowPhotosThatItShowsNoTraceOf() {
    let unseen = traces(results(90, loss: 1.6), results(124, loss: 1.2))
    #expect(unseen.hiddenByBatches.answer == .unknown)
    #expect(unseen.hiddenByBatches.reason.contains("learned in batches of a few photos"))
    let seen = traces(results(199, loss: 0.02), results(125, loss: 1.2), surer: true)
    #expect(seen.hiddenByBatches == seen)
    func small(_ right: Int, inference: Int, usual: Int?) -> Bool {
      BatchNormFacts.SmallBatches(
        batch: 2, inference: results(inference, loss: 1), results: results(right, loss: 1),
        usual: usual.map { results($0, loss: 1) }
      ).areWhereItLearned
    }
    // Against running statistics a clear lead counts; against larger batches it is enough not to lose
    // by much.
    #expect(small(120, inference: 80, usual: nil) && !small(82, inference: 80, usual: nil))
    #expect(small(114, inference: 110, usual: 120) && !small(105, inference: 60, usual: 120))
  }

  @Test func fewPhotosAndEasyOnesTellNothing() {
    let few = traces(results(20, loss: 0.5, of: 24), results(20, loss: 0.5, of: 24))
    #expect(few.answer == .unknown)
    #expect(few.reason.contains("24 photos are too few"))
    #expect(traces(results(200, loss: 0.02), results(197, loss: 0.1)).answer == .unknown)
    // As unsure of easy photos as a head that has not seen them.
    #expect(traces(results(198, loss: 0.1), results(197, loss: 0.1)).answer == .unseen)
  }

  @Test func whatIsSaidWronglyIsContradictedAndPromisesNothing() {
    let seen = traces(results(199, loss: 0.02), results(125, loss: 1.2), surer: true)
    let unseen = traces(results(121, loss: 1.2), results(120, loss: 1.2))
    let denied = Familiarity(said: false, traces: seen)
    #expect(denied.answer == .seen && denied.isSaid)
    #expect(denied.contradiction?.contains("--seen no was given, but it gets") == true)
    let claimed = Familiarity(said: true, traces: unseen)
    #expect(claimed.answer == .seen)
    #expect(claimed.contradiction?.contains("as if it had not learned") == true)
    let honest = Familiarity(said: false, traces: unseen)
    #expect(honest.answer == .unseen && honest.contradiction == nil)
  }

  @Test func swappedFoldersAreNoticed() {
    let seen = traces(results(199, loss: 0.02), results(125, loss: 1.2), surer: true)
    let unseen = traces(results(121, loss: 1.2), results(120, loss: 1.2))
    let training = Familiarity(.seen, because: "they are its training photos", traces: unseen)
    #expect(training.answer == .seen)
    #expect(training.contradiction?.contains("should be its training photos") == true)
    let judging = Familiarity(.unseen, because: "they were kept apart", traces: seen)
    #expect(judging.answer == .seen)
    #expect(judging.contradiction?.contains("the folders are swapped") == true)
    #expect(Familiarity(.unseen, because: "", traces: unseen).contradiction == nil)
  }
}

@Suite struct OriginalWeightsTests {
  @Test func roundingToHalfPrecisionIsNoChange() {
    let values = (0..<64).map { Float(0.013 * Double($0) - 0.3) }
    let original = Tensor(values, shape: [64])
    #expect(OriginalWeights.areSame(original, original))
    #expect(
      OriginalWeights.areSame(Tensor(values.map { Float(Float16($0)) }, shape: [64]), original))
    var moved = values
    moved[5] += 1e-3
    #expect(!OriginalWeights.areSame(Tensor(moved, shape: [64]), original))
    // Eight bits: three after the first one, and nothing below a five hundredth.
    let coarse = values.map { value in
      let unit = max(Float(sign: .plus, exponent: value.exponent - 3, significand: 1), 1 / 512)
      return (value / unit).rounded() * unit
    }
    #expect(OriginalWeights.isRounded(Tensor(coarse, shape: [64]), from: original))
    #expect(!OriginalWeights.areSame(Tensor(coarse, shape: [64]), original))
    #expect(!OriginalWeights.isRounded(Tensor(moved, shape: [64]), from: original))
    #expect(
      !OriginalWeights.isRounded(
        Tensor([Float](repeating: 0.5, count: 64), shape: [64]), from: original))
    // Every number short, but not these numbers.
    #expect(
      !OriginalWeights.areSame(Tensor([Float](repeating: 0.5, count: 64), shape: [64]), original))
  }
}

@Suite struct NewPhotosTests {
  /// The interval holds the accuracy on a second set of photos as often as it says.
  @Test(arguments: [(0.6, 250), (0.95, 240), (0.35, 60), (0.99, 200)])
  func theIntervalHoldsForAsManyNewPhotos(share: Double, count: Int) {
    var stream = RandomStream(seed: 7, purpose: .resampling)
    func measured() -> Double {
      Double((0..<count).count { _ in stream.uniform(in: 0...1) < share }) / Double(count)
    }
    let trials = 4000
    let held = (0..<trials).count { _ in
      BatchNormFixes.newPhotos(measured(), count).contains(measured())
    }
    #expect(Double(held) / Double(trials) > 0.945)
    // Near 1 two more of each make it wider than it need be.
    #expect(Double(held) / Double(trials) < (share < 0.97 ? 0.985 : 1))
  }
}

@Suite struct LabelAssignmentTests {
  @Test func rotatedNamesAreFound() {
    let labels = (0..<60).map { $0 % 3 }
    let assignment = LabelAssignment(labels: labels, predictions: labels.map { ($0 + 1) % 3 })
    #expect(assignment.accuracy == 1)
    #expect(assignment.accuracyByName == 0)
    #expect(assignment.moved == [0: 1, 1: 2, 2: 0])
  }

  @Test func confusionAndCollapseMoveNothing() {
    let labels = (0..<100).map { $0 % 2 }
    let collapsed = LabelAssignment(labels: labels, predictions: labels.map { _ in 1 })
    #expect(collapsed.moved.isEmpty)
    let confused = LabelAssignment(
      labels: labels, predictions: labels.enumerated().map { $0.offset % 3 == 0 ? 0 : $0.element })
    #expect(confused.moved.isEmpty)
  }

  @Test func outputsThatTheFoldersDoNotNameCanBeAssigned() {
    let assignment = LabelAssignment(labels: [3, 3, 3, 7, 7, 7], predictions: [9, 9, 3, 7, 7, 7])
    #expect(assignment.moved == [:])
    let moved = LabelAssignment(
      labels: [3, 3, 3, 3, 7, 7, 7], predictions: [9, 9, 9, 9, 7, 7, 7])
    #expect(moved.moved == [3: 9])
  }

  /// Half of the photos in each of two classes: guessing costs log 2.
  @Test func onlySureAnswersAreKnowledge() {
    let labels = (0..<40).map { $0 % 2 }
    #expect(LabelAssignment.isKnowledge(loss: 0.3, labels: labels))
    #expect(LabelAssignment.isKnowledge(loss: 0.55, labels: labels))
    #expect(!LabelAssignment.isKnowledge(loss: 0.62, labels: labels))
    #expect(!LabelAssignment.isKnowledge(loss: 0.693, labels: labels))
  }
}

@Suite struct KeptHeadTests {
  /// A fix that keeps the old head, whose own number is biased, must be expected to do about as well as
  /// the best whose number is fair.
  @Test func aKeptHeadDoesNotWinOverANewOneThatDoesFarBetter() {
    let kept = right(40)
    #expect(!BatchNormFixes.isAboutAsGood(kept, as: [right(30), right(93)]))
    #expect(!BatchNormFixes.isAboutAsGood(right(85), as: [right(93)]))
    #expect(BatchNormFixes.isAboutAsGood(right(90), as: [right(30), right(93)]))
    #expect(BatchNormFixes.isAboutAsGood(kept, as: []))
  }

  /// Of a hundred photos eight more say little when fifteen are lost for twenty-three that are gained.
  @Test func aLeadThatMayBeChanceIsNone() {
    let other: [Double] = (0..<100).map { (15..<73).contains($0) ? 1 : 0 }
    #expect(BatchNormFixes.isAboutAsGood(right(50), as: [other]))
    #expect(!BatchNormFixes.isAboutAsGood(right(50), as: [right(58)]))
  }

  /// Merits of a hundred photos, the first of which are right.
  private func right(_ count: Int) -> [Double] { (0..<100).map { $0 < count ? 1 : 0 } }
}
