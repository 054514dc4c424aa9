// SPDX-License-Identifier: Apache-2.0

import ThawCheckpoints
import ThawNetwork
import ThawTensors

extension KerasImporter {
  /// Kernel, stride, dilation and padding of a layer.
  func window(
    _ layer: KerasLayerDescription, kernel: Extent2D, stride: Extent2D,
    dilation: Extent2D = Extent2D(1),
    on input: Image, padsWithZeros: Bool = true
  ) throws -> Window2D {
    var window = Window2D(kernel: 1)
    (window.kernel, window.stride, window.dilation) = (kernel, stride, dilation)
    let name = layer["padding"]?.text?.lowercased() ?? "valid"
    guard name == "valid" || name == "same" else {
      throw failure(layer, "padding '\(Printable(name))' is not known here")
    }
    if name == "same" { window.padding = .same }
    guard let more = input.padding else { return window }
    guard padsWithZeros else {
      throw failure(layer, "the zeros padded before it are not what it pads with")
    }
    let shape = shape(input)
    let own = window.insets(
      for: Extent2D(
        height: shape[2] + more.top + more.bottom, width: shape[3] + more.left + more.right))
    window.padding = .explicit(
      EdgeInsets(
        top: own.top + more.top, left: own.left + more.left, bottom: own.bottom + more.bottom,
        right: own.right + more.right))
    return window
  }

  /// The image [N, C, H, W] that goes into a layer, which must have its channels last.
  mutating func grid(
    _ operands: KerasOperands, _ layer: KerasLayerDescription
  ) throws -> Image {
    let format = layer["data_format"]?.text ?? "channels_last"
    guard format == "channels_last" else {
      throw failure(
        layer,
        "its channels come first. Rebuild the model with"
          + " keras.config.set_image_data_format(\"channels_last\"), set_weights and save it again")
    }
    let input = try image(operands, layer, paddingAllowed: true)
    guard shape(input).rank == 4 else {
      throw failure(layer, "it takes images, and is given a row")
    }
    return input
  }

  // MARK: Convolutions

  mutating func convolution(_ layer: KerasLayerDescription, _ operands: KerasOperands) throws
    -> Value
  {
    let input = try grid(operands, layer)
    let kernel = try needed(layer, "kernel")
    let channels = shape(input)[1]
    let groups = layer["groups"]?.integer ?? 1
    guard kernel.shape.rank == 4, kernel.shape.count > 0, groups >= 1,
      channels.isMultiple(of: groups),
      kernel.shape[2] == channels / groups, kernel.shape[3].isMultiple(of: groups)
    else {
      throw failure(
        layer, "a kernel of \(kernel.shape) in \(groups) groups does not fit \(channels) channels")
    }
    let convolution = Convolution2D(
      inputs: channels, outputs: kernel.shape[3],
      window: try window(of: layer, kernel, on: input), groups: groups,
      hasBias: layer.flag("use_bias", default: true))
    return try convolved(layer, convolution, input, kernel.permuted([3, 2, 0, 1]))
  }

  mutating func depthwise(_ layer: KerasLayerDescription, _ operands: KerasOperands) throws -> Value
  {
    let input = try grid(operands, layer)
    let kernel = try needed(layer, "kernel", "depthwise_kernel")
    let convolution = try depthwise(
      layer, kernel, input, hasBias: layer.flag("use_bias", default: true))
    return try convolved(layer, convolution, input, KerasImporter.depthwiseWeight(kernel))
  }

  /// A depthwise convolution and a 1x1 convolution behind it.
  mutating func separable(_ layer: KerasLayerDescription, _ operands: KerasOperands) throws -> Value
  {
    let input = try grid(operands, layer)
    let kernel = try needed(layer, "depthwise_kernel", "kernel")
    let first = try depthwise(layer, kernel, input, hasBias: false)
    let between = try add(
      layer, suffix: "_depthwise", .convolution(first), [input],
      from: ["weight": KerasImporter.depthwiseWeight(kernel)])
    let point = try needed(layer, "pointwise_kernel")
    guard point.shape.rank == 4, point.shape[0] == 1, point.shape[1] == 1,
      point.shape[2] == first.outputs, point.shape[3] > 0
    else {
      throw failure(
        layer, "a pointwise kernel of \(point.shape) does not fit \(first.outputs) channels")
    }
    let second = Convolution2D(
      inputs: first.outputs, outputs: point.shape[3], window: Window2D(kernel: 1),
      hasBias: layer.flag("use_bias", default: true))
    return try convolved(layer, second, between, point.permuted([3, 2, 0, 1]))
  }

