// SPDX-License-Identifier: Apache-2.0

import CThawOneDNN
import ThawExecution
import ThawNetwork
import ThawTensors

extension ChainBuilder {
  /// A way to attach an epilogue to its lead.
  private enum Attachment {
    /// The residual already lies in the destination, which the kernel adds to.
    case inPlace
    /// The residual is read from its own memory.
    case separate
    /// The epilogue runs as operations of its own.
    case none
  }

  /// A lead with weights, ready to be built with any epilogue.
  private struct WeightedLead {
    let operation: String
    let layer: ParameterPath
    let output: Shape
    let weightShape: Shape
    let hasBias: Bool
    /// Its weights and bias. Called once, when all kernels are chosen.
    let fold: () throws -> FoldedParameters
    /// What it reads and writes; weights are the same, sums and bias Float32.
    let element: thaw_dnnl_element
    /// Of the result; the library chooses for `THAW_DNNL_ANY`.
    let order: thaw_dnnl_order
    let make:
      (_ destination: OneDNNLayout, _ epilogue: [thaw_dnnl_epilogue]) throws -> OneDNNPrimitive
  }

  /// Convolution, folded batch norm and epilogue in one kernel.
  mutating func appendConvolution(
    _ fused: FusedOperation, _ layer: Convolution2D, at index: Int
  ) throws {
    for element in elements(for: fused) {
      if prefersChannelsLast {
        let lead = try lead(fused, layer, of: element, order: THAW_DNNL_CHANNELS_LAST)
        let primitive = try ifAvailable { try build(lead, fused, .none) }
        if let primitive, !primitive.isPlainLoop {
          return try append(lead, fused, at: index)
        }
      }
      if element == THAW_DNNL_FLOAT32, try appendWinograd(fused, layer, at: index) { return }
      let lead = try lead(fused, layer, of: element, order: THAW_DNNL_ANY)
      if try appendFast(lead, fused, at: index) { return }
    }
    try append(
      try lead(fused, layer, of: THAW_DNNL_FLOAT32, order: THAW_DNNL_ANY), fused, at: index)
  }

  /// The elements to try, the best first. Float32 alone for the last layer, whose results are the
  /// answer, and for what works on one pixel (the gates' layers): small, and behind a sum of many
  /// numbers.
  private func elements(for fused: FusedOperation) -> [thaw_dnnl_element] {
    let input = shape(of: fused.inputs[0])
    let isPixel = input.rank == 4 && input[2] * input[3] == 1
    return element == THAW_DNNL_FLOAT32 || isPixel || fused.result == graph.output.id
      ? [THAW_DNNL_FLOAT32] : [element, THAW_DNNL_FLOAT32]
  }

  /// The convolution of `fused` with its images in `order`.
  private func lead(
    _ fused: FusedOperation, _ layer: Convolution2D, of element: thaw_dnnl_element,
    order: thaw_dnnl_order
  ) throws -> WeightedLead {
    let path = fused.lead.path
    let input = shape(of: fused.inputs[0])
    let output = shape(of: fused.result)
    let window = try layer.window.descriptor(
      for: Extent2D(height: input[2], width: input[3]),
      output: Extent2D(height: output[2], width: output[3]), path)
    let kernel = layer.window.kernel
    let perGroup: [Int] = [
      layer.outputs / layer.groups, layer.inputs / layer.groups, kernel.height, kernel.width,
    ]
    let weightShape = Shape(layer.groups == 1 ? perGroup : [layer.groups] + perGroup)
    let source = try OneDNNLayout(input, order, path, of: element)
    let weights = try OneDNNLayout(weightShape, THAW_DNNL_ANY, path, of: element)
    let hasBias = FoldedParameters.hasBias(fused, layer.hasBias)
    let bias = hasBias ? try OneDNNLayout([layer.outputs], THAW_DNNL_DENSE, path) : nil
    return WeightedLead(
      operation: "convolution", layer: path, output: output, weightShape: weightShape,
      hasBias: hasBias, fold: folding(fused, outputs: layer.outputs, hasBias: layer.hasBias),
      element: element, order: order
    ) { destination, epilogue in
      try OneDNNPrimitive("convolution", path) { made in
        withUnsafePointer(to: window) {
          thaw_dnnl_convolution(
            made, source.handle, weights.handle, bias?.handle, destination.handle, $0,
            epilogue, CInt(epilogue.count))
        }
      }
    }
  }

  /// Dense layer and epilogue in one kernel.
  mutating func appendDense(_ fused: FusedOperation, _ layer: Dense, at index: Int) throws {
    if try appendPixel(fused, layer, at: index) { return }
    for element in elements(for: fused) {
      if try appendFast(try lead(fused, layer, of: element), fused, at: index) { return }
    }
    try append(try lead(fused, layer, of: THAW_DNNL_FLOAT32), fused, at: index)
  }

