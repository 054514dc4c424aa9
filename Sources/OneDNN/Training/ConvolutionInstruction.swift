// SPDX-License-Identifier: Apache-2.0

import CThawKernels
import CThawOneDNN
import ThawExecution
import ThawNetwork
import ThawTensors

/// A convolution with a frozen batch norm folded in, a residual addition and a rectifier.
///
/// y = rectifier(s * (W x + b) + t + residual), s and t of the batch norm. The kernels see s * W and
/// s * b + t, so dL/dW = s * dL/d(s W), row by row. Nothing but x and y is kept for backward.
final class ConvolutionInstruction: TrainingInstructionBase, TrainingInstruction {
  /// Kernels with memory of their own.
  private struct PlainKernels {
    let kernels: ConvolutionKernels
    let scratch: [OneDNNBlock]
  }

  private let layer: Convolution2D
  private let weight: PlanParameter<Float>
  private let bias: PlanParameter<Float>?
  private let affine: FrozenAffine?
  private let hasResidual: Bool
  private let description: ConvolutionKernels.Description
  private let whole: ConvolutionKernels
  private let single: ConvolutionKernels
  private let layouts: ConvolutionKernels.WeightLayouts
  /// The passes that go by Winograd's algorithm instead of these kernels.
  private let winogradForward: WinogradPass?
  private let winogradData: WinogradPass?
  private let denseLayout: OneDNNLayout
  private let leading: Int
  private let lanes: Int
  /// s * b + t: [O].
  private let foldedBias: AlignedStorage<Float>?
  /// s * W: [(G,) O / G, C / G, kH, kW] in the forward kernel's order; nil where there is none.
  private let forwardWeights: OneDNNBlock?
  /// The same in the order of the kernel for dx. Nil where backward reads the forward pass's, or there is none.
  private let dataWeights: OneDNNBlock?
  /// d loss / d (s * W) of each lane, shaped as the weights, in the order of the kernel for dW; empty when
  /// the weights are frozen.
  private let laneGradients: [OneDNNBlock]
  private let gradientBytes: Int
  /// Kernels without an epilogue, while rectifiers are held.
  private var plain: PlainKernels?
  private let hasLaneGradient: LaneStorage<Bool>
  /// Sums of dy in each lane: [O].
  private let biasSums: [AlignedStorage<Double>]
  private var forwardMove: OneDNNParameterMove?
  private var dataMove: OneDNNParameterMove?
  private var gradientMove: OneDNNParameterMove?

  init(
    _ layer: Convolution2D, _ context: TrainingContext, affine: FrozenAffine?,
    residual: TrainingValue?, rectifier: Activation?
  ) throws {
    self.layer = layer
    self.affine = affine
    let (input, output, path) = (context.input, context.output, context.node.path)
    weight = context.required(.weight)
    bias = context.parameter(.bias)
    hasResidual = residual != nil
    lanes = context.lanes
    let perGroup = [
      layer.outputs / layer.groups, layer.inputs / layer.groups, layer.window.kernel.height,
      layer.window.kernel.width,
    ]
    let weightShape = Shape(layer.groups == 1 ? perGroup : [layer.groups] + perGroup)
    leading = layer.groups == 1 ? 1 : 2
    let needsData = output.hasGradient && input.hasGradient
    winogradForward = try WinogradPass(
      layer, input: input.shape, output: output.shape, isBackward: false)
    winogradData =
      needsData
      ? try WinogradPass(layer, input: input.shape, output: output.shape, isBackward: true) : nil
    let description = ConvolutionKernels.Description(
      layer: path, input: input.shape, output: output.shape, weightShape: weightShape,
      window: try layer.window.descriptor(for: input.image, output: output.image, path),
      hasBias: layer.hasBias || affine != nil, hasResidual: residual != nil,
      rectifier: rectifier?.functions.first, needsForward: winogradForward == nil,
      needsData: needsData && winogradData == nil,
      needsWeights: output.hasGradient && weight.gradient != nil, lanes: lanes)
    self.description = description
    whole = try ConvolutionKernels(description, images: context.passImages, like: nil)
    let layouts = try whole.weightLayouts()
    self.layouts = layouts
    single =
      context.passImages == 1
      ? whole : try ConvolutionKernels(description, images: 1, like: layouts)
    foldedBias = description.hasBias ? AlignedStorage(count: layer.outputs) : nil
    denseLayout = try OneDNNLayout(weightShape, THAW_DNNL_DENSE, path)
    forwardWeights = try layouts.forward.map { try OneDNNBlock(zeroed: $0.bytes) }
    let isShared = layouts.forward.flatMap { layouts.data?.matches($0) } ?? false
    dataWeights = isShared ? nil : try layouts.data.map { try OneDNNBlock(zeroed: $0.bytes) }
    gradientBytes = layouts.gradient?.bytes ?? 0
    laneGradients = try (0..<(gradientBytes > 0 ? lanes : 0)).map { [gradientBytes] _ in
      try OneDNNBlock(zeroed: gradientBytes)
    }
    hasLaneGradient = LaneStorage(repeating: false, lanes: lanes)
    biasSums = (0..<(bias?.gradient == nil ? 0 : lanes)).map { _ in
      AlignedStorage(count: layer.outputs)
    }
    super.init(path, residual.map { [$0, input] } ?? [input], output, rectifier: rectifier)
    try makeMoves()
  }

