// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import ThawSearch

/// How soon `thaw search` would find optima that are known, without training anything.
///
/// `Tools/search_samplers.py` runs other samplers on the same functions.
struct SearchSamplers: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "search-samplers",
    abstract: "The least regret of the search's sampler after 25, 50 and 100 trials, by seeds.")

  @Option(help: "Seeds, from 0.") var seeds = 15

  /// A function whose least value is 0.
  private struct Problem: Sendable {
    let name: String
    let space: SearchSpace
    let regret: @Sendable ([String: Double], String) -> Double
  }

  func run() throws {
    for problem in SearchSamplers.problems {
      var found: [[Double]] = []
      for seed in 0..<seeds { found.append(regrets(problem, seed: UInt64(seed))) }
      let numbers = try JSONEncoder().encode(found)
      print("\(problem.name)\t\(String(decoding: numbers, as: UTF8.self))")
    }
  }

  private func regrets(_ problem: Problem, seed: UInt64) -> [Double] {
    let sampler = CoarseToFine(problem.space, seed: seed)
    var ranked: [(trial: CoarseToFine.Observation, regret: Double)] = []
    var found: [Double] = []
    for number in 1...100 {
      let values = problem.space.values(
        at: sampler.point(number - 1, ranked: ranked.map(\.trial)))
      let regret = problem.regret(
        values.compactMapValues(\.size), values["solver"]?.text ?? "")
      let place = ranked.firstIndex { $0.regret > regret } ?? ranked.count
      let point = problem.space.point(of: values)
      ranked.insert((CoarseToFine.Observation(point: point, values: values), regret), at: place)
      if [25, 50, 100].contains(number) { found.append(ranked[0].regret) }
    }
    return found
  }

  private static func cube(_ width: Int) -> SearchSpace {
    SearchSpace((0..<width).map { SearchParameter("x\($0)", .uniform(0...1)) })
  }

  private static let gradient = ["solver": ["sgd", "adamw"]]

  private static let problems = [
    Problem(
      name: "planted",
      space: SearchSpace([
        SearchParameter("solver", .choice(["sgd", "adamw", "lbfgs"])),
        SearchParameter("rate", .logUniform(1e-5...1), when: gradient),
        SearchParameter("decay", .logUniform(1e-6...1)),
        SearchParameter("dropout", .uniform(0...0.8), when: gradient),
        SearchParameter("epochs", .integer(5...200, isLogarithmic: true), when: gradient),
      ]), regret: planted),
    Problem(name: "branin", space: cube(2), regret: branin),
    Problem(name: "hartmann6", space: cube(6), regret: hartmann),
    Problem(name: "rosenbrock4", space: cube(4), regret: rosenbrock),
  ]

  /// Like the settings of a head: the best is adamw at 10^-3.1, decay 10^-3, dropout 0.35, 60 epochs.
  private static func planted(_ values: [String: Double], _ solver: String) -> Double {
    func size(_ name: String) -> Double { values[name] ?? 0 }
    if solver == "lbfgs" { return 0.12 + 0.01 * pow(log10(size("decay")) + 2, 2) }
    var regret = solver == "sgd" ? 0.03 : 0
    regret += 0.03 * pow(log10(size("rate")) + (solver == "sgd" ? 1.7 : 3.1), 2)
    regret += 0.006 * pow(log10(size("decay")) + 3, 2)
    regret += 0.1 * pow(size("dropout") - 0.35, 2)
    return regret + 0.02 * pow(log(size("epochs") / 60), 2)
  }

  private static func branin(_ values: [String: Double], _: String) -> Double {
    let (x, y) = ((values["x0"] ?? 0) * 15 - 5, (values["x1"] ?? 0) * 15)
    let bend = y - 5.1 / (4 * Double.pi * Double.pi) * x * x + 5 / Double.pi * x - 6
    return bend * bend + 10 * (1 - 1 / (8 * Double.pi)) * cos(x) + 10 - 0.397887
  }

  private static func hartmann(_ values: [String: Double], _: String) -> Double {
    let scales: [[Double]] = [
      [10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8],
      [17, 8, 0.05, 10, 0.1, 14],
    ]
    let places: [[Double]] = [
      [1312, 1696, 5569, 124, 8283, 5886], [2329, 4135, 8307, 3736, 1004, 9991],
      [2348, 1451, 3522, 2883, 3047, 6650], [4047, 8828, 8732, 5743, 1091, 381],
    ]
    let sum = [1, 1.2, 3, 3.2].enumerated().reduce(0.0) { sum, peak in
      let distance = (0..<6).reduce(0.0) { distance, index in
        let gap = (values["x\(index)"] ?? 0) - places[peak.offset][index] * 1e-4
        return distance + scales[peak.offset][index] * gap * gap
      }
      return sum + peak.element * exp(-distance)
    }
    return 3.32237 - sum
  }

  private static func rosenbrock(_ values: [String: Double], _: String) -> Double {
    let x = (0..<4).map { (values["x\($0)"] ?? 0) * 4 - 2 }
    return (0..<3).reduce(0.0) { sum, index in
      let bend = x[index + 1] - x[index] * x[index]
      return sum + 100 * bend * bend + (1 - x[index]) * (1 - x[index])
    }
  }
}