  private func depthwise(
    _ layer: KerasLayerDescription, _ kernel: StoredTensor, _ input: Image, hasBias: Bool
  ) throws -> Convolution2D {
    let channels = shape(input)[1]
    guard kernel.shape.rank == 4, kernel.shape[2] == channels, kernel.shape.count > 0 else {
      throw failure(layer, "a kernel of \(kernel.shape) does not fit \(channels) channels")
    }
    return Convolution2D(
      inputs: channels, outputs: channels * kernel.shape[3],
      window: try window(of: layer, kernel, on: input), groups: channels, hasBias: hasBias)
  }

  /// Height, width, channels, multiplier as [outputs, 1, height, width].
  private static func depthwiseWeight(_ kernel: StoredTensor) -> StoredTensor {
    let turned = kernel.permuted([2, 3, 0, 1])
    return turned.reshaped([turned.shape[0] * turned.shape[1], 1, turned.shape[2], turned.shape[3]])
  }

  private func window(
    of layer: KerasLayerDescription, _ kernel: StoredTensor, on input: Image
  ) throws -> Window2D {
    let said = layer.pair("kernel_size")
    let extent = Extent2D(height: kernel.shape[0], width: kernel.shape[1])
    guard said == nil || said == extent, extent.height <= 4096, extent.width <= 4096 else {
      throw failure(layer, "its kernel is \(kernel.shape), its configuration says another size")
    }
    guard let stride = layer.pair("strides") ?? (layer["strides"] == nil ? Extent2D(1) : nil),
      let dilation = layer.pair("dilation_rate")
        ?? (layer["dilation_rate"] == nil ? Extent2D(1) : nil)
    else { throw failure(layer, "its strides or its dilation are not two numbers") }
    return try window(layer, kernel: extent, stride: stride, dilation: dilation, on: input)
  }

  private mutating func convolved(
    _ layer: KerasLayerDescription, _ convolution: Convolution2D, _ input: Image,
    _ weight: StoredTensor
  ) throws -> Value {
    var stored = ["weight": weight]
    if convolution.hasBias { stored["bias"] = try bias(layer, convolution.outputs) }
    var result = try add(layer, .convolution(convolution), [input], from: stored)
    result.grid = nil
    return try activated(result, layer)
  }

  private func bias(_ layer: KerasLayerDescription, _ count: Int) throws -> StoredTensor {
    let bias = try needed(layer, "bias")
    guard bias.shape == [count] else {
      throw failure(layer, "a bias of \(bias.shape) does not fit \(count) outputs")
    }
    return bias
  }

  /// A product with a matrix; at each pixel of an image it is a 1x1 convolution.
  mutating func dense(_ layer: KerasLayerDescription, _ operands: KerasOperands) throws -> Value {
    let input = try image(operands, layer)
    let kernel = try needed(layer, "kernel")
    let shape = shape(input)
    guard kernel.shape.rank == 2, kernel.shape[0] == shape[1], kernel.shape[1] > 0 else {
      throw failure(layer, "a kernel of \(kernel.shape) does not fit \(shape[1]) features")
    }
    let outputs = kernel.shape[1]
    let hasBias = layer.flag("use_bias", default: true)
    if shape.rank == 4 {
      let point = Convolution2D(
        inputs: shape[1], outputs: outputs, window: Window2D(kernel: 1), hasBias: hasBias,
        storesMatrix: true)
      return try convolved(layer, point, input, kernel.permuted([1, 0]))
    }
    var weight = kernel.permuted([1, 0])
    if let grid = input.grid {
      // Keras flattens rows, columns, channels; we flatten channels, rows, columns.
      weight = kernel.reshaped([grid[2], grid[3], grid[1], outputs]).permuted([3, 2, 0, 1])
        .reshaped([outputs, shape[1]])
    }
    var stored = ["weight": weight]
    if hasBias { stored["bias"] = try bias(layer, outputs) }
    var result = try add(
      layer, .dense(Dense(inputs: shape[1], outputs: outputs, hasBias: hasBias)), [input],
      from: stored)
    result.grid = nil
    return try activated(result, layer)
  }

