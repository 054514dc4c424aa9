// SPDX-License-Identifier: Apache-2.0

import CThawKernels
import ThawExecution
import ThawNetwork
import ThawTensors

/// One pass through a plan, of a batch or of one of its shards.
struct TrainingPass {
  /// Samples in it.
  let count: Int
  /// Whether batch norms and dropout behave as in training.
  let isTraining: Bool
  /// The key of the dropout masks.
  let identity: StepIdentity
  /// What batch norms use and record instead, in a pass that inspects them.
  var inspection: BatchNormInspection?
  /// Where its samples lie in the plan's memory: behind those of other shards.
  var start = 0
  /// Number of the shard, and how many samples all shards have.
  var shard = 0
  var batchCount: Int

  init(
    count: Int, isTraining: Bool, identity: StepIdentity, inspection: BatchNormInspection? = nil
  ) {
    (self.count, self.isTraining, self.identity) = (count, isTraining, identity)
    self.inspection = inspection
    batchCount = count
  }

  /// A shard of a batch of `batchCount` samples, at `start`.
  init(_ shard: ShardedBatch.Shard, of batchCount: Int, start: Int) {
    self.init(count: shard.count, isTraining: true, identity: shard.identity)
    (self.batchCount, self.start, self.shard) = (batchCount, start, shard.number)
  }

  /// All of its images.
  var images: Range<Int> { start..<start + count }
}

/// What one lane does at once: some images of a pass.
struct TrainingWork {
  let pass: TrainingPass
  /// In the plan's memory.
  let images: Range<Int>
  let lane: Int

  /// The first image's number within the pass.
  var firstOfPass: Int { images.lowerBound - pass.start }
}

/// A fused run of nodes bound to its values.
///
/// Rounds cut an instruction where it must know something of the whole batch: all images are through one
/// before any enters the next. In between what each shard of the batch knows is collected as a row of numbers,
/// and ``combineForward(_:_:)`` or ``combineBackward(_:)`` gets the rows of all.
protocol TrainingInstruction: AnyObject {
  /// Layer, for messages and profiles.
  var path: ParameterPath { get }
  /// The values it reads, the residual first, and the one it makes.
  var inputs: [TrainingValue] { get }
  var output: TrainingValue { get }
  /// Which inputs and whether the output must still be there in backward.
  var keepsInputs: [Bool] { get }
  var keepsOutput: Bool { get }
  /// For each input, set while the plan is built: whether its gradient is added to what is there, and
  /// whether it is the output's gradient in the same memory.
  var accumulates: [Bool] { get set }
  var sharesGradient: [Bool] { get set }
  /// Inputs whose gradient may simply be that of the output, in the same memory.
  var canShareGradient: [Bool] { get }
  /// Rounds in each direction; 1 for most.
  var rounds: Int { get }
  /// Whether ``forward(_:round:_:)`` leaves out the rectifier, so that what it would hide (it turns NaN
  /// into 0) can be seen; ``rectify(_:)`` then makes up for it.
  var holdsRectifier: Bool { get set }
  /// Whether it always takes all images at once, on the calling thread.
  var takesWholeBatch: Bool { get }
  /// Bytes of working memory a lane needs for it.
  var scratchBytes: Int { get }
  /// What its transformed weights take, beyond a copy of them.
  var transformedBytes: Int { get }
  /// Elements of parameters it prepares and reduces, to balance that between lanes.
  var parameterCount: Int { get }

  /// Checks what depends on the number of samples, before anything of the pass is computed.
  func check(_ pass: TrainingPass) throws
  /// Takes over frozen values after an import.
  func importFrozen(_ parameters: Parameters) throws
  /// Brings parameters into the form the kernels want; only when they may have changed.
  func prepare(_ scratch: UnsafeMutableRawPointer) throws(ExecutionError)
  func forward(_ work: TrainingWork, round: Int, _ scratch: UnsafeMutableRawPointer)
    throws(ExecutionError)
  /// Numbers of a row; 0 for instructions of one round.
  var sharedWidth: Int { get }
  /// Writes what the lanes know of a shard after the first round, and makes them ready for the next shard.
  func collectForward(into row: UnsafeMutablePointer<Double>)
  /// - Parameter pass: the whole batch as one.
  func combineForward(_ pass: TrainingPass, _ rows: UnsafeBufferPointer<Double>)
  /// Makes room for what is kept of so many images from forward to backward.
  func hold(images: Int)
  /// Before the first pass with ``holdsRectifier`` set.
  func prepareToHoldRectifier() throws
  /// Applies the rectifier to the result.
  func rectify(_ work: TrainingWork)
  /// Before the first image of a backward pass.
  func startBackward()
  /// Writes or adds to the gradients of inputs, and to the lane's gradients of parameters.
  func backward(_ work: TrainingWork, round: Int, _ scratch: UnsafeMutableRawPointer)
    throws(ExecutionError)
  func collectBackward(into row: UnsafeMutablePointer<Double>)
  func combineBackward(_ rows: UnsafeBufferPointer<Double>)
  /// Adds the lanes' gradients to the parameters' accumulated ones, in the lanes' order.
  func reduce(_ scratch: UnsafeMutableRawPointer) throws(ExecutionError)
}

