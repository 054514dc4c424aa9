// SPDX-License-Identifier: Apache-2.0

package import ThawTensors

/// What one stored array of a layer is.
package enum ParameterRole: Hashable, Sendable {
  /// A weight matrix or kernel; weight decay applies.
  case weight
  /// An additive bias; no weight decay by default.
  case bias
  /// The scale (gamma) of a normalisation, or a ``ChannelScale``; no weight decay by default.
  case normScale
  /// The shift (beta) of a normalisation; no weight decay by default.
  case normShift
  /// A running mean: a statistic, not trained.
  case runningMean
  /// A running variance: a statistic, not trained.
  case runningVariance

  /// Whether gradients exist for it when its layer group trains.
  package var isTrainable: Bool { self != .runningMean && self != .runningVariance }
}

/// Name, shape and role of one array that a layer keeps.
package struct ParameterDescription: Hashable, Sendable {
  /// Full path, for example `bn1.running_mean`.
  package let path: ParameterPath
  /// Extents.
  package let shape: Shape
  /// What it is.
  package let role: ParameterRole

  /// Describes an array.
  package init(path: ParameterPath, shape: Shape, role: ParameterRole) {
    self.path = path
    self.shape = shape
    self.role = role
  }
}

extension Node {
  /// The arrays this layer keeps, in PyTorch's order.
  package var parameters: [ParameterDescription] {
    switch operation {
    case .convolution(let layer):
      let shape: Shape =
        layer.storesMatrix
        ? [layer.outputs, layer.inputs]
        : [
          layer.outputs, layer.inputs / layer.groups, layer.window.kernel.height,
          layer.window.kernel.width,
        ]
      return [describe("weight", shape, .weight)]
        + (layer.hasBias ? [describe("bias", [layer.outputs], .bias)] : [])
    case .dense(let layer):
      return [describe("weight", [layer.outputs, layer.inputs], .weight)]
        + (layer.hasBias ? [describe("bias", [layer.outputs], .bias)] : [])
    case .batchNormalization(let layer):
      let shape: Shape = [layer.channels]
      return (layer.hasScale ? [describe("weight", shape, .normScale)] : [])
        + (layer.hasShift ? [describe("bias", shape, .normShift)] : [])
        + [
          describe("running_mean", shape, .runningMean),
          describe("running_var", shape, .runningVariance),
        ]
    case .layerNormalization(let layer):
      return [
        describe("weight", [layer.channels], .normScale),
        describe("bias", [layer.channels], .normShift),
      ]
    case .responseNormalization(let layer):
      return [
        describe("weight", [layer.channels], .normScale),
        describe("bias", [layer.channels], .normShift),
      ]
    case .channelScale(let layer):
      return layer.constant == nil ? [describe(layer.name, layer.shape, .normScale)] : []
    case .tokens(let layer):
      return layer.parameterShapes.map { name, shape in
        ParameterDescription(path: path.parent.appending(name), shape: shape, role: .bias)
      }
    case .attention(let layer):
      guard layer.hasBiases else { return [] }
      return ["q_bias", "v_bias"].map { describe($0, [layer.channels], .bias) }
    case .attentionPooling(let layer):
      return layer.parameterShapes.map { describe($0.name, $0.shape, $0.role) }
    default: return []
    }
  }

  private func describe(
    _ name: String, _ shape: Shape, _ role: ParameterRole
  ) -> ParameterDescription {
    ParameterDescription(path: path.appending(name), shape: shape, role: role)
  }
}

extension Graph {
  /// The arrays of every layer, in order of computation.
  package var parameters: [ParameterDescription] { nodes.flatMap(\.parameters) }
}

