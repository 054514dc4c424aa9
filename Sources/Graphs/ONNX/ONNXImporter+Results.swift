// SPDX-License-Identifier: Apache-2.0

import ThawNetwork
import ThawTensors

extension ONNXImporter {
  /// Something that leaves the graph and was computed from the photo.
  private struct Result {
    let name: String
    /// The layer it is.
    let layer: Int
    /// What it was made of by a softmax or a sigmoid at its end; otherwise itself.
    let logits: Image
    /// What made it of the logits; nil for itself.
    let activation: OutputActivation?
    /// Whether it is which class is the most probable.
    var isLabel = false
  }

  /// Picks the logits among the results and takes the softmax or the sigmoid off them.
  ///
  /// Of several results one has to be the classifier's: those that it is computed from, such as its
  /// features, and the probabilities or labels of the same logits say nothing else. Others are another
  /// question, and which one is meant nothing in the file says.
  mutating func finish() throws {
    let all = model.graph.outputs.compactMap { result($0.name) }
    let roots = all.map { draft.unflattened($0.layer) }
    let ancestors = all.map { draft.ancestors(of: $0.layer) }
    // Kept are those that no other one is computed from.
    let last = all.enumerated().filter { index, one in
      // Nothing is computed from a label or a softmax.
      one.isLabel || one.activation == .softmax
        || !all.indices.contains { other in
          roots[other] != roots[index] && ancestors[other].contains(roots[index])
        }
    }.map(\.element)
    guard
      let first = last.first(where: { !$0.isLabel && $0.activation != nil })
        ?? last.first(where: { !$0.isLabel })
    else {
      throw GraphError.notImportable(
        file: file.displayed, reason: "no output of the graph depends on the image")
    }
    for other in last where !isSame(first, other) { throw severalResults(last) }
    try checkClassifier(first)
    activation = first.activation
    var image = first.logits
    if draft[image.layer].shape.rank == 4 { image = try flattened(image, "flatten") }
    if activation == .independentSigmoids, draft[image.layer].shape[1] == 1 {
      activation = .singleSigmoid
    }
    draft.output = image.layer
    draft.prune()
  }

  private mutating func result(_ name: String) -> Result? {
    switch values[name] {
    case .probabilities(let image):
      return Result(name: name, layer: image.layer, logits: image, activation: .softmax)
    case .image(let image):
      guard let logits = withoutSigmoid(image) else {
        return Result(name: name, layer: image.layer, logits: image, activation: nil)
      }
      return Result(
        name: name, layer: image.layer, logits: logits, activation: .independentSigmoids)
    case .labels(let image):
      return Result(
        name: name, layer: image.layer, logits: withoutSigmoid(image) ?? image, activation: nil,
        isLabel: true)
    default: return nil
    }
  }

  /// What a sigmoid at the end was taken of, flattened behind it or not; nil when there is none.
  private mutating func withoutSigmoid(_ image: Image) -> Image? {
    var result = image
    let last = draft[image.layer]
    if case .activation(.sigmoid) = last.operation {
      result.layer = last.inputs[0]
      return result
    }
    guard case .flatten = last.operation,
      case .activation(.sigmoid) = draft[last.inputs[0]].operation,
      let flat = try? draft.add("flatten", .flatten, draft[last.inputs[0]].inputs)
    else { return nil }
    result.layer = flat
    return result
  }

  /// Whether two results are of the same logits, and do not contradict each other about what is made of
  /// them.
  private func isSame(_ left: Result, _ right: Result) -> Bool {
    guard draft.unflattened(left.logits.layer) == draft.unflattened(right.logits.layer) else {
      return false
    }
    return left.activation == nil || right.activation == nil || left.activation == right.activation
  }

  private func severalResults(_ results: [Result]) -> GraphError {
    let shown = results.prefix(6).map { result in
      "'\(Printable(result.name))' \(printed(onnxExtents(of: result.logits)))"
        + (result.activation.map { ", \($0.summary)" } ?? "")
        + (result.isLabel ? ", a label" : "")
    }
    return .notImportable(
      file: file.displayed,
      reason:
        "the graph has results that are not made of each other: \(shown.joined(separator: "; "))."
        + " A classifier has one. Export the one that classifies: of a PyTorch model return it alone"
        + " from forward, of an ONNX file cut the others off with onnx.utils.extract_model(source,"
        + " target, [input], [\"\(Printable(results.first?.name ?? "name"))\"])")
  }

  /// Refuses a result whose numbers are not one for each class, in the order of the classes.
  private func checkClassifier(_ result: Result) throws {
    let image = result.logits
    let shape = draft[image.layer].shape
    func refusal(_ reason: String) -> GraphError {
      .notImportable(file: file.displayed, reason: "output '\(Printable(result.name))': \(reason)")
    }
    guard image.padding == nil else { throw refusal("it ends with zeros padded around an image") }
    if shape.rank == 4, shape[2] * shape[3] > 1 {
      throw refusal(
        "it is an image of \(shape[2]) x \(shape[3]) pixels with \(shape[1]) numbers each, as of a"
          + " network that segments or detects; a classifier ends with one number for each class")
    }
    switch image.layout {
    case .rowOfChannelsLast:
      throw refusal(
        "it is an image flattened in the order rows, columns, channels, which is not kept here; put"
          + " a dense layer behind it, or pool it to one pixel")
    case .channelsOutermost: throw refusal("photos and channels change places in it")
    default: break
    }
  }
}
