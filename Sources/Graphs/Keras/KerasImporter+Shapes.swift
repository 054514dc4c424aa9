// SPDX-License-Identifier: Apache-2.0

import ThawCheckpoints
import ThawNetwork
import ThawTensors

extension KerasImporter {
  // MARK: Pooling

  mutating func pooling(_ layer: KerasLayerDescription, _ operands: KerasOperands) throws -> Value {
    let input = try grid(operands, layer)
    guard let kernel = layer.pair("pool_size") ?? (layer["pool_size"] == nil ? Extent2D(2) : nil),
      let stride = layer.pair("strides") ?? (layer["strides"] == nil ? kernel : nil)
    else { throw failure(layer, "its window or its strides are not two numbers") }
    if layer.className == "MaxPooling2D" {
      // A zero of the padding never beats what a ReLU lets through, nor does minus infinity.
      let window = try window(
        layer, kernel: kernel, stride: stride, on: input,
        padsWithZeros: draft.isNonNegative(input.layer))
      try check(layer, window, on: input)
      return .image(try add(layer, .pooling(.maximum, window), [input]))
    }
    // Zeros of a layer of their own count in the mean; those of "same" do not.
    let isSame = layer["padding"]?.text?.lowercased() == "same"
    let window = try window(
      layer, kernel: kernel, stride: stride, on: input, padsWithZeros: !isSame)
    let kind = PoolingKind.average(includesPadding: input.padding != nil)
    if input.padding == nil { try check(layer, window, on: input) }
    return .image(try add(layer, .pooling(kind, window), [input]))
  }

  /// Refuses a window that somewhere covers padding alone.
  private func check(
    _ layer: KerasLayerDescription, _ window: Window2D, on input: Image
  ) throws {
    guard draft.leavesImage(window, on: input.layer) else { return }
    throw failure(layer, "the zeros padded before it are so wide that a window lies in them alone")
  }

  mutating func globalPooling(
    _ layer: KerasLayerDescription, _ operands: KerasOperands, _ operation: Operation
  ) throws -> Value {
    let input = try grid(operands, layer)
    guard input.padding == nil else {
      throw failure(layer, "the zeros padded before it have no place in it")
    }
    let pooled = try add(layer, operation, [input])
    guard !layer.flag("keepdims", default: false) else { return .image(pooled) }
    return .image(try flattened(pooled, layer, "_flatten"))
  }

  // MARK: Rows

  /// [N, C, H, W] as [N, F], as a row that Keras has in the order H, W, C.
  mutating func flattened(
    _ input: Image, _ layer: KerasLayerDescription, _ suffix: String = ""
  ) throws -> Image {
    let shape = shape(input)
    guard shape.rank == 4 else { return input }
    var row = try add(layer, suffix: suffix, .flatten, [input])
    row.grid = shape[2] * shape[3] > 1 ? shape : nil
    return row
  }

  mutating func reshape(_ layer: KerasLayerDescription, _ operands: KerasOperands) throws -> Value {
    let input = try image(operands, layer)
    let old = shape(input)
    let elements = old.count
    guard var target = layer["target_shape"]?.integers, target.count <= 8, !target.isEmpty else {
      throw failure(layer, "its target shape is no list of numbers")
    }
    if let free = target.firstIndex(of: -1) {
      var rest = 1
      for (index, extent) in target.enumerated() where index != free {
        let (product, overflow) = rest.multipliedReportingOverflow(by: extent)
        guard !overflow, product > 0 else { throw failure(layer, "its target shape is impossible") }
        rest = product
      }
      target[free] = elements / rest
    }
    let own = old.rank == 4 ? [old[2], old[3], old[1]] : [old[1]]
    if target == own { return .image(input) }
    if target == [elements] { return .image(try flattened(input, layer)) }
    // The gates of squeeze-and-excitation: a row becomes an image of one pixel.
    if target == [1, 1, elements], old.rank == 2, case .flatten = draft[input.layer].operation,
      input.grid == nil, let source = draft[input.layer].inputs.first
    {
      return .image(Image(source))
    }
    throw failure(layer, "\(own) cannot become \(target) here")
  }

  /// Zeros around an image, to be part of the next window.
  mutating func padded(_ layer: KerasLayerDescription, _ operands: KerasOperands) throws -> Value {
    var input = try grid(operands, layer)
    let insets: EdgeInsets
    switch layer["padding"] {
    case .integer(let all)?: insets = EdgeInsets(all)
    case .array(let sides)? where sides.count == 2:
      let amounts = sides.map { $0.integer.map { [$0, $0] } ?? $0.integers ?? [] }
      guard amounts.allSatisfy({ $0.count == 2 }) else {
        throw failure(layer, "its padding is not two pairs of numbers")
      }
      insets = EdgeInsets(
        top: amounts[0][0], left: amounts[1][0], bottom: amounts[0][1], right: amounts[1][1])
    default: throw failure(layer, "its padding is not two pairs of numbers")
    }
    let all = [insets.top, insets.left, insets.bottom, insets.right]
    guard all.allSatisfy((0...4096).contains) else {
      throw failure(layer, "its padding is not 0 to 4096")
    }
    let old = input.padding ?? EdgeInsets(0)
    let new = EdgeInsets(
      top: old.top + insets.top, left: old.left + insets.left, bottom: old.bottom + insets.bottom,
      right: old.right + insets.right)
    input.padding = new == EdgeInsets(0) ? nil : new
    return .image(input)
  }
}
