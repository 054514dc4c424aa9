// SPDX-License-Identifier: Apache-2.0

package import ThawExecution
package import ThawNetwork
package import ThawTensors

/// A piece of a network that trains on the reference engine; see ``ReferenceEngine``.
///
/// Element order is PyTorch's. With `Double`, values and gradients are rounded to Float on their way
/// out and kept in full inside.
package final class ReferenceTrainingPlan<Scalar: BLASScalar>: BatchNormInspectable,
  LayerInspectable
{
  package let engineName = ReferenceEngine<Scalar>().name
  package var refusal: ExecutionError?
  let program: ReferenceProgram<Scalar>
  /// Those with gradients, in the order of ``trainable``.
  let trained: [PlanParameter<Scalar>]
  /// Those of each instruction, as numbers among ``trained``.
  private(set) lazy var trainedByLayer: [[Int]] = {
    var result = program.instructions.map { _ in [Int]() }
    for index in trained.indices { result[layer(ofTrainable: index)].append(index) }
    return result
  }()
  /// Float copies of one parameter and its gradient; empty when `Scalar` is Float.
  let staging: (values: AlignedStorage<Float>, gradient: AlignedStorage<Float>)
  /// The last training pass, nil when there was none or `evaluate` has overwritten its values.
  var lastPass: ReferencePass?
  /// The same on the same parameters, with memory of its own for each shard but the first.
  var others: [ReferenceProgram<Scalar>] = []
  /// Makes another program on parameters that there are.
  private let makeProgram: ([PlanParameter<Scalar>]?) throws -> ReferenceProgram<Scalar>

  /// - Parameter makeProgram: on given parameters, or on its own.
  init(
    _ makeProgram: @escaping ([PlanParameter<Scalar>]?) throws -> ReferenceProgram<Scalar>
  ) throws {
    self.makeProgram = makeProgram
    program = try makeProgram(nil)
    trained = program.parameters.filter { $0.gradient != nil }
    trainable = trained.map(\.description)
    let room = Scalar.self == Float.self ? 0 : trained.map(\.count).max() ?? 0
    staging = (AlignedStorage(count: room), AlignedStorage(count: room))
  }

  /// See ``ShardedTrainingPlan/hold(shards:)``.
  package func hold(shards: Int) throws {
    while others.count + 1 < shards { others.append(try makeProgram(program.parameters)) }
  }

  /// See ``TrainingPlan/inputShape``.
  package var inputShape: Shape { program.input.shape }
  /// See ``TrainingPlan/outputShape``.
  package var outputShape: Shape { program.output.shape }
  /// See ``TrainingPlan/trainable``.
  package let trainable: [ParameterDescription]

  /// See ``TrainingPlan/forward(_:step:into:)``.
  package func forward(
    _ input: UnsafeBufferPointer<Float>, step: StepIdentity,
    into output: UnsafeMutableBufferPointer<Float>
  ) throws {
    try run(input, step: step, into: output)
  }

  /// See ``TrainingPlan/backward(_:)``. Traps unless the last pass was a training pass.
  package func backward(_ gradient: UnsafeBufferPointer<Float>) throws { propagate(gradient) }

  /// See ``TrainingPlan/evaluate(_:into:)``. A following ``backward(_:)`` needs a new forward pass.
  package func evaluate(
    _ input: UnsafeBufferPointer<Float>, into output: UnsafeMutableBufferPointer<Float>
  ) throws {
    lastPass = nil
    try program.runAll(input, into: output)
  }

  /// See ``BatchNormInspectable/inspect(_:_:into:)``.
  package func inspect(
    _ input: UnsafeBufferPointer<Float>, _ inspection: BatchNormInspection,
    into output: UnsafeMutableBufferPointer<Float>
  ) throws {
    try run(
      input, step: StepIdentity(seed: 0, step: 0), inspection: inspection, into: output)
    lastPass = nil
  }

  /// See ``LayerInspectable/firstNonFiniteLayer(_:step:)``. Every node is looked at by itself.
  package func firstNonFiniteLayer(
    _ input: UnsafeBufferPointer<Float>, step: StepIdentity
  ) throws -> ParameterPath? {
    lastPass = nil
    guard let from = input.baseAddress else { return nil }
    ElementLoops.convert(from, to: program.input.values, count: input.count)
    return try program.firstNonFiniteLayer(
      ReferencePass(
        count: input.count / program.input.stride, isTraining: true, identity: step))
  }

  /// Sets all accumulated gradients to zero.
  package func clearGradients() {
    for parameter in trained {
      guard let gradient = parameter.gradient else { continue }
      ElementLoops.clear(gradient, count: parameter.count)
    }
  }

  /// Forward in training, in the engine's own precision.
  package func forward(scalars input: [Scalar], step: StepIdentity) throws -> [Scalar] {
    let count = input.count / program.input.stride * program.output.stride
    return try [Scalar](unsafeUninitializedCapacity: count) { output, initialized in
      try input.withUnsafeBufferPointer { try run($0, step: step, into: output) }
      initialized = count
    }
  }

  /// Backward in the engine's own precision.
  package func backward(scalars gradient: [Scalar]) {
    gradient.withUnsafeBufferPointer { propagate($0) }
  }

  private func run<Outside: BLASScalar>(
    _ input: UnsafeBufferPointer<Outside>, step: StepIdentity,
    inspection: BatchNormInspection? = nil, into output: UnsafeMutableBufferPointer<Outside>
  ) throws {
    let count = input.count / program.input.stride
    precondition(
      count >= 1 && count <= program.batch && input.count == count * program.input.stride,
      "A training pass takes 1 to \(program.batch) samples of \(program.input.stride) elements,"
        + " got \(input.count) elements.")
    precondition(
      output.count >= count * program.output.stride,
      "\(count) results of \(program.output.stride) elements need more room than \(output.count).")
    let pass = ReferencePass(
      count: count, isTraining: inspection == nil, identity: step, inspection: inspection)
    lastPass = nil
    guard let from = input.baseAddress, let to = output.baseAddress else { return }
    ElementLoops.convert(from, to: program.input.values, count: input.count)
    try program.forward(pass)
    ElementLoops.convert(
      program.output.values, to: to, count: count * program.output.stride)
    lastPass = pass
  }

  private func propagate<Outside: BLASScalar>(_ gradient: UnsafeBufferPointer<Outside>) {
    guard let pass = lastPass else {
      preconditionFailure("A backward pass needs a training forward pass right before it.")
    }
    precondition(
      gradient.count == pass.count * program.output.stride,
      "The last forward pass gave \(pass.count * program.output.stride) logits, the gradient has"
        + " \(gradient.count).")
    guard let outer = program.output.gradient, let from = gradient.baseAddress else { return }
    ElementLoops.convert(from, to: outer, count: gradient.count)
    program.backward(pass)
  }
}
