// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing
import ThawSearch
import ThawTensors

/// A search for a known optimum, without a network.
struct SyntheticObjective: SearchObjective {
  var rungs = 1
  /// What a point is worth, of 0 and more; 0 is the optimum.
  var regret: @Sendable ([String: SearchValue]) -> Double
  /// Called for each measurement.
  var onMeasure: @Sendable () throws -> Void = {}

  func costs(of parameters: [String: SearchValue]) -> [String: Double] {
    ["latency_ms": parameters["decay"]?.size.map { 10 * $0 } ?? 1]
  }

  func measure(_ request: SearchRequest, part: Int) throws -> SearchMeasurement? {
    try onMeasure()
    let (parameters, rung, repetition) = (request.parameters, request.rung, request.repetition)
    #expect(request.earlier.count == (repetition == 0 ? rung : 0))
    let noise = 0.001 * Double((repetition * 7919 + rung * 31) % 11)
    let loss = regret(parameters) + noise
    return SearchMeasurement(
      count: 10 * (rung + 1), accuracy: 1 / (1 + loss), loss: loss, macroF1: 1 / (1 + loss))
  }

  /// As the settings of a head: rates on a logarithmic scale, a choice on which others depend.
  static let space = SearchSpace([
    SearchParameter("solver", .choice(["sgd", "adamw", "lbfgs"])),
    SearchParameter("rate", .logUniform(1e-5...1), when: ["solver": ["sgd", "adamw"]]),
    SearchParameter("decay", .logUniform(1e-6...1)),
    SearchParameter("dropout", .uniform(0...0.8), when: ["solver": ["sgd", "adamw"]]),
    SearchParameter(
      "epochs", .integer(5...200, isLogarithmic: true), when: ["solver": ["sgd", "adamw"]]),
  ])

  /// The optimum is adamw at a rate of 10^-3.1, decay 10^-3, dropout 0.35, 60 epochs.
  static let planted = SyntheticObjective { values in
    func size(_ name: String) -> Double { values[name]?.size ?? 0 }
    func square(_ value: Double) -> Double { value * value }
    if values["solver"]?.text == "lbfgs" { return 0.12 + 0.01 * square(log10(size("decay")) + 2) }
    let isSGD = values["solver"]?.text == "sgd"
    var regret = isSGD ? 0.03 : 0
    regret += 0.03 * square(log10(size("rate")) + (isSGD ? 1.7 : 3.1))
    regret += 0.006 * square(log10(size("decay")) + 3)
    regret += 0.1 * square(size("dropout") - 0.35)
    return regret + 0.02 * square(log(size("epochs") / 60))
  }

  /// Branin's function, 0 at its three minima.
  static let branin = SyntheticObjective { values in
    let (u, v) = (values["x"]?.size ?? 0, values["y"]?.size ?? 0)
    let (x, y) = (u * 15 - 5, v * 15)
    let bend = y - 5.1 / (4 * Double.pi * Double.pi) * x * x + 5 / Double.pi * x - 6
    return bend * bend + 10 * (1 - 1 / (8 * Double.pi)) * cos(x) + 10 - 0.397887
  }

  static let square = SearchSpace([
    SearchParameter("x", .uniform(0...1)), SearchParameter("y", .uniform(0...1)),
  ])
}
