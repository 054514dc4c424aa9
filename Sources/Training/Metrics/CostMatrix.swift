// SPDX-License-Identifier: Apache-2.0

package import ThawDatasets

/// What each answer costs, by what the sample really is.
package struct CostMatrix: Sendable, Equatable {
  /// What the column for keeping an answer back is called in a table.
  package static let undecidedName = "undecided"

  /// In the model's order.
  package let classNames: [String]
  /// [true][answered], in any unit; below 0 it is a gain.
  package let costs: [[Double]]
  /// What it costs to give no answer, by what the sample is; nil when an answer is always given.
  package let undecided: [Double]?

  /// Costs of every pair of classes.
  package init(classNames: [String], costs: [[Double]], undecided: [Double]? = nil) {
    precondition(
      costs.count == classNames.count && costs.allSatisfy { $0.count == classNames.count }
        && undecided.map { $0.count == classNames.count } ?? true,
      "A matrix of costs has a row and a column for each class.")
    (self.classNames, self.costs, self.undecided) = (classNames, costs, undecided)
  }

  /// Reads a table: the first row names the answers, the first cell of each other row what the sample is.
  ///
  /// Rows and columns are matched by name, in any order; a column `undecided` says what it costs to give no
  /// answer.
  ///
  /// - Throws: a text with the line, what was found and what is expected.
  package init(table: String, classNames: [String]) throws(LabelTableFlaw) {
    let rows = try DelimitedText(table).rows
    guard let header = rows.first else { throw LabelTableFlaw(line: nil, problem: "is empty") }
    let answers = header.cells.dropFirst().map { $0.trimmed }
    let undecidedName = classNames.contains(Self.undecidedName) ? nil : Self.undecidedName
    try Self.check(
      answers, classNames + [undecidedName].compactMap(\.self), needed: classNames,
      line: header.line, what: "column")
    let truths = rows.dropFirst().map { $0.cells[0].trimmed }
    try Self.check(truths, classNames, needed: classNames, line: nil, what: "row")
    var costs = classNames.map { _ in [Double](repeating: 0, count: classNames.count) }
    var undecided = [Double](repeating: 0, count: classNames.count)
    for row in rows.dropFirst() {
      guard row.cells.count == header.cells.count else {
        throw LabelTableFlaw(
          line: row.line,
          problem: "has \(row.cells.count) cells, the first row has \(header.cells.count)")
      }
      guard let truth = classNames.firstIndex(of: row.cells[0].trimmed) else { continue }
      for (answer, cell) in zip(answers, row.cells.dropFirst()) {
        guard let cost = Double(cell.trimmed), cost.isFinite else {
          throw LabelTableFlaw(
            line: row.line,
            problem: "the cost of answering '\(answer)' is '\(cell)', expected a number")
        }
        if let column = classNames.firstIndex(of: answer) {
          costs[truth][column] = cost
        } else {
          undecided[truth] = cost
        }
      }
    }
    self.init(
      classNames: classNames, costs: costs,
      undecided: answers.contains { $0 == undecidedName } ? undecided : nil)
  }

  private static func check(
    _ names: [String], _ known: [String], needed: [String], line: Int?, what: String
  ) throws(LabelTableFlaw) {
    func flaw(_ problem: String) -> LabelTableFlaw { LabelTableFlaw(line: line, problem: problem) }
    if let name = names.first(where: { !known.contains($0) }) {
      throw flaw(
        "there is a \(what) for '\(name)', which the model does not know; it knows"
          + " \(needed.prefix(10).joined(separator: ", "))")
    }
    if let name = needed.first(where: { !names.contains($0) }) {
      throw flaw("there is no \(what) for the class '\(name)'")
    }
    if let name = names.first(where: { name in names.count { $0 == name } > 1 }) {
      throw flaw("there are several \(what)s for '\(name)'")
    }
  }

  /// The answer that costs least on average if the probabilities are right: nil for giving none. Of equals
  /// the more probable, then the first.
  package func cheapest(_ probabilities: some RandomAccessCollection<Float>) -> Int? {
    let p = probabilities.map(Double.init)
    func expected(_ costs: (Int) -> Double) -> Double {
      p.indices.reduce(0) { $0 + p[$1] * costs($1) }
    }
    var best: (answer: Int, cost: Double)?
    for answer in classNames.indices {
      let cost = expected { costs[$0][answer] }
      let isBetter = best.map { ($0.cost, -p[$0.answer]) > (cost, -p[answer]) } ?? true
      if isBetter { best = (answer, cost) }
    }
    guard let best else { return nil }
    if let undecided, expected({ undecided[$0] }) < best.cost { return nil }
    return best.answer
  }

  /// What an answer cost.
  package func cost(of answer: Int?, truth: Int) -> Double {
    answer.map { costs[truth][$0] } ?? undecided?[truth] ?? 0
  }

  /// What an answer costs on average if the probabilities are right.
  package func expectedCost(
    of answer: Int?, _ probabilities: some RandomAccessCollection<Float>
  ) -> Double {
    probabilities.enumerated().reduce(0) {
      $0 + Double($1.element) * cost(of: answer, truth: $1.offset)
    }
  }
}

extension String {
  fileprivate var trimmed: String {
    let isSpace: (Character) -> Bool = { $0.isWhitespace }
    return String(drop(while: isSpace).reversed().drop(while: isSpace).reversed())
  }
}
