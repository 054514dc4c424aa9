// SPDX-License-Identifier: Apache-2.0

package import ThawExecution
import ThawTensors

/// Each shard of a batch has a program of its own on common parameters; layer by layer all of them compute.
extension ReferenceTrainingPlan: ShardedTrainingPlan {
  /// See ``ShardedTrainingPlan/usesBatchStatistics``.
  package var usesBatchStatistics: Bool {
    program.instructions.contains { sharing($0.layer) != nil }
  }

  private func sharing(_ layer: any ReferenceLayer) -> (any ReferenceSharingLayer)? {
    guard let sharing = layer as? any ReferenceSharingLayer, sharing.sharedWidth > 0 else {
      return nil
    }
    return sharing
  }

  /// A shard and the program that computes it.
  private struct Place {
    let program: ReferenceProgram<Scalar>
    let pass: ReferencePass
    let number: Int
    /// Its first sample among those of all own shards.
    let first: Int
  }

  private func places(of batch: ShardedBatch) -> [Place] {
    let programs = [program] + others
    precondition(
      batch.own.count <= programs.count && batch.own.allSatisfy { $0.count <= program.batch },
      "The plan holds \(programs.count) shards of \(program.batch) samples.")
    var first = 0
    return zip(programs, batch.own).map { program, shard in
      defer { first += shard.count }
      return Place(
        program: program,
        pass: ReferencePass(
          count: shard.count, isTraining: true, identity: shard.identity, batchCount: batch.count),
        number: shard.number, first: first)
    }
  }

  /// See ``ShardedTrainingPlan/forward(_:of:into:)``.
  package func forward(
    _ input: UnsafeBufferPointer<Float>, of batch: ShardedBatch,
    into output: UnsafeMutableBufferPointer<Float>
  ) throws { try run(input, of: batch, into: output) }

  /// The same in the engine's own precision.
  package func forward(scalars input: [Scalar], of batch: ShardedBatch) throws -> [Scalar] {
    let count = input.count / program.input.stride * program.output.stride
    return try [Scalar](unsafeUninitializedCapacity: count) { output, initialized in
      try input.withUnsafeBufferPointer { try run($0, of: batch, into: output) }
      initialized = count
    }
  }

  private func run<Outside: BLASScalar>(
    _ input: UnsafeBufferPointer<Outside>, of batch: ShardedBatch,
    into output: UnsafeMutableBufferPointer<Outside>
  ) throws {
    lastPass = nil
    let places = places(of: batch)
    let whole = ReferencePass(
      count: batch.count, isTraining: true, identity: StepIdentity(seed: 0, step: 0))
    for instruction in program.instructions { try instruction.layer.check(whole) }
    for place in places where place.pass.count > 0 {
      let (start, stride) = (place.first, program.input.stride)
      ElementLoops.convert(
        UnsafeBufferPointer(rebasing: input[start * stride..<(start + place.pass.count) * stride]),
        to: UnsafeMutableBufferPointer(
          start: place.program.input.values, count: place.pass.count * stride))
    }
    for index in program.instructions.indices { try forward(index, places, batch) }
    for place in places where place.pass.count > 0 {
      let (start, stride) = (place.first, program.output.stride)
      ElementLoops.convert(
        UnsafeBufferPointer(
          start: place.program.output.values, count: place.pass.count * stride),
        to: UnsafeMutableBufferPointer(
          rebasing: output[start * stride..<(start + place.pass.count) * stride]))
    }
  }

  private func forward(_ index: Int, _ places: [Place], _ batch: ShardedBatch) throws {
    guard let first = sharing(program.instructions[index].layer) else {
      for place in places where place.pass.count > 0 {
        place.program.instructions[index].layer.forward(place.pass)
      }
      return
    }
    let layers = places.compactMap { sharing($0.program.instructions[index].layer) }
    try withRows(batch, first.sharedWidth) { rows in
      for (place, layer) in zip(places, layers) {
        layer.collectForward(place.pass, into: rows + place.number * first.sharedWidth)
      }
    } then: { rows in
      // Also where there is no own shard: the running statistics are everybody's.
      first.combineForward(rows, moves: true)
      for layer in layers.dropFirst() { layer.combineForward(rows, moves: false) }
    }
    for (place, layer) in zip(places, layers) { layer.finishForward(place.pass) }
  }

