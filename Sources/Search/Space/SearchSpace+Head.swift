// SPDX-License-Identifier: Apache-2.0

extension SearchSpace {
  /// What is worth trying for a head on cached features: `Pipelines/search/head.yml`.
  package static var head: SearchSpace {
    let gradient = ["train.solver": ["sgd", "adamw"]]
    return SearchSpace([
      SearchParameter("train.solver", .choice(["sgd", "adamw", "lbfgs"])),
      SearchParameter("train.learning_rate", .logUniform(1e-4...0.3), when: gradient),
      SearchParameter("train.epochs", .integer(10...100, isLogarithmic: true), when: gradient),
      SearchParameter("train.batch", .choice(["16", "32", "64"]), when: gradient),
      SearchParameter("train.weight_decay", .logUniform(1e-5...0.1), when: gradient),
      SearchParameter("train.label_smoothing", .uniform(0...0.2), when: gradient),
      SearchParameter("head.dropout", .uniform(0...0.6), when: gradient),
      SearchParameter(
        "train.regularization", .logUniform(1e-4...10), when: ["train.solver": ["lbfgs"]]),
    ])
  }

  /// The same space and which pretrained network, or `self` without any.
  package func choosing(backbones: [String]) -> SearchSpace {
    guard !backbones.isEmpty else { return self }
    return SearchSpace(
      [SearchParameter("backbone", .choice(backbones))]
        + parameters.filter { $0.name != "backbone" })
  }
}
