// SPDX-License-Identifier: Apache-2.0

import ThawExecution
package import ThawNetwork
package import ThawTensors

extension ReferenceTrainingPlan {
  /// See ``TrainingPlan/withTrainable(_:)``. With `Double`, elements that `body` leaves alone keep
  /// their full precision.
  package func withTrainable(
    _ body: (
      ParameterDescription, _ values: UnsafeMutableBufferPointer<Float>,
      _ gradient: UnsafeMutableBufferPointer<Float>
    ) throws -> Void
  ) rethrows {
    try withTrainableScalars { description, values, gradient in
      if let values = values as? UnsafeMutableBufferPointer<Float>,
        let gradient = gradient as? UnsafeMutableBufferPointer<Float>
      {
        return try body(description, values, gradient)
      }
      let staged = stage(values, in: staging.values)
      let stagedGradient = stage(gradient, in: staging.gradient)
      try body(description, staged, stagedGradient)
      unstage(staged, to: values)
      unstage(stagedGradient, to: gradient)
    }
  }

  /// The same in the engine's own precision.
  package func withTrainableScalars(
    _ body: (
      ParameterDescription, _ values: UnsafeMutableBufferPointer<Scalar>,
      _ gradient: UnsafeMutableBufferPointer<Scalar>
    ) throws -> Void
  ) rethrows {
    for parameter in trained {
      guard let gradient = parameter.gradientElements else { continue }
      try body(parameter.description, parameter.elements, gradient)
    }
  }

  func stage(
    _ elements: UnsafeMutableBufferPointer<Scalar>, in storage: AlignedStorage<Float>
  ) -> UnsafeMutableBufferPointer<Float> {
    let target = UnsafeMutableBufferPointer(rebasing: storage.elements[..<elements.count])
    ElementLoops.convert(UnsafeBufferPointer(elements), to: target)
    return target
  }

  private func unstage(
    _ staged: UnsafeMutableBufferPointer<Float>, to elements: UnsafeMutableBufferPointer<Scalar>
  ) {
    for index in elements.indices where Float(elements[index]) != staged[index] {
      elements[index] = Scalar(staged[index])
    }
  }

  /// See ``TrainingPlan/exportParameters()``.
  package func exportParameters() -> Parameters {
    var result = Parameters()
    for parameter in program.parameters {
      result[parameter.description.path] = parameter.copy(of: parameter.elements)
    }
    return result
  }

  /// See ``TrainingPlan/importParameters(_:)``. Nothing is replaced when one of them does not fit.
  package func importParameters(_ parameters: Parameters) throws {
    let tensors = try program.parameters.map { parameter in
      let tensor = try parameters.tensor(parameter.description.path)
      guard tensor.shape == parameter.description.shape else {
        throw NetworkError.parameterShape(
          parameter.description.path, expected: parameter.description.shape, found: tensor.shape)
      }
      return tensor
    }
    for (parameter, tensor) in zip(program.parameters, tensors) { parameter.set(tensor) }
  }

  /// See ``TrainingPlan/gradient(of:)``.
  package func gradient(of path: ParameterPath) -> Tensor<Float>? {
    guard let parameter = trained.first(where: { $0.description.path == path }),
      let gradient = parameter.gradientElements
    else { return nil }
    return parameter.copy(of: gradient)
  }
}
