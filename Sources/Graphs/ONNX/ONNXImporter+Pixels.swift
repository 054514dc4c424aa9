// SPDX-License-Identifier: Apache-2.0

import ThawCheckpoints
import ThawNetwork
import ThawTensors

extension ONNXImporter {
  /// The photo with a factor and a shift for each channel, when arithmetic with samples stays apart and
  /// nothing was computed yet.
  ///
  /// - Returns: nil when it has to become a layer: behind one, or where the photo is used in two ways.
  mutating func arithmetic(
    of input: Image, _ scale: [Float], _ offset: [Float]
  ) throws -> Image? {
    guard isUntouchedPhoto(input) else { return nil }
    pixels.multiply(by: scale.map { Double("\($0)") ?? Double($0) })
    pixels.add(offset.map { Double("\($0)") ?? Double($0) })
    return input
  }

  /// Whether `input` is the photo, with three channels, that nothing else has used.
  private func isUntouchedPhoto(_ input: Image) -> Bool {
    guard separatesArithmetic, input.layer == 0, input.padding == nil, draft[0].shape[1] == 3,
      draft.layers.count == 1
    else { return false }
    return names[0, default: []].allSatisfy { users[$0, default: 0] <= 1 }
  }

  /// `Gather` and `Slice` of an image: its channels in another order.
  mutating func part(_ node: ONNXNode) throws {
    if let name = node.inputs.first, case .texts(let names)? = values[name],
      node.operation == "Gather", node.inputs.count == 2,
      case .labels(let image)? = values[node.inputs[1]]
    {
      classNames = names
      return set(node, .labels(image))
    }
    guard let name = node.inputs.first, case .image(let input)? = values[name] else {
      throw failure(node, "parts of a constant are not known here, only of a shape")
    }
    let axisOfChannels = input.layout.axisOfChannels
    let order: [Int]
    if node.operation == "Gather" {
      let axis = node.integer("axis") ?? 0
      guard axis == axisOfChannels || axis + 4 == axisOfChannels,
        let indices = try integers(node, 1, attribute: "")
      else { throw failure(node, "only an image's channels are picked here, by constants") }
      order = indices
    } else {
      let axes = try integers(node, 3, attribute: "axes") ?? []
      let steps = try integers(node, 4, attribute: "steps") ?? []
      let starts = try integers(node, 1, attribute: "starts") ?? []
      let ends = try integers(node, 2, attribute: "ends") ?? []
      let channels = draft[input.layer].shape[1]
      guard axes.count == starts.count, steps.count == axes.count, ends.count == axes.count,
        let place = axes.firstIndex(where: { ($0 < 0 ? $0 + 4 : $0) == axisOfChannels }),
        steps[place] == -1, starts[place] == -1 || starts[place] >= channels - 1,
        ends[place] < -channels,
        axes.indices.allSatisfy({
          $0 == place || steps[$0] == 1 && starts[$0] == 0 && ends[$0] >= 65_500
        })
      else {
        throw failure(node, "of an image only the channels in the other order are known here")
      }
      order = Array((0..<channels).reversed())
    }
    try reorder(node, input, order)
  }

  /// `GatherND` along the outermost dimension, the channels.
  mutating func channels(_ node: ONNXNode) throws {
    let input = try image(node)
    guard case .channelsOutermost = input.layout, node.inputs.count == 2,
      node.integer("batch_dims") ?? 0 == 0, case .constant(let tensor)? = values[node.inputs[1]],
      tensor.shape.rank == 2, tensor.shape[1] == 1
    else { throw failure(node, "only an image's channels are picked here, by constants") }
    try reorder(node, input, try integers(tensor, node))
  }

  private mutating func reorder(_ node: ONNXNode, _ input: Image, _ order: [Int]) throws {
    let channels = draft[input.layer].shape[1]
    let places = order.map { $0 < 0 ? $0 + channels : $0 }
    guard places.allSatisfy((0..<channels).contains), !places.isEmpty else {
      throw failure(node, "channels \(order.prefix(9)) of \(channels) do not exist")
    }
    if places == Array(0..<channels) { return set(node, .image(input)) }
    if places == [2, 1, 0], isUntouchedPhoto(input) {
      pixels.reverseChannels()
      return set(node, .image(input))
    }
    guard channels <= 64 else { throw failure(node, "so many channels are not reordered here") }
    let layer = Convolution2D(
      inputs: channels, outputs: places.count, window: Window2D(kernel: 1))
    let weight = Tensor<Float>(shape: [places.count, channels, 1, 1]) { elements in
      elements.update(repeating: 0)
      for (output, source) in places.enumerated() { elements[output * channels + source] = 1 }
    }
    try set(node, .convolution(layer), [input], ["weight": weight])
  }
}

extension ONNXImporter.Layout {
  fileprivate var axisOfChannels: Int {
    switch self {
    case .channelsLast: 3
    case .channelsOutermost: 0
    default: 1
    }
  }
}