  // MARK: Normalisation

  mutating func batchNormalization(
    _ layer: KerasLayerDescription, _ operands: KerasOperands
  ) throws -> Value {
    let input = try image(operands, layer)
    let shape = shape(input)
    try checkAxis(layer, shape)
    guard !layer.flag("renorm", default: false), layer["virtual_batch_size"] == nil else {
      throw failure(layer, "batch renormalisation and virtual batches are not known here")
    }
    guard let epsilon = (layer["epsilon"] ?? .number(1e-3)).double, epsilon >= 0,
      let momentum = (layer["momentum"] ?? .number(0.99)).double, (0...1).contains(momentum)
    else { throw failure(layer, "its epsilon or its momentum is no such number") }
    let normalization = BatchNormalization(
      channels: shape[1], epsilon: epsilon, momentum: ((1 - momentum) * 1e12).rounded() / 1e12,
      runningVarianceCorrection: .none)
    var stored = [
      "running_mean": try needed(layer, "moving_mean"),
      "running_var": try needed(layer, "moving_variance"),
    ]
    var tensors: [String: Tensor<Float>] = [:]
    if layer.flag("scale", default: true) {
      stored["weight"] = try needed(layer, "gamma")
    } else {
      tensors["weight"] = Tensor([Float](repeating: 1, count: shape[1]), shape: [shape[1]])
    }
    if layer.flag("center", default: true) {
      stored["bias"] = try needed(layer, "beta")
    } else {
      tensors["bias"] = Tensor(zeros: [shape[1]])
    }
    if let grid = input.grid { stored = stored.mapValues { KerasImporter.reordered($0, grid) } }
    for (_, tensor) in stored where tensor.shape != [shape[1]] {
      throw failure(
        layer, "\(Printable(tensor.name)) is \(tensor.shape), the layer has \(shape[1]) channels")
    }
    return .image(
      try add(layer, .batchNormalization(normalization), [input], tensors, from: stored))
  }

  mutating func layerNormalization(
    _ layer: KerasLayerDescription, _ operands: KerasOperands
  ) throws -> Value {
    let input = try image(operands, layer)
    let shape = shape(input)
    try checkAxis(layer, shape)
    guard let epsilon = (layer["epsilon"] ?? .number(1e-3)).double, epsilon >= 0,
      !layer.flag("rms_scaling", default: false)
    else { throw failure(layer, "its epsilon is no number, or it leaves the mean in") }
    var stored: [String: StoredTensor] = [:]
    var tensors = [
      "weight": Tensor<Float>([Float](repeating: 1, count: shape[1]), shape: [shape[1]]),
      "bias": Tensor<Float>(zeros: [shape[1]]),
    ]
    for (leaf, name, flag) in [("weight", "gamma", "scale"), ("bias", "beta", "center")]
    where layer.flag(flag, default: true) {
      let tensor = try needed(layer, name)
      guard tensor.shape.count == shape[1] else {
        throw failure(layer, "\(Printable(tensor.name)) is \(tensor.shape), expected [\(shape[1])]")
      }
      var list = tensor.reshaped([shape[1]])
      if let grid = input.grid { list = KerasImporter.reordered(list, grid) }
      stored[leaf] = list
      tensors[leaf] = nil
    }
    return .image(
      try add(
        layer, .layerNormalization(LayerNormalization(channels: shape[1], epsilon: epsilon)),
        [input],
        tensors, from: stored))
  }

  /// Numbers for features in the order H, W, C brought into the order C, H, W.
  static func reordered(_ list: StoredTensor, _ grid: Shape) -> StoredTensor {
    guard list.shape.count == grid[1] * grid[2] * grid[3] else { return list }
    return list.reshaped([grid[2], grid[3], grid[1]]).permuted([2, 0, 1])
      .reshaped([list.shape.count])
  }

  private func checkAxis(_ layer: KerasLayerDescription, _ shape: Shape) throws {
    guard let axis = layer["axis"] else { return }
    let numbers = axis.integer.map { [$0] } ?? axis.integers ?? []
    guard numbers == [-1] || numbers == [shape.rank - 1] else {
      throw failure(
        layer, "axis \(numbers.prefix(4)) is not that of the channels, which are expected last")
    }
  }
}
