// SPDX-License-Identifier: Apache-2.0

package import ThawExecution
package import ThawNetwork
package import ThawTensors

/// Compares analytic gradients with central differences of the loss, all in Double.
///
/// (loss(p + h) - loss(p - h)) / 2h approaches d loss / d p with an error of order h^2. On smooth
/// networks a correct backward pass agrees to about 1e-7; 1e-3 means that it is wrong. Elements right
/// at a kink (relu, the maximum of a pooling window) can disagree without being wrong.
package struct GradientCheck: Sendable {
  /// The agreement of one parameter's gradient.
  package struct Finding: Sendable, Equatable {
    /// The parameter.
    package let path: ParameterPath
    /// Largest difference over its checked elements, divided by the largest gradient in it (at least
    /// a thousandth of the largest gradient in the network, below which only rounding is compared).
    package let relativeError: Double
    /// The element with that difference, row major.
    package let element: Int
    /// Its gradient from the backward pass.
    package let analytic: Double
    /// Its gradient from the differences.
    package let numeric: Double
  }

  /// h above, absolute, in the parameter's unit.
  package var difference: Double
  /// At most so many elements of a parameter are tried, evenly spaced.
  package var elementsPerParameter: Int

  /// A check; the defaults suit parameters of order 1.
  package init(difference: Double = 1e-5, elementsPerParameter: Int = 24) {
    precondition(difference > 0, "Central differences need a positive step, got \(difference).")
    precondition(elementsPerParameter > 0, "At least one element a parameter must be tried.")
    self.difference = difference
    self.elementsPerParameter = elementsPerParameter
  }

  /// Checks every trainable parameter of a network, worst first.
  ///
  /// - Parameters:
  ///   - input: one batch, [N, C, H, W].
  ///   - step: the key of dropout masks, the same in all passes.
  ///   - loss: value and gradient of the loss for logits [N, classes], row major.
  /// - Throws: what compiling or running the network throws.
  package func run(
    _ graph: Graph, parameters: Parameters, freezing plan: FreezePlan, input: Tensor<Float>,
    step: StepIdentity = StepIdentity(seed: 0, step: 0),
    loss: (_ logits: [Double]) -> (value: Double, gradient: [Double])
  ) throws -> [Finding] {
    precondition(input.shape.rank == 4, "Images are [N, C, H, W], got \(input.shape).")
    let compiled = try ReferenceEngine<Double>().trainingPlan(
      graph, nodes: Array(graph.nodes.dropFirst()), from: graph.nodes[0].id,
      parameters: parameters, freezing: plan, batch: input.shape[0],
      size: Extent2D(height: input.shape[2], width: input.shape[3]))
    return try run(compiled, input: input.elements.map(Double.init), step: step, loss: loss)
  }

  /// The same for a compiled plan. Its gradients are replaced, running statistics may move.
  package func run(
    _ plan: ReferenceTrainingPlan<Double>, input: [Double], step: StepIdentity,
    loss: (_ logits: [Double]) -> (value: Double, gradient: [Double])
  ) throws -> [Finding] {
    plan.clearGradients()
    plan.backward(scalars: loss(try plan.forward(scalars: input, step: step)).gradient)
    var largest = 0.0
    plan.withTrainableScalars { _, _, gradient in
      largest = gradient.reduce(largest) { max($0, abs($1)) }
    }
    var findings: [Finding] = []
    try plan.withTrainableScalars { description, values, gradient in
      findings.append(
        try worst(of: description.path, values, gradient, floor: largest * 1e-3) {
          loss(try plan.forward(scalars: input, step: step)).value
        })
    }
    return findings.sorted { $0.relativeError > $1.relativeError }
  }

  /// Tries the elements of one parameter and puts their values back.
  private func worst(
    of path: ParameterPath, _ values: UnsafeMutableBufferPointer<Double>,
    _ gradient: UnsafeMutableBufferPointer<Double>, floor: Double, loss: () throws -> Double
  ) rethrows -> Finding {
    let tried = max((values.count + elementsPerParameter - 1) / elementsPerParameter, 1)
    let scale = max(gradient.reduce(0) { max($0, abs($1)) }, floor, Double.leastNormalMagnitude)
    var result = Finding(path: path, relativeError: -1, element: 0, analytic: 0, numeric: 0)
    for element in stride(from: 0, to: values.count, by: tried) {
      let value = values[element]
      defer { values[element] = value }
      values[element] = value + difference
      let above = try loss()
      values[element] = value - difference
      let numeric = (above - (try loss())) / (2 * difference)
      let error = abs(numeric - gradient[element]) / scale
      if error > result.relativeError || error.isNaN {
        result = Finding(
          path: path, relativeError: error.isNaN ? .infinity : error, element: element,
          analytic: gradient[element], numeric: numeric)
      }
    }
    return result
  }
}
