// SPDX-License-Identifier: Apache-2.0

package import ThawNetwork
package import ThawTensors

/// One parameter or statistic of a plan, and its accumulated gradient when it trains.
package final class PlanParameter<Scalar: BLASScalar> {
  package let description: ParameterDescription
  /// Row major, PyTorch's layout.
  package let values: UnsafeMutablePointer<Scalar>
  /// Accumulated since the last clearing; nil when frozen.
  package let gradient: UnsafeMutablePointer<Scalar>?
  private let storage: AlignedStorage<Scalar>
  private let gradientStorage: AlignedStorage<Scalar>?

  /// A copy of `tensor`, with room for a gradient when it trains.
  package init(_ description: ParameterDescription, _ tensor: Tensor<Float>, trains: Bool) {
    self.description = description
    storage = AlignedStorage(count: tensor.count)
    gradientStorage = trains ? AlignedStorage(count: tensor.count) : nil
    values = storage.start
    gradient = gradientStorage?.start
    set(tensor)
  }

  /// Numbers of a node's definition, which no checkpoint holds and no gradient changes.
  package convenience init(constant: Tensor<Float>, of node: Node) {
    self.init(
      ParameterDescription(
        path: node.path.appending("constant"), shape: constant.shape, role: .normScale),
      constant, trains: false)
  }

  /// Number of elements.
  package var count: Int { description.shape.count }
  /// The values with their count.
  package var elements: UnsafeMutableBufferPointer<Scalar> { storage.elements }
  /// The accumulated gradient with its count; nil when frozen.
  package var gradientElements: UnsafeMutableBufferPointer<Scalar>? { gradientStorage?.elements }

  /// Replaces the values.
  package func set(_ tensor: Tensor<Float>) {
    tensor.withUnsafeElements { ElementLoops.convert($0, to: elements) }
  }

  /// A copy of `elements` with this parameter's shape.
  package func copy(of elements: UnsafeMutableBufferPointer<Scalar>) -> Tensor<Float> {
    Tensor(shape: description.shape) {
      ElementLoops.convert(UnsafeBufferPointer(elements), to: $0)
    }
  }
}

extension PlanParameter {
  /// The parameter `description` from `parameters`.
  ///
  /// - Throws: ``NetworkError`` when it is missing or has another shape.
  package convenience init(
    checked description: ParameterDescription, _ parameters: Parameters, trains: Bool
  ) throws {
    let tensor = try parameters.tensor(description.path)
    guard tensor.shape == description.shape else {
      throw NetworkError.parameterShape(
        description.path, expected: description.shape, found: tensor.shape)
    }
    self.init(description, tensor, trains: trains)
  }
}
