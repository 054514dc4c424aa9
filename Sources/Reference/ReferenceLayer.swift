// SPDX-License-Identifier: Apache-2.0

import ThawExecution
import ThawNetwork
import ThawTensors

/// One pass through a plan.
struct ReferencePass {
  /// Samples in it.
  let count: Int
  /// Whether batch norms and dropout behave as in training.
  let isTraining: Bool
  /// The key of the dropout masks.
  let identity: StepIdentity
  /// What batch norms use and record instead, in a pass that inspects them.
  var inspection: BatchNormInspection?
  /// Samples of the batch that it is a shard of; as many as in it where it is none.
  var batchCount: Int

  init(
    count: Int, isTraining: Bool, identity: StepIdentity, inspection: BatchNormInspection? = nil,
    batchCount: Int? = nil
  ) {
    (self.count, self.isTraining, self.identity) = (count, isTraining, identity)
    self.inspection = inspection
    self.batchCount = batchCount ?? count
  }
}

/// One node bound to its buffers. Layers own what they need between forward and backward.
protocol ReferenceLayer: AnyObject {
  /// Checks what depends on the number of samples, before anything of the pass is computed.
  func check(_ pass: ReferencePass) throws
  /// Computes the output from the inputs.
  func forward(_ pass: ReferencePass)
  /// Adds to the gradients of inputs and parameters, those that have one. Called only when the
  /// output has a gradient.
  func backward(_ pass: ReferencePass)
  /// Notes on which side of its kinks each element of the last forward pass is.
  func note(_ kinks: inout KinkSides, _ pass: ReferencePass)
}

/// A layer that must know something of the whole batch, of which others may compute a part: each shard is
/// collected as a row of numbers, and the rows of all are what it goes on with.
protocol ReferenceSharingLayer: ReferenceLayer {
  /// Numbers of a row; 0 where the layer needs nothing of the kind.
  var sharedWidth: Int { get }
  func collectForward(_ pass: ReferencePass, into row: UnsafeMutablePointer<Double>)
  /// - Parameter moves: whether the running statistics move; once a batch, for whom they are one.
  func combineForward(_ rows: UnsafeBufferPointer<Double>, moves: Bool)
  func finishForward(_ pass: ReferencePass)
  func collectBackward(_ pass: ReferencePass, into row: UnsafeMutablePointer<Double>)
  func finishBackward(_ pass: ReferencePass, _ rows: UnsafeBufferPointer<Double>)
}

extension ReferenceLayer {
  func check(_ pass: ReferencePass) throws {}
  /// Smooth: nothing to note.
  func note(_ kinks: inout KinkSides, _ pass: ReferencePass) {}
}

/// What a layer is made from.
struct ReferenceContext<Scalar: BLASScalar> {
  let node: Node
  let inputs: [ReferenceValue<Scalar>]
  let output: ReferenceValue<Scalar>
  let parameters: [PlanParameter<Scalar>]
  /// How a batch norm behaves in training; `.inference` in a plan that does not train.
  let mode: BatchNormMode
  /// Whether there will be backward passes.
  let trains: Bool
  /// Of an attention that turns patches: see ``Graph/rotaryAngles(of:_:)``.
  let angles: Tensor<Double>?

  /// The first input.
  var input: ReferenceValue<Scalar> { inputs[0] }

  /// The parameter with this role, nil when the layer has none.
  func parameter(_ role: ParameterRole) -> PlanParameter<Scalar>? {
    parameters.first { $0.description.role == role }
  }

  /// The parameter with this role, which every layer of this kind has.
  func required(_ role: ParameterRole) -> PlanParameter<Scalar> {
    guard let parameter = parameter(role) else {
      preconditionFailure("Layer '\(node.path)' has no parameter with the role \(role).")
    }
    return parameter
  }
}

extension ReferenceContext {
  /// The layer that executes the node.
  func makeLayer(_ scratch: ReferenceScratch<Scalar>) -> any ReferenceLayer {
    switch node.operation {
    case .input: preconditionFailure("The input node '\(node.path)' is not executed.")
    case .convolution(let layer):
      return layer.groups > 1 && layer.inputs == layer.groups
        ? ReferenceDepthwise(layer, self) : ReferenceConvolution(layer, self, scratch)
    case .batchNormalization(let layer): return ReferenceBatchNormalization(layer, self)
    case .activation(let function): return ReferenceActivation(function, self)
    case .layerNormalization(let layer): return ReferenceLayerNormalization(layer, self)
    case .responseNormalization(let layer): return ReferenceResponseNormalization(layer, self)
    case .channelScale(let layer): return ReferenceChannelScale(layer, self)
    case .add: return ReferenceAddition(self)
    case .gate: return ReferenceGate(self)
    case .multiply: return ReferenceProduct(self)
    case .concatenate: return ReferenceConcatenation(self)
    case .pooling(.maximum, let window): return ReferenceMaximumPooling(window, self)
    case .pooling(.average(let includesPadding), let window):
      return ReferenceAveragePooling(window, includesPadding: includesPadding, self)
    case .globalAveragePooling: return ReferenceGlobalAverage(self)
    case .globalMaximumPooling:
      // A window as large as the image: the first maximum wins, as everywhere.
      var window = Window2D(kernel: 1)
      window.kernel = input.image
      return ReferenceMaximumPooling(window, self)
    case .adaptiveAveragePooling: return ReferenceAdaptivePooling(self)
    case .flatten: return ReferenceFlatten(self)
    case .dropout(let probability): return ReferenceDropout(probability, self)
    case .stochasticDepth(let probability): return ReferenceStochasticDepth(probability, self)
    case .dense(let layer): return ReferenceDense(layer, self)
    case .tokens(let layer): return ReferenceTokens(layer, self)
    case .attention(let layer): return ReferenceAttention(layer, self, scratch)
    case .attentionPooling(let layer): return ReferenceAttentionPooling(layer, self, scratch)
    case .selectTokens(let selection): return ReferenceTokenSelection(selection, self)
    }
  }
}

/// Working memory that all layers of a plan use in turn; it grows while the plan is built only.
final class ReferenceScratch<Scalar: BLASScalar> {
  private var storage = AlignedStorage<Scalar>(count: 0)

  /// Makes room for `count` elements.
  func reserve(_ count: Int) {
    if count > storage.elements.count { storage = AlignedStorage(count: count) }
  }

  /// The memory; its contents do not survive a layer.
  var start: UnsafeMutablePointer<Scalar> { storage.start }
}
