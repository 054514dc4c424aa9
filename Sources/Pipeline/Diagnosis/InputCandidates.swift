// SPDX-License-Identifier: Apache-2.0

import Diagnosis
import Execution
import Images
import Network
import Tensors

/// The network fed as other contracts would feed it: is this what it was trained on?
struct InputCandidates {
  /// One contract and what came of it.
  struct Result {
    let name: String
    let preprocessing: Preprocessing
    let results: PhotoResults
    /// Median divergence at the first batch norm; nil when the network has none.
    let divergence: Double?
  }

  /// The declared contract first.
  let results: [Result]

  /// Runs `photos`, prepared as `classifier` declares, as each contract would have prepared them.
  init(_ classifier: DiagnosedNetwork, _ photos: LabelledTensors, context: StageContext) throws {
    let declared = classifier.preprocessing
    let probe = try FirstNormalization(classifier, context: context)
    var candidates = Preprocessing.candidates(like: declared).map { ($0.name, $0.preprocessing) }
    let swapped = declared.channelsSwapped
    if !candidates.contains(where: { $0.1 == swapped }) {
      candidates.append(("declared, red and blue swapped", swapped))
    }
    results = try candidates.map { name, preprocessing in
      try Interruption.check()
      let tensors = photos.converted(from: declared, to: preprocessing)
      return Result(
        name: name, preprocessing: preprocessing,
        results: PhotoResults(
          PhaseOutput(logits: try classifier.logits(tensors)), labels: photos.labels),
        divergence: try probe?.divergence(tensors))
    }
  }
}

extension Preprocessing {
  /// The same numbers for the other channel order.
  var channelsSwapped: Preprocessing {
    Preprocessing(
      inputSize: inputSize, scale: scale, channelOrder: channelOrder == .rgb ? .bgr : .rgb,
      mean: mean, std: std, interpolation: interpolation, cropFraction: cropFraction,
      resizeRule: resizeRule, background: background)
  }
}

extension LabelledTensors {
  /// The photos as `target` would have prepared them; the geometry stays that of `source`.
  func converted(from source: Preprocessing, to target: Preprocessing) -> LabelledTensors {
    guard source != target else { return self }
    let converted = AlignedStorage<Float>(count: count * stride)
    let plane = stride / 3
    for photo in 0..<count {
      let from = self.photo(photo)
      for channel in 0..<3 {
        let origin = source.channelOrder == target.channelOrder ? channel : 2 - channel
        // x * scale = v * std + mean, then (x * scale' - mean') / std'.
        let gain = target.scale / source.scale
        let slope = Float(source.std[origin] * gain / target.std[channel])
        let offset = Float(
          (source.mean[origin] * gain - target.mean[channel]) / target.std[channel])
        let start = photo * stride + channel * plane
        for index in 0..<plane {
          converted.elements[start + index] = slope * from[origin * plane + index] + offset
        }
      }
    }
    return LabelledTensors(storage: converted, stride: stride, labels: labels)
  }
}

extension DiagnosedNetwork {
  /// The logits of prepared photos, [photos, classes], by the plan that prediction uses.
  func logits(_ photos: LabelledTensors) throws -> Tensor<Float> {
    var rows: [Float] = []
    for start in stride(from: 0, to: photos.count, by: 32) {
      try Interruption.check()
      let pixels = photos.copy(start..<min(start + 32, photos.count))
      let output = try Tensor<Float>(
        shape: [pixels.count / photos.stride, classNames.count]
      ) { output in
        try pixels.withUnsafeBufferPointer { try plan.run($0, into: output) }
      }
      rows += output.elements
    }
    return Tensor(rows, shape: [photos.count, classNames.count])
  }
}

/// The layers up to the first batch norm.
private struct FirstNormalization {
  private let plan: any BatchNormInspectable
  private let path: ParameterPath
  private let epsilon: Double
  private let parameters: Parameters
  private let outputs: Int
  private let batch = 16

  /// Nil when the network has no batch norm.
  init?(_ classifier: DiagnosedNetwork, context: StageContext) throws {
    let graph = classifier.graph
    let step = graph.fusedSteps.first { step in
      step.nodes.contains {
        if case .batchNormalization = graph.nodes[$0].operation { true } else { false }
      }
    }
    guard let step else { return nil }
    let node = step.nodes.lazy.map { graph.nodes[$0] }.first {
      if case .batchNormalization = $0.operation { true } else { false }
    }
    guard let node, case .batchNormalization(let layer) = node.operation else { return nil }
    let size = Extent2D(classifier.preprocessing.inputSize)
    path = node.path
    epsilon = layer.epsilon
    parameters = classifier.parameters
    outputs = try graph.shapes(batch: 1, size: size)[step.result.index].count
    plan = try context.compiler.compileInspection(
      graph, parameters: parameters, to: step.result, batch: batch, size: size)
  }

  func divergence(_ photos: LabelledTensors) throws -> Double? {
    let inspection = BatchNormInspection(batchStatistics: .none)
    let output = AlignedStorage<Float>(count: batch * outputs)
    for start in stride(from: 0, to: photos.count, by: batch) {
      let end = min(start + batch, photos.count)
      try photos.copy(start..<end).withUnsafeBufferPointer {
        try plan.inspect($0, inspection, into: output.elements)
      }
    }
    guard let moments = inspection.moments[path] else { return nil }
    return LayerShift(
      moments,
      runningMean: try parameters.tensor(path.appending("running_mean")).elements,
      runningVariance: try parameters.tensor(path.appending("running_var")).elements,
      epsilon: epsilon
    ).divergence
  }
}
