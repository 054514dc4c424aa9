// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing
import ThawConfiguration
import ThawRecipes
import ThawSearch
import ThawTestSupport

/// What a search may change.
struct SearchSpaceTests {
  @Test func valuesComeBackAtTheirPlace() {
    let domains: [SearchDomain] = [
      .uniform(-2...3), .logUniform(1e-6...10), .integer(1...9, isLogarithmic: false),
      .integer(5...500, isLogarithmic: true), .choice(["a", "b", "c"]),
    ]
    for domain in domains {
      for unit in [0, 0.2, 0.5, 0.77, 1] {
        let value = domain.value(at: unit)
        let place = domain.unit(of: value)
        #expect(place.map(domain.value) == value)
      }
    }
    #expect(SearchDomain.logUniform(1e-4...1).value(at: 0.5) == .number(0.01))
    #expect(SearchDomain.uniform(0...1).value(at: 0.123456) == .number(0.1235))
    #expect(SearchDomain.integer(10...1000, isLogarithmic: true).value(at: 0.5) == .whole(97))
    #expect(SearchDomain.choice(["a"]).unit(of: .word("b")) == nil)
  }

  /// Ends of a range of whole numbers would come up half as often if places were rounded.
  @Test func everyWholeNumberIsAsLikely() {
    var counts: [SearchValue: Int] = [:]
    for step in 0..<4000 {
      let unit = (Double(step) + 0.5) / 4000
      counts[SearchDomain.integer(1...4, isLogarithmic: false).value(at: unit), default: 0] += 1
    }
    #expect(counts.count == 4 && counts.values.allSatisfy { (980...1020).contains($0) })
  }

  @Test func parametersWithoutEffectAreLeftOut() {
    let space = SyntheticObjective.space
    let point = [0.9, 0.5, 0.5, 0.5, 0.5]
    #expect(Set(space.values(at: point).keys) == ["solver", "decay"])
    #expect(Set(space.values(at: [0.1, 0.5, 0.5, 0.5, 0.5]).keys).count == 5)
    #expect(space.point(of: space.values(at: point)) == [5.0 / 6, nil, 0.5, nil, nil])
  }

  @Test func theFileThatComesAlongIsWhatIsTriedByDefault() throws {
    var root = URL(fileURLWithPath: #filePath)
    for _ in 0..<3 { root.deleteLastPathComponent() }
    let text = try String(
      contentsOf: root.appendingPathComponent("Pipelines/search/head.yml"), encoding: .utf8)
    #expect(try SearchSpace(yaml: text, file: "head.yml") == .head)
    #expect(SearchSpace.head.problem == nil)
  }

  /// Every word of the space over views is one that recipes take.
  @Test func theSpaceOfViewsIsOneOfRecipes() throws {
    var root = URL(fileURLWithPath: #filePath)
    for _ in 0..<3 { root.deleteLastPathComponent() }
    let text = try String(
      contentsOf: root.appendingPathComponent("Pipelines/search/views.yml"), encoding: .utf8)
    let space = try SearchSpace(yaml: text, file: "views.yml")
    #expect(space.problem == nil)
    for parameter in space.parameters {
      guard case .choice(let words) = parameter.domain else { continue }
      for word in words { _ = try Recipe().setting(parameter.name, to: word) }
    }
    let plain = space.values(at: [0.1, 0.5, 0.5, 0.5, 0.5])
    #expect(plain["train.augmentation"]?.text == "none" && plain["train.views"] == nil)
  }

  @Test(arguments: [
    ("train.rate: {uniform: [0, 1]}", "'train.rate' is no key of recipes."),
    ("train.momentum: {uniform: [0, 1], choice: [a]}", "needs exactly one of"),
    ("train.momentum: {log_uniform: [0, 1]}", "must begin above 0"),
    ("train.epochs: {integer: [9, 3]}", "the smaller one first"),
    ("train.momentum: {uniform: [0, 1], when: {train.solver: [sgd]}}", "depends on 'train.solver'"),
    ("train.momentum: {uniform: [0, 1], unit: x}", "unknown key 'unit'"),
  ])
  func whatDoesNotWorkIsRefused(_ line: String, _ expected: String) throws {
    let error = #expect(throws: ConfigurationError.self) {
      _ = try SearchSpace(yaml: "parameters:\n  \(line)\n", file: "space.yml")
    }
    #expect("\(try #require(error))".contains(expected), "\(line)")
  }

  @Test func limitsAreReadAndBadOnesRefused() throws {
    #expect(
      try SearchLimit.parse("latency_ms=20,size_mb=1.5") == ["latency_ms": 20, "size_mb": 1.5])
    for text in ["latency=20", "latency_ms=-1", "latency_ms", "", "size_mb=1,size_mb=2"] {
      #expect(throws: (any Error).self) { try SearchLimit.parse(text) }
    }
  }

  @Test func keysAreSetByTheirNames() throws {
    let recipe = try Recipe().setting("train.learning_rate", to: "0.037")
      .setting("head.hidden", to: "none").setting("image.size", to: "128")
    #expect(recipe.train.rate == 0.037 && recipe.head.hidden == nil && recipe.image.size == 128)
    #expect(recipe.text(of: "train.epochs") == "60")
    #expect(throws: (any Error).self) { try Recipe().setting("train.epochs", to: "0") }
    #expect(throws: (any Error).self) { try Recipe().setting("train.epoch", to: "1") }
  }
}
