// SPDX-License-Identifier: Apache-2.0

package import ThawExecution
import ThawNetwork
package import ThawTensors

/// A frozen piece of a network on the reference engine; see ``ReferenceEngine``.
package final class ReferenceInferencePlan<Scalar: BLASScalar>: InferencePlan {
  private let program: ReferenceProgram<Scalar>
  /// Binds the same nodes and parameters to memory of their own.
  private let makeProgram: (_ sharing: [PlanParameter<Scalar>]?) throws -> ReferenceProgram<Scalar>

  /// A plan of what `makeProgram` makes; given parameters, that takes them instead of its own.
  init(
    _ makeProgram:
      @escaping (_ sharing: [PlanParameter<Scalar>]?) throws -> ReferenceProgram<Scalar>,
    sharing parameters: [PlanParameter<Scalar>]? = nil
  ) throws {
    self.makeProgram = makeProgram
    program = try makeProgram(parameters)
  }

  /// See ``InferencePlan/makeWorker(threads:)``.
  package func makeWorker(threads: Int) throws -> any InferencePlan {
    try ReferenceInferencePlan(makeProgram, sharing: program.parameters)
  }

  /// See ``InferencePlan/inputShape``.
  package var inputShape: Shape { program.input.shape }
  /// See ``InferencePlan/outputShape``.
  package var outputShape: Shape { program.output.shape }

  /// See ``InferencePlan/run(_:into:)``. Samples are computed one by one within a micro-batch, so a
  /// last, short one needs no padding.
  package func run(
    _ input: UnsafeBufferPointer<Float>, into output: UnsafeMutableBufferPointer<Float>
  ) throws {
    try program.runAll(input, into: output)
  }

  /// The same in the engine's own precision.
  package func run(scalars input: [Scalar]) throws -> [Scalar] {
    let count = input.count / program.input.stride * program.output.stride
    return try [Scalar](unsafeUninitializedCapacity: count) { output, initialized in
      try input.withUnsafeBufferPointer { try program.runAll($0, into: output) }
      initialized = count
    }
  }
}

extension ReferenceProgram {
  /// Inference for any number of samples, a batch at a time.
  func runAll<Outside: BLASScalar>(
    _ samples: UnsafeBufferPointer<Outside>, into results: UnsafeMutableBufferPointer<Outside>
  ) throws {
    let count = samples.count / input.stride
    precondition(
      samples.count == count * input.stride && results.count >= count * output.stride,
      "\(samples.count) elements in and \(results.count) out do not fit samples of"
        + " \(input.stride) and results of \(output.stride) elements.")
    guard let from = samples.baseAddress, let to = results.baseAddress else { return }
    for first in stride(from: 0, to: count, by: batch) {
      let pass = ReferencePass(
        count: min(batch, count - first), isTraining: false,
        identity: StepIdentity(seed: 0, step: 0))
      ElementLoops.convert(
        from + first * input.stride, to: input.values, count: pass.count * input.stride)
      if let inputBytes {
        ReferenceBytes.round(input.values, count: pass.count * input.stride, to: inputBytes)
      }
      try forward(pass)
      ElementLoops.convert(
        output.values, to: to + first * output.stride, count: pass.count * output.stride)
    }
  }
}
