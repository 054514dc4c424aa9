// SPDX-License-Identifier: Apache-2.0

import ThawConsole
import ThawInference
import ThawNetwork
import ThawTensors

/// Which layers stay in Float32: those that disturb the logits most when they alone are computed on bytes,
/// as many as it takes until all others together disturb them little.
struct PrecisionSearch {
  /// One layer with weights.
  struct Layer: Sendable {
    let path: ParameterPath
    /// Of the logits when this layer alone is on bytes; nil for one that cannot be.
    let noise: Double?
    let choice: ScaleChoice?
    var isOnBytes: Bool
  }

  /// In order of computation.
  private(set) var layers: [Layer]
  let graph: Graph
  let parameters: Parameters
  /// Of the logits, with all layers that are on bytes.
  let noise: Double

  /// Share of the logits' variance that rounding may make: 17 dB below them.
  private static let mostNoise = 0.02
  /// Photos that each layer is tried on.
  private static let photosPerLayer = 16

  init(
    _ measurement: Measurement, labels: [Int], atMostPoints: Double, _ context: StageContext
  ) throws {
    let quantizer = measurement.quantizer
    let candidates = quantizer.layers
    guard !candidates.isEmpty else {
      throw PipelineError.data("no layer of the network can be computed in eight bits.")
    }
    let paths = candidates.map(\.lead.path)
    let few = measurement.photos(first: PrecisionSearch.photosPerLayer)
    let progress = context.console.progress(
      "Trying layers", total: paths.count, unit: "layers")
    var noises: [ParameterPath: Double] = [:]
    for (index, path) in paths.enumerated() {
      try context.checkInterruption()
      let alone = try quantizer.quantized(keeping: Set(paths).subtracting([path]))
      noises[path] = measurement.noise(of: try quantizer.logits(alone, few))
      progress.update(completed: index + 1)
    }
    progress.finish()
    let worst = paths.indices.sorted {
      (noises[paths[$1]] ?? 0, $0) < (noises[paths[$0]] ?? 0, $1)
    }.map { paths[$0] }
    let allowed = atMostPoints / 100 * Double(labels.count)
    let right = measurement.correct(measurement.logits)
    var chosen: (Set<ParameterPath>, (graph: Graph, parameters: Parameters), Double)?
    for count in PrecisionSearch.counts(worst.count) {
      try context.checkInterruption()
      let floats = Set(worst.prefix(count))
      let network = try quantizer.quantized(keeping: floats)
      let logits = try quantizer.logits(network, measurement.photos)
      let noise = measurement.noise(of: logits)
      if chosen.map({ noise < $0.2 }) ?? true { chosen = (floats, network, noise) }
      let lost = Double(right - measurement.correct(logits))
      if noise <= PrecisionSearch.mostNoise && lost <= allowed {
        chosen = (floats, network, noise)
        break
      }
    }
    guard let chosen else { throw PipelineError.data("no layer can be computed in eight bits.") }
    graph = chosen.1.graph
    parameters = chosen.1.parameters
    noise = chosen.2
    let operations = quantizer.graph.fusedOperations.filter(\.isWeighted)
    layers = operations.map { fused in
      let path = fused.lead.path
      return Layer(
        path: path, noise: noises[path], choice: quantizer.choices[fused.inputs[0]],
        isOnBytes: chosen.1.graph.quantization?.weights[path] != nil)
    }
  }

  /// How many layers to leave out, one try after the other; never more than half of them.
  private static func counts(_ layers: Int) -> [Int] {
    [0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32].filter { $0 <= layers / 2 }
  }
}