  /// A small dense layer of one image in Float32 as a convolution of one pixel; false for any other.
  private mutating func appendPixel(
    _ fused: FusedOperation, _ layer: Dense, at index: Int
  ) throws -> Bool {
    guard layer.isSmall, shape(of: fused.inputs[0])[0] == 1, fused.residual == nil,
      elements(for: fused) == [THAW_DNNL_FLOAT32]
    else { return false }
    let path = fused.lead.path
    let pixel: Shape = [1, layer.inputs, 1, 1]
    let row = try converted(tensor(of: fused.inputs[0]), to: THAW_DNNL_FLOAT32, path)
    let image = ChainTensor(
      buffer: row.buffer, layout: try OneDNNLayout(pixel, THAW_DNNL_DENSE, path))
    let window = try Window2D(kernel: 1).descriptor(for: Extent2D(1), output: Extent2D(1), path)
    let source = try OneDNNLayout(pixel, THAW_DNNL_ANY, path)
    let weights = try OneDNNLayout([layer.outputs, layer.inputs, 1, 1], THAW_DNNL_ANY, path)
    let hasBias = FoldedParameters.hasBias(fused, layer.hasBias)
    let bias = hasBias ? try OneDNNLayout([layer.outputs], THAW_DNNL_DENSE, path) : nil
    let lead = WeightedLead(
      operation: "dense", layer: path, output: [1, layer.outputs, 1, 1],
      weightShape: [layer.outputs, layer.inputs, 1, 1], hasBias: hasBias,
      fold: folding(fused, outputs: layer.outputs, hasBias: layer.hasBias),
      element: THAW_DNNL_FLOAT32, order: THAW_DNNL_ANY
    ) { destination, epilogue in
      try OneDNNPrimitive("dense", path) { made in
        withUnsafePointer(to: window) {
          thaw_dnnl_convolution(
            made, source.handle, weights.handle, bias?.handle, destination.handle, $0,
            epilogue, CInt(epilogue.count))
        }
      }
    }
    let made = try ifAvailable {
      try build(lead, fused, fused.epilogue.isEmpty ? .none : .separate)
    }
    guard let primitive = made, !primitive.isPlainLoop else { return false }
    try place(primitive, lead, fused, fused.epilogue.isEmpty ? .none : .separate, from: image)
    let result = tensor(of: fused.result)
    let dense = try reordered(
      result, to: try OneDNNLayout(lead.output, THAW_DNNL_DENSE, path), path)
    define(
      fused.result,
      as: ChainTensor(
        buffer: dense.buffer,
        layout: try OneDNNLayout([1, layer.outputs], THAW_DNNL_DENSE, path)))
    return true
  }

  private func lead(
    _ fused: FusedOperation, _ layer: Dense, of element: thaw_dnnl_element
  ) throws -> WeightedLead {
    let path = fused.lead.path
    let source = try OneDNNLayout(
      shape(of: fused.inputs[0]), THAW_DNNL_DENSE, path, of: element)
    let weights = try OneDNNLayout(
      [layer.outputs, layer.inputs], THAW_DNNL_ANY, path, of: element)
    let hasBias = FoldedParameters.hasBias(fused, layer.hasBias)
    let bias = hasBias ? try OneDNNLayout([layer.outputs], THAW_DNNL_DENSE, path) : nil
    return WeightedLead(
      operation: "dense", layer: path, output: shape(of: fused.result),
      weightShape: [layer.outputs, layer.inputs], hasBias: hasBias,
      fold: folding(fused, outputs: layer.outputs, hasBias: layer.hasBias), element: element,
      order: THAW_DNNL_ANY
    ) { destination, epilogue in
      try OneDNNPrimitive("dense", path) {
        thaw_dnnl_inner_product(
          $0, source.handle, weights.handle, bias?.handle, destination.handle, epilogue,
          CInt(epilogue.count))
      }
    }
  }

  /// The lead with its epilogue in one kernel, or as operations of its own.
  private mutating func append(_ lead: WeightedLead, _ fused: FusedOperation, at index: Int) throws
  {
    if try appendFused(lead, fused, at: index) { return }
    try place(try build(lead, fused, .none), lead, fused, .none)
    try appendEpilogue(fused, at: index)
  }

  /// The same where there is a fast kernel; false when there is none.
  private mutating func appendFast(
    _ lead: WeightedLead, _ fused: FusedOperation, at index: Int
  ) throws -> Bool {
    if try appendFused(lead, fused, at: index) { return true }
    let made = try ifAvailable { try build(lead, fused, .none) }
    guard let primitive = made, !primitive.isPlainLoop else { return false }
    try place(primitive, lead, fused, .none)
    try appendEpilogue(fused, at: index)
    return true
  }

  /// Tries the ways to attach the epilogue, best first, and takes the first that has a fast kernel;
  /// false when none has.
  private mutating func appendFused(
    _ lead: WeightedLead, _ fused: FusedOperation, at index: Int
  ) throws -> Bool {
    let residual = fused.residual
    var attachments: [Attachment] = [fused.epilogue.isEmpty ? .none : .separate]
    if let residual, mayOverwrite(residual, at: index),
      tensor(of: residual).layout.element == lead.element,
      tensor(of: residual).buffer != tensor(of: fused.inputs[0]).buffer
    {
      attachments.insert(.inPlace, at: 0)
    }
    for attachment in attachments {
      let made = try ifAvailable { try build(lead, fused, attachment) }
      guard let primitive = made, !primitive.isPlainLoop else { continue }
      try place(primitive, lead, fused, attachment)
      return true
    }
    return false
  }