  /// The scale is built into the moves, so they are made anew when it changes.
  private func makeMoves() throws(ExecutionError) {
    func move(
      _ from: OneDNNLayout, _ to: OneDNNLayout, accumulates: Bool
    ) throws(ExecutionError) -> OneDNNParameterMove {
      try OneDNNParameterMove(
        from, to: to, scale: affine?.scale, leading: leading, accumulates: accumulates, path)
    }
    if let forward = layouts.forward {
      forwardMove = try move(denseLayout, forward, accumulates: false)
    }
    if let data = layouts.data, dataWeights != nil {
      dataMove = try move(denseLayout, data, accumulates: false)
    }
    if let gradient = layouts.gradient {
      gradientMove = try move(gradient, denseLayout, accumulates: true)
    }
  }

  override var keepsInputs: [Bool] {
    // The last one is convolved; the residual is only added.
    inputs.indices.map { $0 == inputs.count - 1 && whole.weights != nil }
  }
  override var keepsOutput: Bool { rectifier != THAW_IDENTITY && output.hasGradient }
  override var canShareGradient: [Bool] {
    inputs.indices.map { hasResidual && $0 == 0 }
  }
  override var scratchBytes: Int {
    let moves = [forwardMove, dataMove, gradientMove].compactMap { $0?.scratchBytes }.max() ?? 0
    let source = accumulates[inputs.count - 1] ? input.stride * whole.images * 4 : 0
    return ConvolutionInstruction.aligned(max(kernelBytes, moves)) + max(gradientBytes, source)
  }
  override var transformedBytes: Int {
    [winogradForward, winogradData].reduce(0) { $0 + ($1?.weightBytes ?? 0) }
  }
  override var parameterCount: Int { weight.count }

  private static func aligned(_ bytes: Int) -> Int { (bytes + 63) & ~63 }

  /// What the kernels work in.
  private var kernelBytes: Int {
    [
      whole.scratchBytes, single.scratchBytes, winogradForward?.scratchBytes ?? 0,
      winogradData?.scratchBytes ?? 0,
    ].max() ?? 0
  }

  /// Memory behind that.
  private func temporary(_ scratch: UnsafeMutableRawPointer) -> UnsafeMutablePointer<Float> {
    (scratch + ConvolutionInstruction.aligned(kernelBytes))
      .assumingMemoryBound(to: Float.self)
  }

  override func importFrozen(_ parameters: Parameters) throws {
    guard let affine else { return }
    try affine.update(parameters)
    try makeMoves()
  }

  override func prepare(_ scratch: UnsafeMutableRawPointer) throws(ExecutionError) {
    winogradForward?.prepare(weight.values, scale: affine?.scale)
    winogradData?.prepare(weight.values, scale: affine?.scale)
    if let forwardWeights, let forwardMove {
      try forwardMove.run(weight.values, to: forwardWeights.address, scratchpad: scratch)
    }
    if let dataWeights, let dataMove {
      try dataMove.run(weight.values, to: dataWeights.address, scratchpad: scratch)
    }
    guard let folded = foldedBias?.start else { return }
    for channel in 0..<layer.outputs {
      let own = bias?.values[channel] ?? 0
      folded[channel] = affine.map { $0.scale[channel] * own + $0.shift[channel] } ?? own
    }
  }

  private func kernels(_ work: TrainingWork) -> ConvolutionKernels {
    work.images.count == whole.images ? whole : single
  }

  func forward(
    _ work: TrainingWork, round: Int, _ scratch: UnsafeMutableRawPointer
  ) throws(ExecutionError) {
    let result = output.values(work)
    let residual = hasResidual ? UnsafePointer(inputs[0].values(work)) : nil
    if let winogradForward {
      return winogradForward.run(
        input.values(work), bias: foldedBias.map { UnsafePointer($0.start) }, residual: residual,
        forwardRectifier, images: work.images.count, scratch, into: result)
    }
    guard let forwardWeights else { preconditionFailure("'\(path)' has no kernel for its result.") }
    if let plain { return try forward(work, plain: plain, forwardWeights) }
    let kernels = kernels(work)
    var extra = kernels.isFused ? residual.map { UnsafeRawPointer($0) } : nil
    var folded = foldedBias.map { UnsafeRawPointer($0.start) }
    if folded == nil { swap(&folded, &extra) }
    try kernels.forwardCalls[work.lane].run(
      input.values(work), forwardWeights.address, result, folded, extra, scratchpad: scratch)
    guard !kernels.isFused else { return }
    let count = Int64(work.images.count * output.stride)
    if let residual {
      thaw_sum(result, residual, rectifier, result, count)
    } else {
      thaw_rectify(result, rectifier, result, count)
    }
  }

