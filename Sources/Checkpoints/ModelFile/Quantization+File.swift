// SPDX-License-Identifier: Apache-2.0

import ThawNetwork
import ThawTensors

extension Quantization {
  /// Ends the name of the tensor with a layer's weight steps: `conv1.weight_scale` beside `conv1.weight`.
  static let stepsName = "weight_scale"

  /// What bytes of results stand for: `{"layer1.0.relu": [scale, zero], …}`, sorted.
  var activationsJSON: JSONValue {
    .object(
      activations.sorted { $0.key < $1.key }.map { path, scale in
        // A Float is a Double exactly, and a Double's text gives it back.
        JSONMember(
          path.description, .array([.number(Double(scale.scale)), .integer(scale.zero)]))
      })
  }

  /// Reads them; nil where something is no such thing.
  init?(activationsJSON json: JSONValue) {
    guard case .object(let members) = json else { return nil }
    self.init()
    for member in members {
      guard case .array(let numbers) = member.value, numbers.count == 2,
        let number = numbers[0].double, let zero = numbers[1].integer,
        let scale = ByteScale(scale: Float(number), zero: zero)
      else { return nil }
      activations[ParameterPath(member.name)] = scale
    }
  }

  /// The tensors that a file keeps: weights in eight bits with their steps, the rest as it is.
  func storedTensors(of parameters: Parameters) -> [StoredTensor] {
    var result: [StoredTensor] = []
    for name in parameters.paths {
      guard let tensor = parameters[name] else { continue }
      guard name.leaf == "weight", let steps = weights[name.parent],
        steps.count == tensor.shape[0]
      else {
        result.append(StoredTensor(name.description, tensor))
        continue
      }
      let width = tensor.count / max(steps.count, 1)
      let bytes = tensor.elements.enumerated().map { index, value -> UInt8 in
        let step = steps[index / max(width, 1)]
        let multiple = step > 0 ? (value / step).rounded(.toNearestOrEven) : 0
        return UInt8(bitPattern: Int8(min(max(multiple, -127), 127)))
      }
      result.append(StoredTensor(name.description, .int8, tensor.shape, bytes: bytes))
      result.append(
        StoredTensor(
          name.parent.appending(Quantization.stepsName).description,
          Tensor(steps, shape: [steps.count])))
    }
    return result
  }

  /// Puts the steps of a file's tensors where they belong, and real weights in the place of multiples.
  mutating func takeSteps(
    of parameters: inout Parameters, integers: Set<ParameterPath>
  ) -> ParameterPath? {
    for name in integers.sorted() {
      let stepsPath = name.parent.appending(Quantization.stepsName)
      guard let multiples = parameters[name], let steps = parameters[stepsPath],
        multiples.shape.rank > 0, steps.count == multiples.shape[0], name.leaf == "weight",
        steps.elements.allSatisfy({ $0.isFinite && $0 >= 0 })
      else { return name }
      let width = multiples.count / max(steps.count, 1)
      let values = multiples.elements.enumerated().map { $1 * steps[$0 / max(width, 1)] }
      parameters[name] = Tensor(values, shape: multiples.shape)
      parameters[stepsPath] = nil
      weights[name.parent] = steps.elements
    }
    return nil
  }
}