  private func build(
    _ lead: WeightedLead, _ fused: FusedOperation, _ attachment: Attachment
  ) throws -> OneDNNPrimitive {
    if attachment == .none {
      return try lead.make(
        try OneDNNLayout(lead.output, lead.order, lead.layer, of: lead.element), [])
    }
    let residual = fused.residual.map { tensor(of: $0).layout }
    let destination =
      if let residual, residual.element == lead.element {
        residual
      } else {
        try OneDNNLayout(lead.output, lead.order, lead.layer, of: lead.element)
      }
    let epilogue = fused.epilogue.flatMap { epilogue in
      switch epilogue {
      case .activation(let function):
        function.functions.map { thaw_dnnl_epilogue(function: $0, operand: nil) }
      case .addition:
        attachment == .inPlace
          ? [thaw_dnnl_epilogue(function: THAW_DNNL_ACCUMULATE, operand: nil)]
          : [thaw_dnnl_epilogue(function: THAW_DNNL_ADD, operand: residual?.handle)]
      }
    }
    return try lead.make(destination, epilogue)
  }

  private mutating func place(
    _ primitive: OneDNNPrimitive, _ lead: WeightedLead, _ fused: FusedOperation,
    _ attachment: Attachment, from image: ChainTensor? = nil
  ) throws {
    let wanted = try primitive.layout(THAW_DNNL_SOURCE)
    let source = try reordered(image ?? tensor(of: fused.inputs[0]), to: wanted, lead.layer)
    var arguments: [(thaw_dnnl_role, Int, ChainOperand)] = [
      (THAW_DNNL_SOURCE, 0, .tensor(source))
    ]
    arguments += try constants(of: lead, primitive)
    let addition = fused.additionPlace
    let residual = fused.residual.map(tensor(of:))
    if attachment == .separate, let addition, let residual {
      arguments.append((THAW_DNNL_EPILOGUE_SOURCE, addition, .tensor(residual)))
    }
    let layout = try primitive.layout(THAW_DNNL_DESTINATION)
    let result: ChainTensor =
      if attachment == .inPlace, let residual {
        ChainTensor(buffer: residual.buffer, layout: layout)
      } else {
        makeTensor(layout)
      }
    arguments.append((THAW_DNNL_DESTINATION, 0, .tensor(result)))
    append(ChainInstruction(lead.operation, lead.layer, primitive, arguments))
    define(fused.result, as: result)
  }

  /// Memory for weights and bias as `primitive` wants them, which are put there later.
  private mutating func constants(
    of lead: WeightedLead, _ primitive: OneDNNPrimitive
  ) throws -> [(thaw_dnnl_role, Int, ChainOperand)] {
    let layout = try primitive.layout(THAW_DNNL_WEIGHTS)
    let weights = try OneDNNBlock(bytes: layout.bytes, lead.layer)
    var arguments = [(THAW_DNNL_WEIGHTS, 0, ChainOperand.constant(weights, layout))]
    var bias: (block: OneDNNBlock, layout: OneDNNLayout)?
    if lead.hasBias {
      let layout = try primitive.layout(THAW_DNNL_BIAS)
      let block = try OneDNNBlock(bytes: layout.bytes, lead.layer)
      bias = (block, layout)
      arguments.append((THAW_DNNL_BIAS, 0, .constant(block, layout)))
    }
    let (fold, shape, layer) = (lead.fold, lead.weightShape, lead.layer)
    doLater { [bias] in
      let folded = try fold()
      try weights.fill(folded.weights, as: shape, in: layout, layer)
      if let bias, let values = folded.bias {
        try bias.block.fill(values, as: values.shape, in: bias.layout, layer)
      }
    }
    return arguments
  }

  /// What reads weights and bias of a convolution or dense layer, with what is folded into them.
  func folding(
    _ fused: FusedOperation, outputs: Int, hasBias: Bool
  ) -> () throws -> FoldedParameters {
    let parameters = parameters
    return { try FoldedParameters(fused, outputs: outputs, hasBias: hasBias, parameters) }
  }

  /// The epilogue as operations of their own, in place on the lead's result.
  mutating func appendEpilogue(_ fused: FusedOperation, at index: Int) throws {
    for epilogue in fused.epilogue {
      let data = tensor(of: fused.result)
      switch epilogue {
      case .activation(let function):
        try appendActivation(function, data, into: data, fused.lead.path)
      case .addition(let other):
        try appendAddition(data, tensor(of: other), into: data, fused.lead.path)
      }
    }
  }
}

extension FusedOperation {
  /// The place of the residual addition among the kernel's functions; nil where there is none.
  fileprivate var additionPlace: Int? {
    var place = 0
    for step in epilogue {
      switch step {
      case .addition: return place
      case .activation(let function): place += function.functions.count
      }
    }
    return nil
  }
}