  private func withRows(
    _ batch: ShardedBatch, _ width: Int, _ fill: (UnsafeMutablePointer<Double>) -> Void,
    then use: (UnsafeBufferPointer<Double>) -> Void
  ) throws {
    let rows = AlignedStorage<Double>(count: batch.shards * width)
    fill(rows.start)
    try batch.share(rows.elements, width)
    use(UnsafeBufferPointer(rows.elements))
  }

  /// See ``ShardedTrainingPlan/backward(_:of:telling:)``.
  package func backward(
    _ gradient: UnsafeBufferPointer<Float>, of batch: ShardedBatch,
    telling progress: BackwardProgress
  ) throws {
    guard program.output.gradient != nil else { return }
    let places = places(of: batch)
    for place in places where place.pass.count > 0 {
      guard let outer = place.program.output.gradient else { continue }
      let (start, stride) = (place.first, program.output.stride)
      ElementLoops.convert(
        UnsafeBufferPointer(
          rebasing: gradient[start * stride..<(start + place.pass.count) * stride]),
        to: UnsafeMutableBufferPointer(start: outer, count: place.pass.count * stride))
    }
    clearGradients()
    for index in program.instructions.indices.reversed() {
      let own = trainedByLayer[index]
      if program.instructions[index].output.gradient != nil {
        try backward(index, places, batch) { place in try tell(own, place.number, progress) }
      }
      progress.onPause()
    }
  }

  private func tell(_ indices: [Int], _ shard: Int, _ progress: BackwardProgress) throws {
    for index in indices {
      guard let gradient = trained[index].gradientElements else { continue }
      try progress.onGradient(shard, index, rounded(gradient))
      gradient.update(repeating: 0)
    }
  }

  private func rounded(
    _ gradient: UnsafeMutableBufferPointer<Scalar>
  ) -> UnsafeMutableBufferPointer<Float> {
    (gradient as? UnsafeMutableBufferPointer<Float>) ?? stage(gradient, in: staging.gradient)
  }

  /// One layer of all shards; `then` is called when a shard has added to the layer's gradients.
  private func backward(
    _ index: Int, _ places: [Place], _ batch: ShardedBatch, then: (Place) throws -> Void
  ) throws {
    for place in places {
      for value in place.program.instructions[index].starts {
        guard let gradient = value.gradient else { continue }
        ElementLoops.clear(gradient, count: place.pass.count * value.stride)
      }
    }
    guard let first = sharing(program.instructions[index].layer) else {
      for place in places {
        if place.pass.count > 0 {
          place.program.instructions[index].layer.backward(place.pass)
        }
        try then(place)
      }
      return
    }
    let layers = places.compactMap { sharing($0.program.instructions[index].layer) }
    let rows = AlignedStorage<Double>(count: batch.shards * first.sharedWidth)
    for (place, layer) in zip(places, layers) {
      layer.collectBackward(place.pass, into: rows.start + place.number * first.sharedWidth)
      try then(place)
    }
    try batch.share(rows.elements, first.sharedWidth)
    for (place, layer) in zip(places, layers) {
      layer.finishBackward(place.pass, UnsafeBufferPointer(rows.elements))
    }
  }

  /// See ``ShardedTrainingPlan/backward(_:shard:telling:)``. They are told when all are there.
  package func backward(
    _ gradient: UnsafeBufferPointer<Float>, shard: Int, telling progress: BackwardProgress
  ) throws {
    try backward(gradient)
    for index in trained.indices.reversed() {
      guard let gradient = trained[index].gradientElements else { continue }
      try progress.onGradient(shard, index, rounded(gradient))
    }
  }
}
