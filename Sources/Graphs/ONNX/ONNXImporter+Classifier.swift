// SPDX-License-Identifier: Apache-2.0

import ThawCheckpoints
import ThawNetwork
import ThawTensors

extension ONNXImporter {
  /// Operations of classical models (`ai.onnx.ml`), at the end of a network: a linear classifier, and how
  /// probabilities and labels leave the graph. False for one that is not known.
  mutating func translateClassifier(_ node: ONNXNode) throws -> Bool {
    switch node.operation {
    case "ZipMap":
      guard let name = node.inputs.first, let value = values[name] else { return false }
      classNames = classNames ?? ONNXImporter.labels(of: node)
      set(node, value)
    case "LinearClassifier": try linearClassifier(node)
    case "Scaler": try scaler(node)
    case "ArrayFeatureExtractor":
      guard node.inputs.count == 2, case .labels(let image)? = values[node.inputs[1]] else {
        return false
      }
      if case .texts(let names)? = values[node.inputs[0]] { classNames = names }
      set(node, .labels(image))
    case "LabelEncoder":
      guard let name = node.inputs.first, case .labels(let image)? = values[name] else {
        return false
      }
      if case .texts(let names)? = node.attributes["values_strings"],
        node.integers("keys_int64s") == Array(names.indices)
      {
        classNames = names
      }
      set(node, .labels(image))
    default: return false
    }
    return true
  }

  /// The class names that were met, when they are as many as the classes and all different.
  func checkedClassNames(activation: OutputActivation) -> [String]? {
    guard let classNames else { return nil }
    let count = activation.classes(outputs: draft[draft.output].shape[1])
    return classNames.count == count && Set(classNames).count == count ? classNames : nil
  }

  /// Which class is the most probable.
  mutating func label(_ node: ONNXNode) throws {
    guard let name = node.inputs.first else { throw failure(node, "it has no input") }
    switch values[name] {
    case .image(let image)?, .probabilities(let image)?, .labels(let image)?:
      for output in node.outputs where !output.isEmpty { values[output] = .labels(image) }
    default: throw failure(node, "its input is not computed from the image")
    }
  }

  /// Texts, or numbers as texts.
  private static func labels(of node: ONNXNode) -> [String]? {
    for name in ["classlabels_strings", "classlabels_ints", "classlabels_int64s"] {
      switch node.attributes[name] {
      case .texts(let names)? where !names.isEmpty: return names
      case .integers(let numbers)? where !numbers.isEmpty: return numbers.map(String.init)
      default: continue
      }
    }
    return nil
  }

  /// scores = x coefficients^T + intercepts; its results are a label and the scores.
  private mutating func linearClassifier(_ node: ONNXNode) throws {
    let input = try image(node)
    let shape = draft[input.layer].shape
    guard shape.rank == 2, case .floats(let coefficients)? = node.attributes["coefficients"],
      !coefficients.isEmpty, coefficients.count.isMultiple(of: shape[1]), node.outputs.count == 2
    else { throw failure(node, "its coefficients do not fit its input of \(shape)") }
    if case .rowOfChannelsLast = input.layout {
      throw failure(node, "a flattened image goes into it, whose order is not kept")
    }
    let outputs = coefficients.count / shape[1]
    var bias = [Float](repeating: 0, count: outputs)
    if case .floats(let intercepts)? = node.attributes["intercepts"], !intercepts.isEmpty {
      guard intercepts.count == outputs else {
        throw failure(node, "\(intercepts.count) intercepts for \(outputs) classes")
      }
      bias = intercepts
    }
    let names = ONNXImporter.labels(of: node)
    let layer = try draft.add(
      layerName(node), .dense(Dense(inputs: shape[1], outputs: outputs)), [input.layer],
      [
        "weight": Tensor(coefficients, shape: [outputs, shape[1]]),
        "bias": Tensor(bias, shape: [outputs]),
      ])
    let scores = Image(layer: layer, layout: .row)
    if names?.count == outputs { classNames = names }
    values[node.outputs[0]] = .labels(scores)
    switch node.text("post_transform") ?? "NONE" {
    case "SOFTMAX": values[node.outputs[1]] = .probabilities(scores)
    case "NONE": values[node.outputs[1]] = .image(scores)
    case let other:
      throw failure(
        node,
        "the transform '\(Printable(other))' of its scores is not known here, only SOFTMAX: fit"
          + " LogisticRegression(multi_class=\"multinomial\")")
    }
    self.names[layer, default: []].append(node.outputs[1])
  }

  /// (x - offset) * scale.
  private mutating func scaler(_ node: ONNXNode) throws {
    let input = try image(node)
    let shape = draft[input.layer].shape
    func numbers(_ name: String, _ standard: Float) throws -> [Float] {
      guard case .floats(let list)? = node.attributes[name], !list.isEmpty else {
        return [Float](repeating: standard, count: shape[1])
      }
      guard list.count == 1 || list.count == shape[1] else {
        throw failure(node, "\(list.count) numbers for \(shape[1]) features")
      }
      return list.count == 1 ? [Float](repeating: list[0], count: shape[1]) : list
    }
    let (offset, scale) = (try numbers("offset", 0), try numbers("scale", 1))
    guard shape.rank == 2, case .row = input.layout else {
      throw failure(node, "a row of features is expected")
    }
    // Statistics that are given: y = (x - mean) * weight / sqrt(1).
    let layer = BatchNormalization(channels: shape[1], epsilon: 0)
    try set(
      node, .batchNormalization(layer), [input],
      [
        "weight": Tensor(scale, shape: [shape[1]]), "bias": Tensor(zeros: [shape[1]]),
        "running_mean": Tensor(offset, shape: [shape[1]]),
        "running_var": Tensor([Float](repeating: 1, count: shape[1]), shape: [shape[1]]),
      ])
  }
}
