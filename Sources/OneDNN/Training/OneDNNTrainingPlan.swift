// SPDX-License-Identifier: Apache-2.0

import CThawKernels
package import ThawExecution
package import ThawNetwork
package import ThawTensors

/// A piece of a network that trains on oneDNN and kernels of our own; see ``OneDNNEngine``.
///
/// Values are channels-last images. Each lane, one thread's share, takes its images through forward or
/// backward one by one, so that what passes from layer to layer stays in the core's cache; weight
/// gradients are summed in each lane apart and added at the end in the lanes' order, so results do
/// not depend on how many threads OpenMP grants. Only where a batch norm needs
/// the whole batch the lanes wait for each other. Element order of parameters is PyTorch's.
package final class OneDNNTrainingPlan: BatchNormInspectable, LayerInspectable {
  package let engineName = OneDNN.name
  package var refusal: ExecutionError?
  let executor: TrainingExecutor
  /// Those with gradients, in the order of ``trainable``.
  let trained: [PlanParameter<Float>]
  package let trainable: [ParameterDescription]
  package let inputShape: Shape
  package let outputShape: Shape
  /// The last training pass, nil when there was none or `evaluate` has overwritten its values.
  var lastPass: TrainingPass?
  /// Bytes that training may take; nil for any number.
  let memory: Int?
  /// Whether a layer normalises by the statistics of the batch.
  package let usesBatchStatistics: Bool
  /// Whether the kernels' copies of the parameters are out of date.
  var isStale = true

  init(_ program: TrainingProgram, memory: Int? = nil) throws {
    self.memory = memory
    usesBatchStatistics = program.instructions.contains { $0.sharedWidth > 0 }
    executor = try TrainingExecutor(program)
    trained = program.parameters.filter { $0.gradient != nil }
    trainable = trained.map(\.description)
    inputShape = program.input.shape
    outputShape = program.output.shape
  }

  package func forward(
    _ input: UnsafeBufferPointer<Float>, step: StepIdentity,
    into output: UnsafeMutableBufferPointer<Float>
  ) throws {
    let stride = executor.program.input.stride
    let count = input.count / stride
    precondition(
      count >= 1 && count <= inputShape[0] && input.count == count * stride,
      "A training pass takes 1 to \(inputShape[0]) samples of \(stride) elements,"
        + " got \(input.count) elements.")
    lastPass = nil
    let pass = TrainingPass(count: count, isTraining: true, identity: step)
    for instruction in executor.program.instructions { try instruction.check(pass) }
    try run(pass, input, into: output)
    lastPass = pass
  }

  /// See ``LayerInspectable/firstNonFiniteLayer(_:step:)``. A convolution's result is looked at with
  /// the batch norm and the addition behind it, but before the rectifier.
  package func firstNonFiniteLayer(
    _ input: UnsafeBufferPointer<Float>, step: StepIdentity
  ) throws -> ParameterPath? {
    lastPass = nil
    let program = executor.program
    let count = input.count / program.input.stride
    precondition(
      count >= 1 && count <= inputShape[0], "A pass takes 1 to \(inputShape[0]) samples.")
    guard let from = input.baseAddress else { return nil }
    let pass = TrainingPass(count: count, isTraining: true, identity: step)
    for instruction in program.instructions { try instruction.check(pass) }
    try prepare()
    copyInput(from, pass)
    return try executor.firstNonFiniteInstruction(pass).map { program.instructions[$0].path }
  }

  package func backward(_ gradient: UnsafeBufferPointer<Float>) throws {
    guard let pass = try startBackward(gradient) else { return }
    try executor.backward(pass)
  }

  /// Copies the gradient of the last pass's output; nil where nothing trains.
  func startBackward(_ gradient: UnsafeBufferPointer<Float>) throws -> TrainingPass? {
    guard let pass = lastPass else {
      preconditionFailure("A backward pass needs a training forward pass right before it.")
    }
    let output = executor.program.output
    precondition(
      gradient.count == pass.count * output.stride,
      "The last forward pass gave \(pass.count * output.stride) logits, the gradient has"
        + " \(gradient.count).")
    guard output.hasGradient, let from = gradient.baseAddress else { return nil }
    // The instructions change what they keep on their way back, so this pass cannot be repeated.
    lastPass = nil
    copyOutputGradient(from, pass)
    return pass
  }

  func copyOutputGradient(_ from: UnsafePointer<Float>, _ pass: TrainingPass) {
    let work = TrainingWork(pass: pass, images: pass.images, lane: 0)
    let output = executor.program.output
    reorder(from, to: output.gradient(work), output, images: pass.count, channelsLast: true)
  }

  package func evaluate(
    _ input: UnsafeBufferPointer<Float>, into output: UnsafeMutableBufferPointer<Float>
  ) throws {
    lastPass = nil
    let (from, to) = (executor.program.input.stride, executor.program.output.stride)
    let count = input.count / from
    precondition(
      input.count == count * from && output.count >= count * to,
      "\(input.count) elements in and \(output.count) out do not fit samples of \(from) and"
        + " results of \(to) elements.")
    for first in stride(from: 0, to: count, by: inputShape[0]) {
      let pass = TrainingPass(
        count: min(inputShape[0], count - first), isTraining: false,
        identity: StepIdentity(seed: 0, step: 0))
      let samples = first..<first + pass.count
      try run(
        pass,
        UnsafeBufferPointer(rebasing: input[samples.lowerBound * from..<samples.upperBound * from]),
        into: UnsafeMutableBufferPointer(
          rebasing: output[samples.lowerBound * to..<samples.upperBound * to]))
    }
  }

  package func inspect(
    _ input: UnsafeBufferPointer<Float>, _ inspection: BatchNormInspection,
    into output: UnsafeMutableBufferPointer<Float>
  ) throws {
    let stride = executor.program.input.stride
    let count = input.count / stride
    precondition(
      count >= 1 && count <= inputShape[0] && input.count == count * stride,
      "An inspected pass takes 1 to \(inputShape[0]) samples of \(stride) elements,"
        + " got \(input.count) elements.")
    lastPass = nil
    let pass = TrainingPass(
      count: count, isTraining: false, identity: StepIdentity(seed: 0, step: 0),
      inspection: inspection)
    for instruction in executor.program.instructions { try instruction.check(pass) }
    try run(pass, input, into: output)
  }

  private func run(
    _ pass: TrainingPass, _ input: UnsafeBufferPointer<Float>,
    into output: UnsafeMutableBufferPointer<Float>
  ) throws {
    let program = executor.program
    precondition(
      output.count >= pass.count * program.output.stride,
      "\(pass.count) results of \(program.output.stride) elements need more room than"
        + " \(output.count).")
    guard let from = input.baseAddress, let to = output.baseAddress else { return }
    try prepare()
    copyInput(from, pass)
    try executor.forward(TrainingShards(pass))
    copyOutput(pass, to: to)
  }

  func copyOutput(_ pass: TrainingPass, to: UnsafeMutablePointer<Float>) {
    let work = TrainingWork(pass: pass, images: pass.images, lane: 0)
    let output = executor.program.output
    reorder(
      UnsafePointer(output.values(work)), to: to, output, images: pass.count, channelsLast: false)
  }

  /// Brings changed parameters into the kernels' form.
  func prepare() throws(ExecutionError) {
    guard isStale else { return }
    try executor.prepare()
    isStale = false
  }

  func copyInput(_ from: UnsafePointer<Float>, _ pass: TrainingPass) {
    let work = TrainingWork(pass: pass, images: pass.images, lane: 0)
    let input = executor.program.input
    reorder(from, to: input.values(work), input, images: pass.count, channelsLast: true)
  }

  /// Copies images between PyTorch's order and channels last.
  private func reorder(
    _ source: UnsafePointer<Float>, to target: UnsafeMutablePointer<Float>,
    _ value: TrainingValue, images: Int, channelsLast: Bool
  ) {
    if value.plane == 1 { return target.update(from: source, count: images * value.stride) }
    let (rows, columns) =
      channelsLast ? (value.channels, value.plane) : (value.plane, value.channels)
    for image in 0..<images {
      let start = image * value.stride
      thaw_transpose(source + start, Int64(rows), Int64(columns), false, target + start)
    }
  }

  package func clearGradients() {
    for parameter in trained {
      guard let gradient = parameter.gradient else { continue }
      ElementLoops.clear(gradient, count: parameter.count)
    }
  }

  package func withTrainable(
    _ body: (
      ParameterDescription, _ values: UnsafeMutableBufferPointer<Float>,
      _ gradient: UnsafeMutableBufferPointer<Float>
    ) throws -> Void
  ) rethrows {
    isStale = true
    for parameter in trained {
      guard let gradient = parameter.gradientElements else { continue }
      try body(parameter.description, parameter.elements, gradient)
    }
  }

  package func exportParameters() -> Parameters {
    var result = Parameters()
    for parameter in executor.program.parameters {
      result[parameter.description.path] = parameter.copy(of: parameter.elements)
    }
    return result
  }

  /// Nothing is replaced when one of the parameters does not fit.
  package func importParameters(_ parameters: Parameters) throws {
    let own = executor.program.parameters
    let tensors = try own.map { parameter in
      let tensor = try parameters.tensor(parameter.description.path)
      guard tensor.shape == parameter.description.shape else {
        throw NetworkError.parameterShape(
          parameter.description.path, expected: parameter.description.shape, found: tensor.shape)
      }
      return tensor
    }
    for (parameter, tensor) in zip(own, tensors) { parameter.set(tensor) }
    for instruction in executor.program.instructions { try instruction.importFrozen(parameters) }
    isStale = true
  }

  package func gradient(of path: ParameterPath) -> Tensor<Float>? {
    guard let parameter = trained.first(where: { $0.description.path == path }),
      let gradient = parameter.gradientElements
    else { return nil }
    return parameter.copy(of: gradient)
  }
}

