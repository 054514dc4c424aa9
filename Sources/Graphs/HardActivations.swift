// SPDX-License-Identifier: Apache-2.0

import ThawNetwork

/// Places where a file spells out hard-sigmoid and hard-swish, as exporters without an operation for them
/// do: min(max(x + 3, 0), 6) / 6, and x times that.
extension GraphDraft {
  /// x, where the layer computes min(max(x + 3, 0), 6); nil elsewhere.
  private func shiftedRectifier(_ layer: Int) -> Int? {
    guard case .activation(.relu6) = layers[layer].operation, let sum = layers[layer].inputs.first,
      let source = layers[sum].inputs.first, isAffine(sum, scale: 1, shift: 3)
    else { return nil }
    return source
  }

  /// Whether a layer does nothing but multiply by one number and add one.
  private func isAffine(_ layer: Int, scale: Float, shift: Float) -> Bool {
    func all(_ leaf: String, _ value: Float) -> Bool {
      layers[layer].tensors[leaf]?.elements.allSatisfy { abs($0 - value) <= 1e-6 * abs(value) }
        ?? (value == 0)
    }
    switch layers[layer].operation {
    case .convolution(let layer) where layer.window == Window2D(kernel: 1):
      return layer.groups == layer.inputs && layer.outputs == layer.inputs && all("weight", scale)
        && all("bias", shift)
    case .batchNormalization(let norm) where norm.epsilon == 0:
      return all("running_mean", 0) && all("running_var", 1) && all("weight", scale)
        && all("bias", shift)
    case .channelScale(let layer): return shift == 0 && all(layer.name, scale)
    default: return false
    }
  }

  /// The layer's result times `factor`, one number, where that is a hard-sigmoid or a hard-swish: the
  /// function and what it is applied to.
  func hardActivation(_ layer: Int, times factor: Double) -> (function: Activation, of: Int)? {
    guard abs(factor - 1 / 6.0) < 1e-6 else { return nil }
    if let source = shiftedRectifier(layer) { return (.hardSigmoid, source) }
    // x * min(max(x + 3, 0), 6) was taken for 6 times hard-swish.
    guard let inner = layers[layer].inputs.first, isAffine(layer, scale: 6, shift: 0),
      case .activation(.hardSwish) = layers[inner].operation
    else { return nil }
    return (.hardSwish, layers[inner].inputs[0])
  }

  /// The product of two layers' results where the one is a function of the other that makes a swish of it:
  /// the function, what it is applied to, and the factor that is missing behind it.
  func swish(_ left: Int, _ right: Int) -> (function: Activation, of: Int, factor: Float)? {
    for (input, gates) in [(left, right), (right, left)] {
      switch layers[gates].operation {
      case .activation(.sigmoid) where layers[gates].inputs == [input]: return (.silu, input, 1)
      case .activation(.sigmoid)
      where layers[gates].inputs.first.map({
        isAffine($0, scale: 1.702, shift: 0) && layers[$0].inputs == [input]
      }) == true:
        return (.quickGELU, input, 1)
      case .activation(.hardSigmoid) where layers[gates].inputs == [input]:
        return (.hardSwish, input, 1)
      default: if shiftedRectifier(gates) == input { return (.hardSwish, input, 6) }
      }
    }
    return nil
  }
}