  /// The convolution alone, image by image, and the residual.
  private func forward(
    _ work: TrainingWork, plain: PlainKernels, _ forwardWeights: OneDNNBlock
  ) throws(ExecutionError) {
    let (source, result) = (input.values(work), output.values(work))
    for image in 0..<work.images.count {
      let bias = foldedBias.map { UnsafeRawPointer($0.start) }
      try plain.kernels.forwardCalls[work.lane].run(
        source + image * input.stride, forwardWeights.address, result + image * output.stride,
        bias, nil, scratchpad: plain.scratch[work.lane].address)
    }
    guard hasResidual else { return }
    thaw_sum(
      result, inputs[0].values(work), THAW_IDENTITY, result,
      Int64(work.images.count * output.stride))
  }

  override var holdsRectifier: Bool { didSet { if !holdsRectifier { plain = nil } } }

  override func prepareToHoldRectifier() throws {
    guard winogradForward == nil else { return }
    let kernels = try ConvolutionKernels(description.plain, images: 1, like: layouts)
    plain = PlainKernels(
      kernels: kernels,
      scratch: try (0..<lanes).map { _ in try OneDNNBlock(zeroed: kernels.scratchBytes) })
  }

  override func startBackward() {
    hasLaneGradient.reset(to: false)
    for sums in biasSums { sums.elements.update(repeating: 0) }
  }

  func backward(
    _ work: TrainingWork, round: Int, _ scratch: UnsafeMutableRawPointer
  ) throws(ExecutionError) {
    let outer = output.gradient(work)
    let count = work.images.count * output.stride
    if rectifier != THAW_IDENTITY {
      thaw_rectify_backward(outer, output.values(work), rectifier, outer, Int64(count))
    }
    if hasResidual { pass(outer, to: 0, work) }
    if bias?.gradient != nil {
      thaw_channel_sums(
        outer, Int64(work.images.count * output.plane), Int64(layer.outputs),
        biasSums[work.lane].start)
    }
    try addWeightGradient(outer, work, scratch)
    try addInputGradient(outer, work, scratch)
  }

  private func addWeightGradient(
    _ outer: UnsafeMutablePointer<Float>, _ work: TrainingWork, _ scratch: UnsafeMutableRawPointer
  ) throws(ExecutionError) {
    guard gradientBytes > 0 else { return }
    let sum = laneGradients[work.lane].floats
    let isFirst = !hasLaneGradient[work.lane]
    let target = isFirst ? sum : temporary(scratch)
    try kernels(work).weightCalls[work.lane].run(
      input.values(work), outer, target, scratchpad: scratch)
    if !isFirst { thaw_add(sum, target, Int64(gradientBytes / MemoryLayout<Float>.stride)) }
    if isFirst { hasLaneGradient[work.lane] = true }
  }

  private func addInputGradient(
    _ outer: UnsafeMutablePointer<Float>, _ work: TrainingWork, _ scratch: UnsafeMutableRawPointer
  ) throws(ExecutionError) {
    guard input.hasGradient else { return }
    let adds = accumulates[inputs.count - 1]
    let gradient = input.gradient(work)
    // Where the residual is the input itself, its gradient may lie where that of the result does.
    let isInPlace = winogradData != nil && gradient != outer
    let target = adds && !isInPlace ? temporary(scratch) : gradient
    if let winogradData {
      winogradData.run(
        outer, residual: adds && isInPlace ? UnsafePointer(gradient) : nil,
        images: work.images.count, scratch, into: target)
    } else {
      guard let weights = dataWeights ?? forwardWeights else {
        preconditionFailure("'\(path)' has no kernel for its source's gradient.")
      }
      try kernels(work).dataCalls[work.lane].run(
        outer, weights.address, target, scratchpad: scratch)
    }
    if target != gradient {
      thaw_add(gradient, target, Int64(work.images.count * input.stride))
    }
  }

  override func reduce(_ scratch: UnsafeMutableRawPointer) throws(ExecutionError) {
    for lane in 0..<lanes {
      if let gradient = weight.gradient, let gradientMove, hasLaneGradient[lane] {
        try gradientMove.run(laneGradients[lane].address, to: gradient, scratchpad: scratch)
      }
    }
    guard let gradient = bias?.gradient, output.hasGradient else { return }
    addBiasSums(biasSums, to: gradient, channels: layer.outputs, scale: affine?.scale)
  }
}

/// gradient[c] += scale[c] * the lanes' sums, in the lanes' order.
func addBiasSums(
  _ lanes: [AlignedStorage<Double>], to gradient: UnsafeMutablePointer<Float>, channels: Int,
  scale: [Float]?
) {
  for channel in 0..<channels {
    var sum = 0.0
    for lane in lanes { sum += lane.start[channel] }
    gradient[channel] += Float(sum * Double(scale?[channel] ?? 1))
  }
}