extension OneDNNTrainingPlan {
  /// What one instruction took in a profile, summed over the lanes.
  package struct InstructionTime {
    /// Layer it belongs to.
    package let layer: ParameterPath
    /// For example `ConvolutionInstruction`.
    package let kind: String
    /// Wall time in each direction.
    package let forward: Double
    package let backward: Double
  }

  /// Calls `body` and tells what every instruction took meanwhile, in seconds.
  package func profile(_ body: () throws -> Void) rethrows -> [InstructionTime] {
    for lane in executor.seconds { lane.elements.update(repeating: 0) }
    executor.measures = true
    defer { executor.measures = false }
    try body()
    return executor.program.instructions.enumerated().map { index, instruction in
      func sum(_ slot: Int) -> Double { executor.seconds.reduce(0) { $0 + $1.elements[slot] } }
      return InstructionTime(
        layer: instruction.path, kind: "\(type(of: instruction))", forward: sum(2 * index),
        backward: sum(2 * index + 1))
    }
  }

  /// Memory for activations, their gradients and scratchpads, in bytes.
  package var arenaBytes: Int { executor.arenaBytes }
}

/// The instruction sets that the kernels beside oneDNN's exist for.
package enum KernelInstructions: UInt32, CaseIterable, Sendable {
  case plain, avx2, avx512

  /// The set in use: the best one the processor has, unless limited.
  package static var current: KernelInstructions {
    KernelInstructions(rawValue: thaw_kernels_instructions().rawValue) ?? .plain
  }

  /// Uses nothing better than `self` from now on, in the whole process: for tests.
  package func limit() { thaw_kernels_limit(thaw_instructions(rawValue: rawValue)) }
}