/// The arrays of a network by path: trained parameters and running statistics, Float32.
package struct Parameters: Sendable, Equatable {
  private var tensors: [ParameterPath: Tensor<Float>]

  /// Wraps arrays by path.
  package init(_ tensors: [ParameterPath: Tensor<Float>] = [:]) { self.tensors = tensors }

  /// The array at `path`, nil when there is none.
  package subscript(path: ParameterPath) -> Tensor<Float>? {
    get { tensors[path] }
    set { tensors[path] = newValue }
  }

  /// All paths in byte order.
  package var paths: [ParameterPath] { tensors.keys.sorted() }
  /// Number of arrays.
  package var count: Int { tensors.count }

  /// The array at `path`.
  ///
  /// - Throws: ``NetworkError/missingParameters(_:)``.
  package func tensor(_ path: ParameterPath) throws -> Tensor<Float> {
    guard let tensor = tensors[path] else { throw NetworkError.missingParameters([path]) }
    return tensor
  }

  /// Checks that every array `graph` needs is here with its shape and finite values; extra arrays
  /// are allowed.
  ///
  /// - Throws: ``NetworkError`` naming the tensor.
  package func validate(for graph: Graph) throws {
    let needed = graph.parameters
    let missing = needed.map(\.path).filter { tensors[$0] == nil }
    guard missing.isEmpty else { throw NetworkError.missingParameters(missing.sorted()) }
    for parameter in needed {
      let tensor = try tensor(parameter.path)
      guard tensor.shape == parameter.shape else {
        throw NetworkError.parameterShape(
          parameter.path, expected: parameter.shape, found: tensor.shape)
      }
      guard !tensor.withUnsafeElements({ $0.isAllFinite }) else { continue }
      let bad = tensor.withUnsafeElements { $0.count { !$0.isFinite } }
      guard bad == 0 else { throw NetworkError.nonFiniteParameter(parameter.path, count: bad) }
    }
    for node in graph.nodes {
      guard case .batchNormalization(let layer) = node.operation else { continue }
      let path = node.path.appending("running_var")
      let bad = try tensor(path).elements.count { Double($0) + layer.epsilon <= 0 }
      guard bad == 0 else { throw NetworkError.unusableVariance(path, count: bad) }
    }
  }

  /// Puts means of 0 and variances of 1 in place of running statistics that nothing can be computed with:
  /// not finite, or a variance that is negative by more than epsilon. Statistics of a layer go together.
  ///
  /// - Returns: the batch norms whose statistics were lost, in order of computation.
  package mutating func replaceLostStatistics(of graph: Graph) -> [ParameterPath] {
    graph.nodes.compactMap { node in
      guard case .batchNormalization(let layer) = node.operation else { return nil }
      let paths = (node.path.appending("running_mean"), node.path.appending("running_var"))
      guard let mean = self[paths.0], let variance = self[paths.1] else { return nil }
      let isLost =
        mean.elements.contains { !$0.isFinite }
        || variance.elements.contains { !$0.isFinite || Double($0) + layer.epsilon <= 0 }
      guard isLost else { return nil }
      self[paths.0] = Tensor([Float](repeating: 0, count: mean.elements.count), shape: mean.shape)
      self[paths.1] = Tensor(
        [Float](repeating: 1, count: variance.elements.count), shape: variance.shape)
      return node.path
    }
  }
}

extension Parameters {
  /// These arrays, with those of `other` in their place where it has some.
  package func overlaid(with other: Parameters) -> Parameters {
    var result = self
    for path in other.paths { result[path] = other[path] }
    return result
  }
}

extension Parameters {
  /// Only what `graph` needs: the pretrained classifier, for one, is left out.
  package func restricted(to graph: Graph) -> Parameters {
    var result = Parameters()
    for parameter in graph.parameters { result[parameter.path] = self[parameter.path] }
    return result
  }
}

extension UnsafeBufferPointer<Float> {
  /// Whether no element is NaN or infinite: the largest exponent tells, which whole vectors are searched for.
  fileprivate var isAllFinite: Bool {
    guard let start = baseAddress else { return true }
    var largest: UInt32 = 0
    for index in 0..<count {
      largest = Swift.max(largest, start[index].bitPattern & 0x7FFF_FFFF)
    }
    return largest < 0x7F80_0000
  }
}
