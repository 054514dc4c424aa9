// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawReports
import ThawSearch
import ThawTensors

/// Importance, intervals, folds, and what the page shows.
struct SearchStatisticsTests {
  @Test func importanceIsThatOfWhatMakesADifference() throws {
    var stream = RandomStream(seed: 1, purpose: .resampling)
    let points: [[Double?]] = (0..<80).map { _ in (0..<4).map { _ in stream.uniform(in: 0...1) } }
    let values = points.map { 5 * ($0[1] ?? 0) * ($0[1] ?? 0) + 2 * ($0[3] ?? 0) }
    let shares = try #require(ParameterImportance.shares(points, values, seed: 2))
    #expect(shares[1] > 0.6 && shares[1] > 5 * shares[3] && shares[3] > shares[0])
    #expect(shares[0] < 0.05 && shares[2] < 0.05)
    #expect(ParameterImportance.shares(points, values.map { _ in 1 }, seed: 2) == nil)
    #expect(
      ParameterImportance.shares(Array(points.prefix(7)), Array(values.prefix(7)), seed: 2) == nil)
  }

  /// What two parameters do together only is nobody's own.
  @Test func interactionsAreNobodysOwn() throws {
    var stream = RandomStream(seed: 3, purpose: .resampling)
    let points: [[Double?]] = (0..<200).map { _ in (0..<2).map { _ in stream.uniform(in: 0...1) } }
    let values = points.map { (($0[0] ?? 0) > 0.5) == (($0[1] ?? 0) > 0.5) ? 1.0 : 0.0 }
    let shares = try #require(ParameterImportance.shares(points, values, seed: 2))
    #expect(shares[0] < 0.3 && shares[1] < 0.3)
  }

  @Test func intervalsAreStudents() {
    let interval = MeanInterval([1, 2, 3, 4])
    // 2.5 +- 3.182 * 1.2910 / 2
    #expect(
      interval.mean == 2.5 && abs(interval.upper - 4.5540) < 1e-3
        && abs(interval.lower - 0.4460) < 1e-3)
    #expect(MeanInterval([7]).lower == 7)
  }

  @Test func foldsKeepPicturesTogetherAndClassesEven() {
    let classes = (0..<60).map { $0 < 40 ? "a" : $0 < 59 ? "b" : "single" }
    var groups = (0..<60).map { [$0] }
    groups[0] = [0, 1, 2]
    groups.removeSubrange(1...2)
    let folds = FoldAssignment(classes: classes, groups: groups, count: 5, seed: 3)
    #expect(Set(folds.folds[0...2]).count == 1)
    for fold in 0..<5 {
      let held = folds.held(fold)
      #expect((6...12).contains(held.count { classes[$0] == "a" }))
      #expect((3...5).contains(held.count { classes[$0] == "b" }))
      #expect(Set(held).isDisjoint(with: folds.training(fold)))
      #expect(held.count + folds.training(fold).count == 60)
    }
    #expect(folds.folds[59] == -1)
    #expect(
      FoldAssignment(classes: classes, groups: groups, count: 5, seed: 4).folds != folds.folds)
  }

  private func page(_ name: String = "train.learning_rate") -> SearchPage {
    let axes = [
      SearchPage.Axis(name: name, isLogarithmic: true, words: [], importance: 0.5),
      SearchPage.Axis(
        name: "train.solver", isLogarithmic: false, words: ["sgd", "adamw"], importance: nil),
    ]
    let trials = (0..<6).map { index in
      SearchPage.Trial(
        id: index, metric: 0.5 + 0.05 * Double(index), latency: [9, 5, 7, 3, 4, 8][index],
        isBest: index == 5, isStart: index == 0,
        values: [index == 3 ? nil : 0.001 * Double(index + 1), Double(index % 2)])
    }
    return SearchPage(
      SearchPage.Content(
        title: "<b>title</b>", metric: "accuracy", isSmallBest: false, axes: axes, trials: trials,
        sentences: ["Trial 5 is best."], settings: [("train.solver", "adamw")]))
  }

  @Test func thePageShowsEveryTrialOnEveryScale() {
    let html = page().html
    // Six in the front and with the solver, five with the rate that one did not have.
    #expect(html.components(separatedBy: "<circle").count - 1 == 17)
    // Six lines, one of them without its first axis, and the front.
    #expect(html.components(separatedBy: "<polyline").count - 1 == 7)
    #expect(html.contains("&lt;b&gt;title") && !html.contains("<b>title"))
  }

  @Test func theFrontIsWhatNothingBeats() {
    let page = page()
    let points = page.content.trials.compactMap { trial in trial.latency.map { ($0, trial) } }
    #expect(page.unbeaten(points).map(\.1.id) == [3, 4, 5])
  }
}
