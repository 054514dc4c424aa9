// SPDX-License-Identifier: Apache-2.0

import ThawConsole
import ThawNetwork
import ThawTensors

extension BatchNormFixes {
  /// The network's parameters with other batch norms.
  func parameters(under statistics: Statistics) throws -> Parameters {
    switch statistics {
    case .asTheyAre: return classifier.parameters
    case .anew(let paths): return try recalibrated(only: paths)
    case .checkpoint:
      guard let original = examination.facts.original else { return classifier.parameters }
      var result = classifier.parameters
      for node in classifier.graph.nodes {
        guard case .batchNormalization = node.operation else { continue }
        for parameter in node.parameters {
          if let tensor = original.parameters[parameter.path] { result[parameter.path] = tensor }
        }
      }
      return result
    }
  }

  /// Running statistics computed anew from the photos that fixes may learn from; all of them, or those
  /// of some layers.
  private func recalibrated(only: Set<ParameterPath>?) throws -> Parameters {
    if let known = recalibrations[only] { return known }
    let network = examination.network
    try network.importParameters(classifier.parameters)
    let progress = context.console.progress(
      "Recalibrating", total: only?.count ?? network.layers.count, unit: "layers")
    defer { progress.finish() }
    let recalibration = try Recalibration(
      network, on: fixing, only: only, batch: min(network.batch, fixing.count), seed: seed
    ) { count in
      progress.update(completed: count)
      try Interruption.check()
    }
    recalibrations[only] = recalibration.parameters
    return recalibration.parameters
  }
}
