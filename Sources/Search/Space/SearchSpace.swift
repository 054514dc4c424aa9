// SPDX-License-Identifier: Apache-2.0

/// One thing that is tried in several ways.
package struct SearchParameter: Hashable, Sendable, Codable {
  /// A key of recipes with its section, such as `train.learning_rate`.
  package let name: String
  /// The values it may have.
  package let domain: SearchDomain
  /// Parameters (choices) that must have one of the given words for this one to matter.
  package let conditions: [String: [String]]

  /// A parameter.
  package init(_ name: String, _ domain: SearchDomain, when conditions: [String: [String]] = [:]) {
    self.name = name
    self.domain = domain
    self.conditions = conditions
  }
}

/// What a search may change, and between which bounds.
///
/// A point is one number of 0...1 a parameter, in their order; what a trial is called by are the values
/// of those parameters that matter at it.
package struct SearchSpace: Hashable, Sendable, Codable {
  /// A parameter that others depend on comes before them.
  package let parameters: [SearchParameter]

  /// A space.
  package init(_ parameters: [SearchParameter]) { self.parameters = parameters }

  /// What is wrong with it, as a sentence; nil when nothing is.
  package var problem: String? {
    if parameters.isEmpty { return "there is nothing to search over." }
    var choices: [String: [String]] = [:]
    var seen: Set<String> = []
    for parameter in parameters {
      let name = parameter.name
      guard seen.insert(name).inserted else { return "'\(name)' is there twice." }
      for (parent, words) in parameter.conditions.sorted(by: { $0.key < $1.key }) {
        guard let known = choices[parent] else {
          return "'\(name)' depends on '\(parent)', which must be a choice that comes before it."
        }
        if let word = words.first(where: { !known.contains($0) }) {
          return
            "'\(name)' depends on '\(parent)' being '\(word)', which it never is: its words are"
            + " \(known.joined(separator: ", "))."
        }
      }
      if let problem = parameter.domain.problem { return "'\(name)': \(problem)" }
      if case .choice(let words) = parameter.domain { choices[name] = words }
    }
    return nil
  }

  /// The values at a point of those parameters that matter there.
  package func values(at point: [Double]) -> [String: SearchValue] {
    var values: [String: SearchValue] = [:]
    for (parameter, unit) in zip(parameters, point) where parameter.matters(beside: values) {
      values[parameter.name] = parameter.domain.value(at: unit)
    }
    return values
  }

  /// The point of values; nil in place of what does not matter there or has no place in the space.
  package func point(of values: [String: SearchValue]) -> [Double?] {
    parameters.map { parameter in values[parameter.name].flatMap(parameter.domain.unit(of:)) }
  }

  /// How many different trials there are; nil for more than one could count.
  package var count: Int? {
    var total = 1
    for parameter in parameters {
      guard let count = parameter.domain.count else { return nil }
      let (product, overflows) = total.multipliedReportingOverflow(by: count)
      if overflows { return nil }
      total = product
    }
    return total
  }
}

extension SearchParameter {
  /// Whether the parameter has an effect beside the values of those before it.
  package func matters(beside values: [String: SearchValue]) -> Bool {
    conditions.allSatisfy { parent, words in values[parent].map { words.contains($0.text) } ?? false
    }
  }
}

extension SearchDomain {
  /// What is wrong with it, as a sentence; nil when nothing is.
  var problem: String? {
    switch self {
    case .uniform(let range):
      return range.lowerBound.isFinite && range.upperBound.isFinite
        ? nil : "its bounds must be finite numbers."
    case .logUniform(let range):
      return range.lowerBound > 0 && range.upperBound.isFinite
        ? nil : "a logarithmic range must begin above 0, got \(range.lowerBound)."
    case .integer(let range, let isLogarithmic):
      return isLogarithmic && range.lowerBound < 1
        ? "a logarithmic range must begin at 1 or above, got \(range.lowerBound)." : nil
    case .choice(let words):
      if words.isEmpty { return "a choice needs at least one word." }
      return Set(words).count < words.count ? "a word of the choice is there twice." : nil
    }
  }
}
