// SPDX-License-Identifier: Apache-2.0

package import ThawTensors

/// What a model's mistakes cost, and what the cheapest answers would.
package struct CostResult: Sendable, Equatable, Codable {
  /// Mean cost of a sample, with where it lies.
  package struct MeanCost: Sendable, Equatable, Codable {
    package let mean: Double
    /// With 95 % confidence, by the spread of the costs; two numbers.
    package let interval: [Double]

    /// - Parameter independent: how many of the costs say something of their own.
    init(_ costs: [Double], independent: Int) {
      let count = Double(costs.count)
      mean = costs.reduce(0, +) / count
      let middle = mean
      let variance =
        costs.reduce(0) { $0 + ($1 - middle) * ($1 - middle) } / max(count - 1, 1)
      let half = 1.959963984540054 * (variance / Double(max(independent, 1))).squareRoot()
      interval = [middle - half, middle + half]
    }
  }

  /// The classes, in the order of ``costs``.
  package let classNames: [String]
  /// [true][answered], as given.
  package let costs: [[Double]]
  /// Of giving no answer; nil when one is always given.
  package let undecidedCosts: [Double]?
  /// Cost of a sample when the most probable class is answered.
  package let mostProbable: MeanCost
  /// Cost of a sample with the cheapest answers: those with the lowest expected cost.
  package let cheapest: MeanCost
  /// By how much the cheapest answers cost less, sample by sample.
  package let saving: MeanCost
  /// What the cheapest answers cost by the model's own probabilities: far from ``cheapest`` these
  /// probabilities are not to be believed.
  package let expected: Double
  /// What the cheapest answers are.
  package let answers: DecisionResult

  private enum CodingKeys: String, CodingKey {
    case costs, cheapest, saving, expected, answers
    case classNames = "class_names"
    case undecidedCosts = "undecided_costs"
    case mostProbable = "most_probable"
  }

  /// Judges both ways of answering.
  ///
  /// - Parameters:
  ///   - probabilities: [n, classes], at least one row.
  ///   - independent: how many samples say something of their own; nil for all.
  package init(
    _ matrix: CostMatrix, _ probabilities: Tensor<Float>, labels: [Int], independent: Int? = nil
  ) {
    let classes = matrix.classNames.count
    let plain = Probabilities.predictions(probabilities)
    let (answers, expectations) = probabilities.withUnsafeElements { elements in
      let rows = labels.indices.map { elements[($0 * classes)..<(($0 + 1) * classes)] }
      let answers = rows.map { matrix.cheapest($0) }
      return (answers, zip(rows, answers).map { matrix.expectedCost(of: $1, $0) })
    }
    let before = zip(plain, labels).map { matrix.cost(of: $0, truth: $1) }
    let after = zip(answers, labels).map { matrix.cost(of: $0, truth: $1) }
    let own = min(independent ?? labels.count, labels.count)
    classNames = matrix.classNames
    costs = matrix.costs
    undecidedCosts = matrix.undecided
    mostProbable = MeanCost(before, independent: own)
    cheapest = MeanCost(after, independent: own)
    saving = MeanCost(zip(before, after).map { $0 - $1 }, independent: own)
    expected = expectations.reduce(0, +) / Double(labels.count)
    self.answers = DecisionResult(
      answers, labels: labels, classNames: matrix.classNames, independent: independent)
  }
}
