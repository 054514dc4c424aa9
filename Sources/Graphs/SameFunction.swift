// SPDX-License-Identifier: Apache-2.0

package import ThawNetwork
import ThawTensors

/// Whether two graphs compute the same from the same stored tensors.
///
/// Every value gets a number: equal operations on equal values with equal tensors have equal numbers, so
/// no two different functions are ever taken for one. What changes nothing in inference has no number of
/// its own: dropouts, flattening a single pixel, pooling to the size that is there.
package struct SameFunction {
  private struct Key: Hashable {
    var operation: String
    var inputs: [Int]
    var tensors: [String?]
  }

  private var numbers: [Key: Int] = [:]

  /// Whether the results of `left` and `right` are one function of the photo.
  ///
  /// - Parameters:
  ///   - size: of the photos; padding is compared as it works out for them.
  ///   - sources: the stored names of parameters; nil for one that is not in the file.
  package static func holds(
    _ left: Graph, _ right: Graph, size: Extent2D,
    sources: (left: (ParameterPath) -> String?, right: (ParameterPath) -> String?)
  ) -> Bool {
    var shared = SameFunction()
    guard let one = try? shared.number(of: left, size, sources.left),
      let other = try? shared.number(of: right, size, sources.right)
    else { return false }
    return one == other
  }

  private mutating func number(
    of graph: Graph, _ size: Extent2D, _ source: (ParameterPath) -> String?
  ) throws -> Int {
    let shapes = try graph.shapes(batch: 1, size: size)
    var values: [Int] = []
    for node in graph.nodes {
      let inputs = node.inputs.map { values[$0.index] }
      let before = node.inputs.first.map { shapes[$0.index] }
      guard let name = SameFunction.name(of: node.operation, on: before) else {
        values.append(inputs[0])
        continue
      }
      let isCommutative = node.operation == .add
      let key = Key(
        operation: name, inputs: isCommutative ? inputs.sorted() : inputs,
        tensors: SameFunction.parameters(of: node).map(source))
      let next = numbers.count
      let number = numbers[key] ?? next
      numbers[key] = number
      values.append(number)
    }
    return values.last ?? -1
  }

  /// The parameters that an operation may have, whether or not it has all of them: a bias that is
  /// nowhere stored is one of zeros.
  private static func parameters(of node: Node) -> [ParameterPath] {
    func below(_ leaves: [String]) -> [ParameterPath] { leaves.map(node.path.appending) }
    switch node.operation {
    case .convolution, .dense, .layerNormalization: return below(["weight", "bias"])
    case .batchNormalization: return below(["weight", "bias", "running_mean", "running_var"])
    case .channelScale(let scale): return below([scale.name])
    case .tokens: return node.parameters.map(\.path)
    default: return []
    }
  }

  /// What the operation does with an input of this shape; nil for nothing.
  private static func name(of operation: Operation, on input: Shape?) -> String? {
    switch operation {
    case .dropout, .stochasticDepth: return nil
    case .flatten where input.map { $0.rank == 2 || $0[2] * $0[3] == 1 } ?? false: return nil
    case .adaptiveAveragePooling(let target):
      guard let input, input[2] == target.height, input[3] == target.width else { break }
      return nil
    case .convolution(var layer):
      layer.window = explicit(layer.window, on: input)
      layer.hasBias = true
      layer.storesMatrix = false
      return "\(layer)"
    case .dense(let layer): return "dense \(layer.inputs) \(layer.outputs)"
    case .channelScale(let layer): return "scale \(layer.channels)"
    case .batchNormalization(let layer):
      return "batch norm \(layer.channels) \(layer.epsilon)"
    case .pooling(var kind, var window):
      window = explicit(window, on: input)
      let hasPadding = window.padding != .explicit(EdgeInsets(0))
      if case .average = kind {
        if let input, !hasPadding,
          window.kernel == Extent2D(height: input[2], width: input[3])
        {
          return "\(Operation.globalAveragePooling)"
        }
        if !hasPadding { kind = .average(includesPadding: false) }
      }
      return "\(kind) \(window)"
    default: break
    }
    return "\(operation)"
  }

  private static func explicit(_ window: Window2D, on input: Shape?) -> Window2D {
    var window = window
    if let input {
      window.padding = .explicit(
        window.insets(for: Extent2D(height: input[2], width: input[3])))
    }
    return window
  }
}
