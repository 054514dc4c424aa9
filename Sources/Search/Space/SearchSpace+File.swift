// SPDX-License-Identifier: Apache-2.0

import ThawConfiguration
import ThawRecipes

extension SearchSpace {
  /// Reads a space: under `parameters` the keys of recipes, each with the values to try.
  ///
  ///     parameters:
  ///       train.solver: {choice: [sgd, adamw]}
  ///       train.learning_rate: {log_uniform: [1e-4, 0.3]}
  ///       train.epochs: {integer: [10, 150], log: true}
  ///       train.momentum: {uniform: [0.5, 0.99], when: {train.solver: [sgd]}}
  ///
  /// - Parameter file: the name to give in errors.
  /// - Throws: `ConfigurationError` with the line.
  package init(yaml: String, file: String) throws {
    var fields = try YAMLFields(file: file, text: yaml)
    var parameters: [SearchParameter] = []
    try fields.section("parameters") { fields in
      for name in fields.names {
        guard Recipe.names.contains(name) else {
          throw fields.error(at: name, "'\(name)' is no key of recipes.")
        }
        try fields.section(name) { parameters.append(try SearchParameter(name, &$0)) }
      }
    }
    try fields.finish()
    self.init(parameters)
    if let problem {
      throw ConfigurationError(file, line: nil, "the search space does not work: \(problem)")
    }
  }
}

extension SearchParameter {
  fileprivate init(_ name: String, _ fields: inout YAMLFields) throws {
    let kinds = ["uniform", "log_uniform", "integer", "choice"].filter(fields.has)
    guard kinds.count == 1, let kind = kinds.first else {
      throw fields.error(
        at: name, "'\(name)' needs exactly one of uniform, log_uniform, integer and choice.")
    }
    let domain: SearchDomain
    switch kind {
    case "choice":
      var words: [String] = []
      try fields.read(kind, words: &words)
      domain = .choice(words)
    case "integer":
      var (ends, isLogarithmic) = ([Int](), false)
      try fields.read(kind, into: &ends, in: -1_000_000_000...1_000_000_000)
      try fields.read("log", into: &isLogarithmic)
      guard ends.count == 2, ends[0] <= ends[1] else {
        throw fields.error(at: kind, "'\(name)' needs two whole numbers, the smaller one first.")
      }
      domain = .integer(ends[0]...ends[1], isLogarithmic: isLogarithmic)
    default:
      var ends: [Double] = []
      try fields.read(kind, into: &ends, count: 2)
      guard ends[0] <= ends[1] else {
        throw fields.error(at: kind, "'\(name)' needs two numbers, the smaller one first.")
      }
      domain = kind == "uniform" ? .uniform(ends[0]...ends[1]) : .logUniform(ends[0]...ends[1])
    }
    var conditions: [String: [String]] = [:]
    try fields.section("when") { fields in
      for parent in fields.names {
        try fields.read(parent, words: &conditions[parent, default: []])
      }
    }
    self.init(name, domain, when: conditions)
  }
}
