// SPDX-License-Identifier: Apache-2.0

package import ThawExecution
import ThawTensors

/// The shards of a batch lie behind each other in the plan's memory, one place each; segment by segment all of
/// them go through the program.
extension OneDNNTrainingPlan: ShardedTrainingPlan {
  package func backward(
    _ gradient: UnsafeBufferPointer<Float>, shard: Int, telling progress: BackwardProgress
  ) throws {
    guard let pass = try startBackward(gradient) else { return }
    executor.onPause = progress.onPause
    defer { executor.onPause = nil }
    try executor.backward(TrainingShards(pass)) { _, instructions in
      for index in instructions.flatMap({ executor.program.trained[$0] }) {
        guard let gradient = trained[index].gradientElements else { continue }
        try progress.onGradient(shard, index, gradient)
      }
    }
  }

  package func hold(shards: Int) throws {
    guard shards > executor.places else { return }
    if let memory {
      let needed = executor.program.memoryNeed(shards: shards)
      guard needed <= memory else {
        throw ExecutionError.memory(
          batch: shards * (inputShape[0] - 1), needed: needed, allowed: memory)
      }
    }
    lastPass = nil
    try executor.hold(batches: shards)
  }

  package func forward(
    _ input: UnsafeBufferPointer<Float>, of batch: ShardedBatch,
    into output: UnsafeMutableBufferPointer<Float>
  ) throws {
    let shards = shards(of: batch)
    let program = executor.program
    precondition(
      input.count == shards.passes.reduce(0) { $0 + $1.count } * program.input.stride
        && output.count * program.input.stride >= input.count * program.output.stride,
      "\(input.count) elements in and \(output.count) out do not fit the samples of the shards.")
    lastPass = nil
    for instruction in program.instructions { try instruction.check(shards.whole) }
    try prepare()
    var first = 0
    for pass in shards.passes where pass.count > 0 {
      guard let from = input.baseAddress else { return }
      copyInput(from + first * program.input.stride, pass)
      first += pass.count
    }
    try executor.forward(shards)
    first = 0
    for pass in shards.passes where pass.count > 0 {
      guard let to = output.baseAddress else { return }
      copyOutput(pass, to: to + first * program.output.stride)
      first += pass.count
    }
  }

  package func backward(
    _ gradient: UnsafeBufferPointer<Float>, of batch: ShardedBatch,
    telling progress: BackwardProgress
  ) throws {
    let shards = shards(of: batch)
    let output = executor.program.output
    guard output.hasGradient else { return }
    var first = 0
    for pass in shards.passes where pass.count > 0 {
      guard let from = gradient.baseAddress else { return }
      copyOutputGradient(from + first * output.stride, pass)
      first += pass.count
    }
    executor.onPause = progress.onPause
    defer { executor.onPause = nil }
    clearGradients()
    try executor.backward(shards) { pass, instructions in
      for index in instructions.flatMap({ executor.program.trained[$0] }) {
        guard let gradient = trained[index].gradientElements else { continue }
        try progress.onGradient(pass.shard, index, gradient)
        gradient.update(repeating: 0)
      }
    }
  }

  private func shards(of batch: ShardedBatch) -> TrainingShards {
    precondition(
      batch.own.count <= executor.places && batch.own.allSatisfy { $0.count <= inputShape[0] },
      "The plan holds \(executor.places) shards of \(inputShape[0]) samples.")
    return TrainingShards(batch, room: inputShape[0])
  }
}
