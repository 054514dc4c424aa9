// SPDX-License-Identifier: Apache-2.0

package import ThawTensors

extension Operation {
  /// The shape of the result for inputs of these shapes; `path` is for messages.
  ///
  /// - Throws: ``NetworkError/shapeMismatch(layer:expected:found:)``.
  package func resultShape(of inputs: [Shape], at path: ParameterPath) throws -> Shape {
    let node = Node(id: NodeID(0), path: path, operation: self, inputs: [], group: 0)
    return try node.resultShape(inputs: inputs, batch: 1, size: Extent2D(1))
  }
}
