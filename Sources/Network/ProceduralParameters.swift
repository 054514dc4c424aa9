// SPDX-License-Identifier: Apache-2.0

package import ThawTensors

extension Parameters {
  /// Values for every parameter of `graph` from a formula of path and index: test networks agree with
  /// those of other systems without any weights being stored (`Tools/parity_network.py` has the same
  /// formula).
  ///
  /// With v uniform in [-1, 1): weights v * sqrt(6 / fan-in), scales 1 + 0.3 v, shifts and biases
  /// 0.2 v, running means 0.3 v, running variances 1 + 0.5 v.
  ///
  /// - Parameter scales: factors on the parameters whose path ends in the given name; at most one
  ///   may fit a path.
  package static func procedural(
    for graph: Graph, scales: [String: Double] = [:]
  ) -> Parameters {
    var result = Parameters()
    for parameter in graph.parameters {
      let fanIn = Double(parameter.shape.extents.dropFirst().reduce(1, *))
      let (centre, spread): (Double, Double) =
        switch parameter.role {
        case .weight: (0, (6 / fanIn).squareRoot())
        case .normScale: (1, 0.3)
        case .bias, .normShift: (0, 0.2)
        case .runningMean: (0, 0.3)
        case .runningVariance: (1, 0.5)
        }
      let name = parameter.path.description
      let scale = scales.first { name.hasSuffix($0.key) }?.value ?? 1
      result[parameter.path] = .procedural(
        parameter.path, shape: parameter.shape, centre: centre * scale, spread: spread * scale)
    }
    return result
  }
}

extension Tensor where Scalar == Float {
  /// centre + spread * v with v uniform in [-1, 1), a function of `path` and the element's index.
  ///
  /// The generator is Philox with the path's 64-bit FNV-1a hash as its seed, so numbers of different
  /// paths have nothing in common.
  package static func procedural(
    _ path: ParameterPath, shape: Shape, centre: Double = 0, spread: Double = 1
  ) -> Tensor<Float> {
    let hash = path.description.utf8.reduce(0xCBF2_9CE4_8422_2325 as UInt64) {
      ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01B3
    }
    var stream = RandomStream(seed: hash, purpose: .procedural)
    return Tensor(shape: shape) { elements in
      for index in elements.indices {
        elements[index] = Float(centre + spread * (2 * Double(stream.uniform()) - 1))
      }
    }
  }
}