/// What most instructions have in common.
class TrainingInstructionBase {
  let path: ParameterPath
  let inputs: [TrainingValue]
  let output: TrainingValue
  /// Applied to the result at the end, and in backward; nothing for most.
  let rectifier: thaw_rectifier
  var accumulates: [Bool]
  var sharesGradient: [Bool]
  var holdsRectifier = false

  init(
    _ path: ParameterPath, _ inputs: [TrainingValue], _ output: TrainingValue,
    rectifier: Activation? = nil
  ) {
    self.path = path
    self.inputs = inputs
    self.output = output
    self.rectifier = rectifier?.rectifier ?? THAW_IDENTITY
    accumulates = inputs.map { _ in false }
    sharesGradient = inputs.map { _ in false }
  }

  var input: TrainingValue { inputs[inputs.count - 1] }

  /// The rectifier that a forward pass applies.
  var forwardRectifier: thaw_rectifier { holdsRectifier ? THAW_IDENTITY : rectifier }

  func prepareToHoldRectifier() throws {}
  func rectify(_ work: TrainingWork) {
    guard rectifier != THAW_IDENTITY else { return }
    let result = output.values(work)
    thaw_rectify(result, rectifier, result, Int64(work.images.count * output.stride))
  }

  var rounds: Int { 1 }
  var takesWholeBatch: Bool { false }
  var scratchBytes: Int { 0 }
  var transformedBytes: Int { 0 }
  var parameterCount: Int { 0 }
  var keepsInputs: [Bool] { inputs.map { _ in false } }
  var keepsOutput: Bool { false }
  var canShareGradient: [Bool] { inputs.map { _ in false } }
  func check(_ pass: TrainingPass) throws {}
  func importFrozen(_ parameters: Parameters) throws {}
  func prepare(_ scratch: UnsafeMutableRawPointer) throws(ExecutionError) {}
  var sharedWidth: Int { 0 }
  func collectForward(into row: UnsafeMutablePointer<Double>) {}
  func combineForward(_ pass: TrainingPass, _ rows: UnsafeBufferPointer<Double>) {}
  func hold(images: Int) {}
  func startBackward() {}
  func collectBackward(into row: UnsafeMutablePointer<Double>) {}
  func combineBackward(_ rows: UnsafeBufferPointer<Double>) {}
  func reduce(_ scratch: UnsafeMutableRawPointer) throws(ExecutionError) {}

  /// Gives `gradient`, as many elements as `work` has outputs, to input `index` unless shared.
  func pass(
    _ gradient: UnsafePointer<Float>, to index: Int, _ work: TrainingWork
  ) {
    let target = inputs[index]
    guard target.hasGradient, !sharesGradient[index] else { return }
    let count = work.images.count * target.stride
    if accumulates[index] {
      thaw_add(target.gradient(work), gradient, Int64(count))
    } else {
      target.gradient(work).update(from: gradient, count: count)
    }
  }

  /// The gradient of input `index`, zero where nothing was added yet: for kernels that add.
  func startedGradient(_ index: Int, _ work: TrainingWork) -> UnsafeMutablePointer<Float> {
    let target = inputs[index].gradient(work)
    if !accumulates[index] {
      target.update(repeating: 0, count: work.images.count * inputs[index].stride)
    }
    return target
  }
}

extension Activation {
  /// The kernels' name for it; nil where the derivative needs the input.
  var rectifier: thaw_rectifier? {
    switch self {
    case .relu: THAW_RELU
    case .relu6: THAW_RELU6
    case .silu, .sigmoid, .gelu, .geluTanh, .quickGELU, .hardSigmoid, .hardSwish: nil
    }
  }
}

/// A window over channels-last images, at a fixed address as the kernels want it.
final class Geometry {
  let pointer: UnsafeMutablePointer<thaw_geometry>

  /// `window` from the images of `input` to those of `output`.
  init(_ window: Window2D, from input: TrainingValue, to output: TrainingValue) {
    func pair(_ extent: Extent2D) -> (Int64, Int64) { (Int64(extent.height), Int64(extent.width)) }
    let insets = window.insets(for: input.image)
    pointer = .allocate(capacity: 1)
    pointer.initialize(
      to: thaw_geometry(
        channels: Int64(input.channels), input: pair(input.image), output: pair(output.image),
        kernel: pair(window.kernel), stride: pair(window.stride), dilation: pair(window.dilation),
        before: (Int64(insets.top), Int64(insets.left))))
  }

  deinit { pointer.deallocate() }
}
