// SPDX-License-Identifier: Apache-2.0

package import ThawExecution
package import ThawNetwork
import ThawOneDNN
package import ThawReference
import ThawTensors

/// Checks the gradients of a whole network: the backward pass in Double against central differences
/// of the loss, and an engine's gradients in Float against those in Double.
///
/// The images are made of noise, small and few: a gradient does not depend on what is shown, and a
/// wrong one is wrong everywhere. Each parameter is probed along two directions that touch all of its
/// elements, the gradient itself and a random one, and in single elements, its largest gradient among
/// them. The work is bounded: see
/// ``effort``.
package struct GradientDiagnosis: Sendable {
  /// Images of a batch, at least 2 (batch statistics of one image say little).
  package var batch: Int
  /// Side of the images, in pixels; nil for the smallest one that the network takes.
  package var size: Int?
  /// Single elements of each parameter that are probed at most.
  package var elements: Int
  /// Multiplications that may be spent on probing, about; large networks get fewer elements. With
  /// the default a check takes about a minute.
  package var effort: Double
  /// Keys images and directions.
  package var seed: UInt64
  /// Falsifies the gradients in Double, to test the check itself.
  package var falsify: (@Sendable (ParameterPath, UnsafeMutableBufferPointer<Double>) -> Void)?

  /// A check.
  package init(
    batch: Int = 2, size: Int? = nil, elements: Int = 2, effort: Double = 1e11, seed: UInt64 = 0
  ) {
    precondition(batch >= 2, "A gradient check needs at least 2 images, got \(batch).")
    precondition(elements >= 0, "The number of elements cannot be negative.")
    self.batch = batch
    self.size = size
    self.elements = elements
    self.effort = effort
    self.seed = seed
  }

  /// Checks every parameter that `plan` trains.
  ///
  /// - Parameters:
  ///   - engine: whose gradients to compare; nil for none.
  ///   - size: of the images the network was made for, in pixels.
  ///   - progress: called with the parameters done and their number.
  /// - Throws: `NetworkError` when parameters do not fit or no size up to `size` does,
  ///   `ExecutionError`, and what `progress` throws.
  package func run(
    _ graph: Graph, parameters: Parameters, freezing plan: FreezePlan,
    comparing engine: (any Engine)? = nil, size natural: Extent2D,
    progress: (_ done: Int, _ total: Int) throws -> Void = { _, _ in }
  ) throws -> GradientReport {
    guard graph.precision != .int8 else { throw ExecutionError.trainingOnBytes }
    let extent = try smallestSize(graph, natural: natural)
    func compile(_ engine: some Engine) throws -> any TrainingPlan {
      try engine.compileTraining(
        graph, nodes: Array(graph.nodes.dropFirst()), from: graph.nodes[0].id,
        parameters: parameters, freezing: plan, batch: batch, size: extent)
    }
    let reference = try ReferenceEngine<Double>().trainingPlan(
      graph, nodes: Array(graph.nodes.dropFirst()), from: graph.nodes[0].id,
      parameters: parameters, freezing: plan, batch: batch, size: extent)
    let tested = try engine.map { try compile($0) }
    let layers = try run(
      graph, reference: reference, tested: tested, size: extent, progress: progress)
    return GradientReport(
      self, network: graph.name, engine: engine?.name, plan: plan, size: extent.height,
      layers: layers)
  }

  /// The same for compiled plans.
  package func run(
    _ graph: Graph, reference: ReferenceTrainingPlan<Double>, tested: (any TrainingPlan)?,
    size: Extent2D, progress: (_ done: Int, _ total: Int) throws -> Void = { _, _ in }
  ) throws -> [GradientReport.Layer] {
    let comparison = try tested.map {
      try EngineComparison(
        $0, with: reference, check: self, channels: graph.inputChannels, size: size)
    }
    let probing = try ParameterProbing(
      reference, check: self, images: images(0, graph.inputChannels, size),
      elements: try affordableElements(graph, size))
    var layers: [GradientReport.Layer] = []
    let total = reference.trainable.count
    // In the order of the backward pass: a probe leaves the layers behind it changed.
    for index in (0..<total).reversed() {
      let description = reference.trainable[index]
      let finding = probing.finding(ofTrainable: index)
      let path = description.path.description
      let name = path.split(separator: ".").last.map(String.init) ?? path
      layers.append(
        GradientReport.Layer(
          path: String(path.dropLast(name.count + 1)), parameter: name,
          elements: description.shape.count, probes: finding.probes, kinks: finding.kinks,
          relativeError: finding.relativeError.map { min($0, 1e9) },
          engineError: comparison?.errors[description.path].map { min($0, 1e9) }))
      try progress(total - index, total)
    }
    return layers
  }

  /// `batch` images of noise; other `number`s give others.
  func images(_ number: Int, _ channels: Int, _ size: Extent2D) -> [Double] {
    var stream = RandomStream(seed: seed, purpose: .procedural, epoch: 1, sample: number)
    // Rounded to Float, which is what the other engine is given.
    return (0..<batch * channels * size.height * size.width).map { _ in
      Double(Float(stream.normal()))
    }
  }

  /// The smallest side that every layer takes and that leaves two pixels where the maps are smallest.
  private func smallestSize(_ graph: Graph, natural: Extent2D) throws -> Extent2D {
    if let size {
      let extent = Extent2D(size)
      _ = try graph.shapes(batch: batch, size: extent)
      return extent
    }
    for side in [32, 48, 64, 96, 128, 160, 192]
    where side < min(natural.height, natural.width) {
      let extent = Extent2D(side)
      if let shapes = try? graph.shapes(batch: batch, size: extent),
        shapes.allSatisfy({ $0.rank != 4 || $0[2] * $0[3] > 1 || isPooled($0, graph, shapes) })
      {
        return extent
      }
    }
    _ = try graph.shapes(batch: batch, size: natural)
    return natural
  }

  /// Maps of one pixel are expected behind a global pooling only.
  private func isPooled(_ shape: Shape, _ graph: Graph, _ shapes: [Shape]) -> Bool {
    guard let first = shapes.firstIndex(of: shape) else { return false }
    return graph.nodes[...first].contains {
      switch $0.operation {
      case .globalAveragePooling, .globalMaximumPooling: true
      default: false
      }
    }
  }

  /// How many single elements of a parameter the effort allows.
  private func affordableElements(_ graph: Graph, _ size: Extent2D) throws -> Int {
    let pass = try multiplications(graph, size)
    let count = Double(max(graph.parameters.count { $0.role != .runningMean }, 1))
    // Two passes a probe and step, over half of the network on average; most need one or two steps.
    let probes = effort / max(pass * count * 1.5, 1)
    return max(0, min(elements, Int(min(probes, 1e6)) - 2))
  }

  private func multiplications(_ graph: Graph, _ size: Extent2D) throws -> Double {
    let shapes = try graph.shapes(batch: batch, size: size)
    return graph.nodes.reduce(0) { sum, node in
      let weights = node.parameters.first { $0.role == .weight }?.shape
      guard let weights, weights.rank >= 2 else { return sum }
      let perOutput = weights.extents.dropFirst().reduce(1, *)
      return sum + Double(shapes[node.id.index].count) * Double(perOutput)
    }
  }
}

/// Softmax cross-entropy of labels 0, 1, 2, … in Double.
func crossEntropy(_ logits: [Double], samples: Int) -> (value: Double, gradient: [Double]) {
  let classes = logits.count / samples
  var gradient = [Double](repeating: 0, count: logits.count)
  var loss = 0.0
  for sample in 0..<samples {
    let row = logits[sample * classes..<(sample + 1) * classes]
    let largest = row.max() ?? 0
    let exponentials = row.map { exponential($0 - largest) }
    let sum = exponentials.reduce(0, +)
    let label = sample % classes
    loss += (largest + logarithm(sum) - row[row.startIndex + label]) / Double(samples)
    for index in 0..<classes {
      gradient[sample * classes + index] =
        (exponentials[index] / sum - (index == label ? 1 : 0)) / Double(samples)
    }
  }
  return (loss, gradient)
}
