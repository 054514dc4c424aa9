// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawPlanning
import ThawRecipes
import ThawRuns

/// What a run remembers of a plan.
struct FitPlanTests {
  private func plan(_ asked: Recipe, _ followed: Recipe...) -> FitPlan {
    FitPlan(
      minutes: 2, asked: asked.yaml, followed: followed.map(\.yaml), spent: 10, photos: "p",
      side: 128, measured: .init(featuresPerSecond: 100, trainingPerSecond: 20), decisions: [])
  }

  private func changed(_ recipe: Recipe, _ change: (inout Recipe) -> Void) -> Recipe {
    var result = recipe
    change(&result)
    return result
  }

  @Test func itsOwnDecisionsAreNotTakenForWishes() {
    let asked = changed(Recipe()) { $0.seed = 7 }
    let first = changed(asked) { ($0.image.size, $0.fineTune.train.epochs) = (128, 9) }
    let second = changed(first) { ($0.fineTune.train.epochs, $0.fineTune.stopAfter) = (12, 5) }
    let plan = plan(asked, first, second)
    for recipe in [asked, first, second] {
      #expect(plan.undecided(recipe) == asked && plan.isFor(recipe))
    }
    #expect(plan.hasFollowed(first) && plan.hasFollowed(second) && !plan.hasFollowed(asked))
    // Decided when the photos were prepared.
    #expect(plan.hasFollowed(changed(first) { $0.precision = .auto }))
  }

  @Test func wishesAreKept() {
    let first = changed(Recipe()) { ($0.image.size, $0.fineTune.train.epochs) = (128, 9) }
    let plan = plan(Recipe(), first)
    let wished = changed(first) {
      ($0.image.size, $0.fineTune.train.learningRate) = (160, .single(1e-4))
    }
    #expect(!plan.isFor(wished))
    let undecided = plan.undecided(wished)
    #expect(undecided.image.size == 160 && undecided.fineTune.train.epochs == 15)
    #expect(undecided.fineTune.train.learningRate == .single(1e-4))
  }
}
