// SPDX-License-Identifier: Apache-2.0

import ThawCheckpoints
import ThawImages
import ThawNetwork
import ThawTensors

extension KerasImporter {
  /// The photo before the first layer that computes features.
  struct Pixels {
    var arithmetic = PixelArithmetic()
    /// Height and width as the model's input says, or as resized since; nil when they are free.
    var size: Extent2D?
    /// The size and the kernel of a resize.
    var resizing: Resizing?
    /// What is cut out of the middle.
    var crop: Extent2D?
    /// Whether the network computes the arithmetic itself: no contract says it.
    var isComputedInside = false
  }

  /// A layer that resizes photos.
  struct Resizing {
    var interpolation: Interpolation
    /// Whether the middle is cut to the new shape first, or the photo squashed.
    var keepsAspectRatio: Bool
  }

  /// The network's input, for a photo that was prepared so.
  ///
  /// Where two branches prepare it in different ways, the first one's is the contract, and the
  /// difference becomes a 1x1 convolution at the beginning of the other branch.
  mutating func begun(with other: Pixels, _ layer: KerasLayerDescription) throws -> Image {
    let first: Pixels
    if let pixels {
      first = pixels
    } else {
      var own = other
      // What no contract says is computed in the network.
      if own.arithmetic.after(.raw()) == nil {
        own.arithmetic = PixelArithmetic()
        own.isComputedInside = true
      }
      pixels = own
      draft = GraphDraft(channels: 3, size: own.size ?? Extent2D(freeSide))
      first = own
    }
    guard first.size == other.size, first.crop == other.crop else {
      throw failure(layer, "its branch resizes the photo in another way than an earlier one")
    }
    if first.arithmetic == other.arithmetic { return Image(0) }
    guard let change = other.arithmetic.convolution(behind: first.arithmetic) else {
      throw failure(layer, "the arithmetic with pixels before it cannot be told apart from another")
    }
    let point = Convolution2D(inputs: 3, outputs: 3, window: Window2D(kernel: 1), hasBias: true)
    let index = try draft.add(
      "pixels", .convolution(point), [0],
      [
        "weight": Tensor(change.weights.map { Float($0) }, shape: [3, 3, 1, 1]),
        "bias": Tensor(change.biases.map { Float($0) }, shape: [3]),
      ])
    return Image(index)
  }

  // MARK: Layers

  /// x * scale + offset.
  mutating func rescaling(_ layer: KerasLayerDescription, _ operands: KerasOperands) throws -> Value
  {
    let shift = layer["offset"] ?? .integer(0)
    guard let factor = layer["scale"], let scale = factor.kerasNumbers,
      let offset = shift.kerasNumbers, factor.isOfChannels, shift.isOfChannels
    else { throw failure(layer, "its scale or its offset is no number, nor one for each channel") }
    return try affine(layer, try only(operands, layer), scale: scale, offset: offset)
  }

  /// (x - mean) / sqrt(variance), or the inverse.
  mutating func normalization(
    _ layer: KerasLayerDescription, _ operands: KerasOperands
  ) throws -> Value {
    try checkAxis(of: layer)
    func numbers(_ name: String) throws -> [Double] {
      if let given = layer[name], let numbers = given.kerasNumbers {
        guard given.isOfChannels else { throw failure(layer, "its \(name) is no list of channels") }
        return numbers
      }
      let stored = try needed(layer, name)
      guard stored.shape.count <= 4096, stored.shape.count == stored.shape.extents.last ?? 1 else {
        throw failure(layer, "its \(name) is no list of channels")
      }
      return try stored.floats().elements.map(Double.init)
    }
    let (mean, variance) = (try numbers("mean"), try numbers("variance"))
    guard mean.count == variance.count else {
      throw failure(layer, "\(mean.count) means and \(variance.count) variances")
    }
    // Keras divides by 1e-7 at least.
    let deviations = variance.map { max($0.squareRoot(), 1e-7) }
    let value = try only(operands, layer)
    guard !layer.flag("invert", default: false) else {
      return try affine(layer, value, scale: deviations, offset: mean)
    }
    return try affine(
      layer, value, scale: deviations.map { 1 / $0 }, offset: zip(mean, deviations).map { -$0 / $1 }
    )
  }

  /// Refuses a normalisation along another axis than that of the channels; none is all of them at once.
  private func checkAxis(of layer: KerasLayerDescription) throws {
    guard let axis = layer["axis"] else { return }
    let numbers = axis.integer.map { [$0] } ?? axis.integers
    guard let numbers, numbers.isEmpty || numbers == [-1] || numbers == [3] else {
      throw failure(layer, "it normalises along another axis than the channels, the last one")
    }
  }

