// SPDX-License-Identifier: Apache-2.0

package import ThawCheckpoints
package import ThawGraphs
package import ThawNetwork
import ThawTensors

/// The way back: the weights of a network under the names, and in the order of axes, of the file they
/// once came from, so that the program that wrote the file takes them.
///
/// How a tensor of the file became a parameter (turned, flattened, cut into two) is not noted anywhere,
/// and need not be: each way back is tried on the file's own tensor, and one that gives it back to the
/// bit is right for the new values too.
package struct OriginalNames {
  private let checkpoint: Checkpoint
  /// The file's tensor of each parameter, in our order of axes.
  private let found: [ParameterPath: StoredTensor]
  private let constants: Parameters
  /// What stands before the names of the network's tensors in the file.
  private var prefix = ""

  /// Matches the file with the network.
  ///
  /// - Throws: ``BackboneError/noCounterpart(file:reason:)`` when the file is not of this network;
  ///   `CheckpointError`.
  package init(_ checkpoint: Checkpoint, _ architecture: Architecture) throws {
    self.checkpoint = checkpoint
    let fit = WeightFit(checkpoint, architecture)
    if let complaint = fit.complaint {
      throw BackboneError.noCounterpart(file: checkpoint.path.displayed, reason: complaint)
    }
    found = fit.found
    prefix = fit.prefix
    constants = try fit.parameters(of: checkpoint)
  }

  /// The same for a file of Keras that describes its network itself.
  ///
  /// - Throws: `CheckpointError`.
  package init(_ checkpoint: Checkpoint, _ network: KerasNetwork) throws {
    self.checkpoint = checkpoint
    found = network.stored
    constants = try network.parameters()
  }

  /// Every tensor of the file in its order: with the values of `parameters`, or as it is where the
  /// network has nothing to say of it.
  ///
  /// - Throws: ``BackboneError/noCounterpart(file:reason:)`` when a parameter has no place there, as when
  ///   one has another head; `CheckpointError`.
  package func tensors(_ parameters: Parameters) throws -> [StoredTensor] {
    var replaced: [String: StoredTensor] = [:]
    for path in parameters.paths {
      guard let tensor = parameters[path] else { continue }
      if let fitted = found[path],
        let parts = JoinedAttention.parts(of: prefix + fitted.name, in: checkpoint)
      {
        for (part, values) in zip(parts, try thirds(tensor, parts, path)) {
          replaced[part.name] = StoredTensor(part.name, values)
        }
        continue
      }
      if let fitted = found[path], fitted.shape == tensor.shape,
        let parts = DistilledHeads.parts(of: prefix + fitted.name, in: checkpoint)
          ?? DistilledHeads.parts(of: fitted.name, in: checkpoint)
      {
        for (part, values) in zip(parts, DistilledHeads.split(tensor)) {
          replaced[part.name] = StoredTensor(part.name, values)
        }
        continue
      }
      if let fitted = found[path],
        let place = MaskedBias.place(of: prefix + fitted.name, in: checkpoint)
          ?? PooledAttention.place(of: prefix + fitted.name, in: checkpoint)
      {
        // What the file has in one tensor comes part by part.
        var values = try (replaced[place.tensor.name] ?? place.tensor).floats().elements
        guard tensor.count == place.elements.count else { throw noPlace(path) }
        values.replaceSubrange(place.elements, with: tensor.elements)
        replaced[place.tensor.name] = StoredTensor(
          place.tensor.name, Tensor(values, shape: place.tensor.shape))
        continue
      }
      guard let fitted = found[path],
        let original = checkpoint[prefix + fitted.name] ?? checkpoint[fitted.name]
      else {
        // What the file leaves out, a scale of 1, must have stayed as it is.
        if let constant = constants[path], constant.shape == tensor.shape,
          constant.elements == tensor.elements
        {
          continue
        }
        throw noPlace(path)
      }
      let counterpart = single(tensor, fitted.shape)
      guard fitted.shape == counterpart.shape else {
        throw BackboneError.noCounterpart(
          file: checkpoint.path.displayed,
          reason:
            "'\(path)' is \(tensor.shape) now and was \(fitted.shape), so that the layer there"
            + " cannot take it; make that layer anew")
      }
      replaced[original.name] = try turned(counterpart, like: fitted, into: original, path)
    }
    // What stood before every name, such as DataParallel's `module.`, was taken off when the file was read.
    let wrapper = checkpoint.surroundings?.prefix ?? ""
    return checkpoint.tensors.map { tensor in
      let result = replaced[tensor.name] ?? tensor
      return wrapper.isEmpty ? result : result.renamed(wrapper + result.name)
    }
  }

  /// Two outputs under a softmax as the one under a sigmoid that the file has: their difference.
  private func single(_ tensor: Tensor<Float>, _ shape: Shape) -> Tensor<Float> {
    guard shape.rank > 0, tensor.shape.rank == shape.rank, tensor.shape[0] == 2, shape[0] == 1,
      tensor.shape.count == 2 * shape.count
    else { return tensor }
    let (elements, half) = (tensor.elements, shape.count)
    return Tensor((0..<half).map { elements[half + $0] - elements[$0] }, shape: shape)
  }

  /// Queries, keys and values, which the file has apart.
  private func thirds(
    _ tensor: Tensor<Float>, _ parts: [StoredTensor], _ path: ParameterPath
  ) throws -> [Tensor<Float>] {
    let count = parts[0].shape.count
    guard tensor.count == 3 * count else { throw noPlace(path) }
    let elements = tensor.elements
    return parts.indices.map {
      Tensor(elements[$0 * count..<($0 + 1) * count], shape: parts[$0].shape)
    }
  }

  private func noPlace(_ path: ParameterPath) -> BackboneError {
    .noCounterpart(
      file: checkpoint.path.displayed,
      reason: "it has no place for '\(path)'; the network has another head than the file")
  }

  /// `tensor` as the file has it, by the first way that turns the fitted tensor into the original.
  private func turned(
    _ tensor: Tensor<Float>, like fitted: StoredTensor, into original: StoredTensor,
    _ path: ParameterPath
  ) throws -> StoredTensor {
    let known = try fitted.floats()
    let wanted = try original.floats().elements
    for way in Self.ways {
      guard let back = try way(StoredTensor(original.name, known), original.shape),
        try back.floats().elements == wanted
      else { continue }
      if let result = try way(StoredTensor(original.name, tensor), original.shape) {
        return StoredTensor(original.name, try result.floats())
      }
    }
    throw noPlace(path)
  }

  private typealias Way = (StoredTensor, Shape) throws -> StoredTensor?

  /// What may have been done to a tensor, backwards.
  private static var ways: [Way] {
    [kernel, depthwise, matrix] + (2...16).map(unrolled) + [same, difference]
  }

  /// Outputs, inputs, height, width to height, width, inputs, outputs.
  private static func kernel(_ tensor: StoredTensor, _ shape: Shape) -> StoredTensor? {
    guard shape.rank == 4, tensor.shape.rank == 4 else { return nil }
    let turned = tensor.permuted([2, 3, 1, 0])
    return turned.shape == shape ? turned : nil
  }

  /// Channels times multiplier, 1, height, width to height, width, channels, multiplier.
  private static func depthwise(_ tensor: StoredTensor, _ shape: Shape) -> StoredTensor? {
    guard shape.rank == 4, tensor.shape.rank == 4, tensor.shape.count == shape.count else {
      return nil
    }
    return tensor.reshaped([shape[2], shape[3], shape[0], shape[1]]).permuted([2, 3, 0, 1])
  }

  /// Outputs, inputs to inputs, outputs, perhaps with a height and a width of 1.
  private static func matrix(_ tensor: StoredTensor, _ shape: Shape) -> StoredTensor? {
    guard shape.rank >= 2, tensor.shape.rank == 2, tensor.shape.count == shape.count else {
      return nil
    }
    return tensor.permuted([1, 0]).reshaped(shape)
  }

  /// A dense layer behind a grid of this side: channels, rows, columns to rows, columns, channels.
  private static func unrolled(_ side: Int) -> Way {
    { tensor, shape in
      guard shape.rank == 2, tensor.shape.rank == 2, tensor.shape.count == shape.count,
        tensor.shape[1].isMultiple(of: side * side)
      else { return nil }
      return tensor.reshaped([tensor.shape[0], tensor.shape[1] / (side * side), side, side])
        .permuted([2, 3, 1, 0]).reshaped(shape)
    }
  }

  /// The same elements in the same order.
  private static func same(_ tensor: StoredTensor, _ shape: Shape) -> StoredTensor? {
    tensor.shape.count == shape.count ? tensor.reshaped(shape) : nil
  }

  /// One output whose sigmoid is the second of two classes: only the difference of the two counts.
  private static func difference(_ tensor: StoredTensor, _ shape: Shape) throws -> StoredTensor? {
    guard tensor.shape[0] == 2, tensor.shape.count == 2 * shape.count else { return nil }
    let elements = try tensor.floats().elements
    let half = shape.count
    return StoredTensor(
      tensor.name, Tensor((0..<half).map { elements[half + $0] - elements[$0] }, shape: shape))
  }
}
