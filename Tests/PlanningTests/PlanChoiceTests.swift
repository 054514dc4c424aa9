// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawPlanning
import ThawRecipes
import ThawSearch
import ThawTraining

/// What fits into a time.
struct PlanChoiceTests {
  /// 100 photos a second train at 224 pixels, four times as many have their features computed.
  private let pace = PhotoPace([
    .init(side: 128, features: 0.001, training: 0.0036),
    .init(side: 224, features: 0.0025, training: 0.01),
  ])
  private let work = PlanChoice.Work(
    training: 500, held: 100, lookedAt: 500, looks: 1, headSeconds: 2)

  private func choose(_ seconds: Double, photoSide: Int = 500) -> PlanChoice? {
    PlanChoice.choose(
      seconds: seconds, sides: [224, 160, 128], photoSide: photoSide, work: work, pace: pace)
  }

  @Test func secondsFollowThePixels() throws {
    #expect(abs(pace.features(at: 224) - 0.0025) < 1e-12)
    #expect(abs(pace.features(at: 128) - 0.001) < 1e-12)
    let between = pace.features(at: 160)
    #expect(between > 0.001 && between < 0.0025)
    let training = try #require(pace.training(at: 160))
    #expect(training > 0.0036 && training < 0.01)
    // Noise may make the larger one the faster: nothing gets below 0 for that.
    let noisy = PhotoPace([
      .init(side: 128, features: 0.003, training: nil),
      .init(side: 224, features: 0.001, training: nil),
    ])
    #expect(noisy.features(at: 96) > 0 && noisy.training(at: 96) == nil)
  }

  @Test func timeForEnoughEpochsKeepsTheSize() throws {
    let plenty = try #require(choose(200))
    #expect(plenty.side == 224)
    // Everything before and after, and the epochs, are within the time.
    let epoch = try #require(work.epoch(pace, 224))
    let whole =
      work.before(pace, 224) + work.afterwards(pace, 224, isFineTuned: true)
      + (plenty.fitting ?? 0) * epoch
    #expect(abs(whole - 200) < 1e-9)
  }

  @Test func lessTimeMakesPhotosSmallerThenLeavesTheBackboneFrozen() throws {
    let sides = [200.0, 60, 40, 15, 10, 7].map { choose($0) }
    let first = try #require(sides[0])
    let second = try #require(sides[1])
    let third = try #require(sides[2])
    #expect(first.side == 224 && second.side == 160 && third.side == 128)
    #expect(sides[3]?.fitting.map { $0 >= 2 } ?? false)
    let frozen = try #require(sides[4])
    #expect(frozen.fitting == nil && frozen.side == 224)
    #expect(sides[5]?.side == 224 || sides[5]?.side == 160)
    #expect(choose(5) == nil)
    #expect(PlanChoice.least(sides: [224, 160, 128], work: work, pace: pace) > 5)
  }

  /// Pixels that a photo does not have are worth less.
  @Test func smallPhotosNeedMoreEpochsBeforeTheyAreEnlarged() {
    let seconds = [70.0, 75, 80, 85, 90]
    let large = seconds.map { choose($0)?.side ?? 0 }
    let small = seconds.map { choose($0, photoSide: 32)?.side ?? 0 }
    #expect(zip(small, large).allSatisfy { $0 <= $1 } && small != large)
  }

  @Test func photosUnlikeThoseOfTheBackboneTrainInCyclesAndLonger() throws {
    let usual = Recipe.Train.fineTuning.schedule
    func length(_ fitting: Double, _ error: Double?, limit: Int? = nil, isUsual: Bool = true)
      -> (epochs: Int, schedule: Schedule)?
    {
      PlanChoice.length(
        fitting: fitting, error: error, limit: limit, usual: usual, isUsual: isUsual)
    }
    let easy = try #require(length(100, 0.05))
    #expect(easy.epochs == 15 && easy.schedule == usual)
    let hard = try #require(length(100, 0.5))
    #expect(hard.epochs == 61 && hard.schedule != usual)
    for fitting in 8...61 {
      let some = try #require(length(Double(fitting), 0.5))
      // Whole cycles, that use the time.
      #expect(some.schedule.wholeEpochs(some.epochs) == some.epochs, "\(fitting)")
      #expect(some.epochs <= fitting && 4 * some.epochs >= 3 * fitting, "\(fitting): \(some)")
    }
    #expect(try #require(length(5, 0.5)).schedule == usual)
    #expect(length(1.9, 0.5) == nil && length(-3, 0.1) == nil)
    // What was asked for stands.
    let asked = try #require(length(100, 0.5, limit: 4))
    #expect(asked.epochs == 4 && asked.schedule == usual)
    #expect(try #require(length(100, 0.5, isUsual: false)).schedule == usual)
    #expect(length(1.5, 0.5, limit: 1)?.epochs == 1)
  }

  @Test func anotherHeadIsTakenOnlyWhenItIsClearlyBetter() {
    func judged(_ place: Int, _ accuracy: Double, _ loss: Double) -> HeadChoice.Judged {
      HeadChoice.Judged(HeadChoice.ways[place], accuracy: accuracy, loss: loss)
    }
    let usual = judged(0, 0.8, 0.6)
    #expect(HeadChoice.best([usual, judged(1, 0.8, 0.59)]) == usual)
    #expect(HeadChoice.best([usual, judged(1, 0.79, 0.3)]) == usual)
    #expect(HeadChoice.best([usual, judged(1, 0.81, 0.5)]) == judged(1, 0.81, 0.5))
    #expect(
      HeadChoice.best([usual, judged(1, 0.81, 0.5), judged(2, 0.8, 0.4)]) == judged(2, 0.8, 0.4))
    #expect(HeadChoice.best([]) == nil)
  }

  @Test func theBudgetCountsWhatEarlierCallsSpent() {
    var now = 100.0
    var budget = TimeBudget(seconds: 60) { now }
    now = 130
    #expect(budget.spent == 30 && budget.left == 30)
    budget.earlier = 20
    #expect(budget.spent == 50 && budget.left == 10)
  }
}
