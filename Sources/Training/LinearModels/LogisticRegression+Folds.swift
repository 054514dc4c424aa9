// SPDX-License-Identifier: Apache-2.0

import ThawTensors

extension LogisticRegression {
  /// The values of C that ``Regularization/automatic`` tries, from strong to weak.
  package static let candidates: [Double] = [1e-4, 1e-3, 1e-2, 1e-1, 1, 10, 100]

  /// The C to use and what was tried to find it.
  ///
  /// Goes from strong to weak, each fit starting from the one before, and stops once the held-out
  /// loss has risen twice in a row. The earlier, stronger C wins a tie.
  func chooseStrength(
    _ objective: LogisticObjective, base: [Double], strata: [Int], onSolve: () throws -> Void
  ) rethrows -> (inverseStrength: Double, trials: [RegularizationTrial]) {
    if case .inverseStrength(let given) = regularization { return (given, []) }
    let fold = assignFolds(strata, classes: (strata.max() ?? 0) + 1)
    let heldOut = fold.count { $0 >= 0 }
    guard heldOut > 0 else { return (1, []) }
    var starts = [[Double]](
      repeating: [Double](repeating: 0, count: objective.dimension), count: folds)
    var trials: [RegularizationTrial] = []
    for candidate in LogisticRegression.candidates {
      var loss = 0.0
      for part in 0..<folds {
        let weights = base.indices.map { fold[$0] == part ? 0 : base[$0] }
        let solution = solve(
          objective, weights: weights, inverseStrength: candidate, from: starts[part],
          tolerance: max(tolerance, 1e-4))
        starts[part] = solution.point
        loss += objective.loss(at: solution.point) { fold[$0] == part }
        try onSolve()
      }
      trials.append(
        RegularizationTrial(inverseStrength: candidate, loss: loss / Double(heldOut)))
      if hasRisenTwice(trials) { break }
    }
    let best = trials.min { $0.loss < $1.loss }
    return (best?.inverseStrength ?? 1, trials)
  }

  /// Each sample's fold, every class spread evenly; -1 (always trained on) for a class's only sample.
  private func assignFolds(_ labels: [Int], classes: Int) -> [Int] {
    var folds = [Int](repeating: -1, count: labels.count)
    var next = 0
    for index in 0..<classes {
      let members = labels.indices.filter { labels[$0] == index }
      guard members.count > 1 else { continue }
      var stream = RandomStream(seed: seed, purpose: .split, sample: index)
      for position in stream.permutation(of: members.count) {
        folds[members[position]] = next % self.folds
        next += 1
      }
    }
    return folds
  }

  private func hasRisenTwice(_ trials: [RegularizationTrial]) -> Bool {
    guard trials.count >= 3 else { return false }
    let last = trials.suffix(3).map(\.loss)
    return last[0] < last[1] && last[1] < last[2]
  }
}