  /// A factor and a shift, one for all channels or one each.
  ///
  /// On the photo itself they become the contract, behind a layer a depthwise 1x1 convolution.
  mutating func affine(
    _ layer: KerasLayerDescription, _ value: Value, scale: [Double], offset: [Double]
  ) throws -> Value {
    guard (scale + offset).allSatisfy(\.isFinite) else {
      throw failure(layer, "its numbers are not finite")
    }
    if case .pixels(var pixels) = value {
      guard let factors = scale.repeated(3), let shifts = offset.repeated(3) else {
        throw failure(layer, "its numbers are not one for each of three channels")
      }
      pixels.arithmetic.multiply(by: factors)
      pixels.arithmetic.add(shifts)
      return .pixels(pixels)
    }
    let input = try image(value, layer)
    let shape = shape(input)
    guard shape.rank == 4, let factors = scale.repeated(shape[1]),
      let shifts = offset.repeated(shape[1])
    else { throw failure(layer, "a factor and a shift of a row of features are not known here") }
    if zip(factors, shifts).allSatisfy({ $0 == 1 && $1 == 0 }) { return .image(input) }
    if scale.count == 1, offset == [0],
      let hard = draft.hardActivation(input.layer, times: scale[0])
    {
      return .image(try add(layer, .activation(hard.function), [Image(hard.of)]))
    }
    let point = Convolution2D(
      inputs: shape[1], outputs: shape[1], window: Window2D(kernel: 1), groups: shape[1],
      hasBias: true)
    let tensors = [
      "weight": Tensor(factors.map { Float($0) }, shape: [shape[1], 1, 1, 1]),
      "bias": Tensor(shifts.map { Float($0) }, shape: [shape[1]]),
    ]
    return .image(try add(layer, .convolution(point), [input], tensors))
  }

  /// `Resizing` and `CenterCrop` on the photo.
  mutating func geometry(_ layer: KerasLayerDescription, _ operands: KerasOperands) throws -> Value
  {
    guard let height = layer["height"]?.integer, let width = layer["width"]?.integer,
      (1...4096).contains(height), (1...4096).contains(width)
    else { throw failure(layer, "its height or width is not 1 to 4096") }
    let target = Extent2D(height: height, width: width)
    guard case .pixels(var pixels) = try only(operands, layer) else {
      let input = try image(operands, layer)
      let shape = shape(input)
      if shape.rank == 4, shape[2] == height, shape[3] == width { return .image(input) }
      throw failure(
        layer, "only photos are resized or cut here, before the first layer that computes")
    }
    if pixels.size == target { return .pixels(pixels) }
    guard pixels.crop == nil else {
      throw failure(
        layer,
        "photos are cut once, after they were resized. Cut and resize them before they are"
          + " given to the model, or save the part of the model behind this layer")
    }
    if layer.className == "CenterCrop" {
      guard let size = pixels.size, size.height >= height, size.width >= width else {
        throw failure(
          layer, "what it cuts from has no size of its own. Put a Resizing layer before it")
      }
      pixels.crop = size
    } else {
      let name = layer["interpolation"]?.text ?? "bilinear"
      guard let kernel = Interpolation(rawValue: name) else {
        throw failure(layer, "the interpolation '\(Printable(name))' is not known here")
      }
      let keeps =
        layer.flag("crop_to_aspect_ratio", default: false)
      guard !layer.flag("pad_to_aspect_ratio", default: false) else {
        throw failure(layer, "padding a photo to its new shape is not known here")
      }
      if kernel != .nearest {
        notes.append(
          "where \(layer.displayed) makes photos smaller it has no antialiasing in Keras, here it has"
        )
      }
      pixels.resizing = Resizing(interpolation: kernel, keepsAspectRatio: keeps)
    }
    pixels.size = target
    return .pixels(pixels)
  }

  /// x[..., ::-1] on the photo.
  mutating func reversed(_ layer: KerasLayerDescription, _ value: Value) throws -> Value {
    guard case .pixels(var pixels) = value else {
      throw failure(layer, "only a photo's channels can be put in another order here")
    }
    pixels.arithmetic.reverseChannels()
    return .pixels(pixels)
  }

  /// The one value that goes into `layer`.
  func only(_ operands: KerasOperands, _ layer: KerasLayerDescription) throws -> Value {
    guard let value = operands.values.first, operands.values.count == 1 else {
      throw failure(layer, "it takes one input, found \(operands.values.count)")
    }
    return value
  }
}

extension [Double] {
  /// `count` numbers of as many, or of one.
  func repeated(_ count: Int) -> [Double]? {
    self.count == count ? self : self.count == 1 ? [Double](repeating: self[0], count: count) : nil
  }
}
