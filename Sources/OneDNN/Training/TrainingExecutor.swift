// SPDX-License-Identifier: Apache-2.0

import CThawOneDNN
import Glibc
import ThawExecution
import ThawNetwork
import ThawTensors

/// Runs a program: segments one after the other, in each the images spread over the lanes.
///
/// A lane is a share of the work with memory of its own: some images of each segment, some parameters to
/// prepare and to reduce. Which lane takes which depends on nothing but their number, and sums over
/// lanes are taken in the lanes' order. A thread does any number of lanes, so equal inputs give equal
/// bits however many threads OpenMP grants. No lane waits for another: where a batch norm needs the
/// whole batch, one segment ends and the next begins.
final class TrainingExecutor {
  let program: TrainingProgram
  private(set) var schedule: TrainingSchedule
  /// Whether the time of every instruction is taken, into ``seconds``.
  var measures = false
  /// By lane: forward and backward seconds of instruction 0, of instruction 1, ….
  let seconds: [AlignedStorage<Double>]
  /// Called between passes of images, on the thread that called.
  var onPause: (() -> Void)?
  private var memory: TrainingMemory
  /// Batches that there is memory for side by side.
  private(set) var places = 1
  /// What the shards of a batch know of it at the moment, a row each.
  private var rows = AlignedStorage<Double>(count: 0)
  private let scratch: [OneDNNBlock]
  /// Instructions each lane prepares and reduces.
  private let shares: [[Int]]
  private var job = Job.prepare
  /// The thread that runs the program.
  private var caller = pthread_self()
  /// By lane, the first instruction with a non-finite result; nil when nobody looks.
  private var firstNonFinite: AlignedStorage<Int32>?
  private let failures: LaneStorage<ExecutionError?>

  /// What the lanes do at the moment.
  private enum Job {
    case prepare
    /// Those of the segment, or all.
    case reduce(TrainingSchedule.Segment?)
    case forward(TrainingSchedule.Segment, TrainingPass)
    case backward(TrainingSchedule.Segment, TrainingPass)
  }

  init(_ program: TrainingProgram) throws {
    self.program = program
    schedule = TrainingSchedule(program)
    memory = try TrainingExecutor.memory(schedule, program)
    let bytes = program.instructions.map(\.scratchBytes).max() ?? 0
    scratch = try (0..<program.lanes).map { _ in try OneDNNBlock(zeroed: bytes) }
    failures = LaneStorage(repeating: nil, lanes: program.lanes)
    seconds = (0..<program.lanes).map { _ in AlignedStorage(count: 2 * program.instructions.count) }
    shares = TrainingExecutor.balance(program)
  }

  /// Takes memory and binds all values to it.
  private static func memory(
    _ schedule: TrainingSchedule, _ program: TrainingProgram
  ) throws(ExecutionError) -> TrainingMemory {
    let memory = try TrainingMemory(
      batchBytes: schedule.batchBytes, laneBytes: schedule.laneBytes, lanes: program.lanes)
    for value in program.values {
      value.bind(
        memory, schedule.places[value.buffer], gradient: schedule.places[value.gradientBuffer])
    }
    return memory
  }

  /// Takes memory for so many batches side by side.
  func hold(batches: Int) throws(ExecutionError) {
    guard batches > places else { return }
    let images = batches * program.batch
    schedule = TrainingSchedule(program, images: images)
    memory = try TrainingExecutor.memory(schedule, program)
    for instruction in program.instructions { instruction.hold(images: images) }
    places = batches
  }

  /// Gives every lane about as many parameters, largest instructions first.
  private static func balance(_ program: TrainingProgram) -> [[Int]] {
    var shares = (0..<program.lanes).map { _ in [Int]() }
    var loads = [Int](repeating: 0, count: program.lanes)
    let order = program.instructions.indices.sorted {
      (-program.instructions[$0].parameterCount, $0) < (
        -program.instructions[$1].parameterCount, $1
      )
    }
    for instruction in order {
      let lane = loads.indices.min { loads[$0] < loads[$1] } ?? 0
      shares[lane].append(instruction)
      loads[lane] += program.instructions[instruction].parameterCount + 1
    }
    return shares
  }

  /// Memory for activations, gradients of activations and scratchpads, in bytes.
  var arenaBytes: Int {
    schedule.batchBytes
      + program.lanes * (schedule.laneBytes + (program.instructions.map(\.scratchBytes).max() ?? 0))
  }

  /// Brings all parameters into the kernels' form.
  func prepare() throws(ExecutionError) { try run(.prepare, lanes: program.lanes) }

  /// Computes the output of the images in the input.
  func forward(_ shards: TrainingShards) throws {
    reserveRows(shards)
    for (index, segment) in schedule.forward.enumerated() {
      if let combines = segment.combines {
        let instruction = program.instructions[combines]
        instruction.combineForward(
          shards.whole, try shards.complete(rows.elements, width: instruction.sharedWidth))
      }
      let next = combined(behind: index, in: schedule.forward)
      for pass in shards.passes {
        try run(segment, pass, .forward(segment, pass))
        if let next { next.collectForward(into: row(of: pass, next)) }
      }
    }
  }

  /// Computes all gradients from the one of the output, and adds those of parameters.
  func backward(_ pass: TrainingPass) throws {
    try runBackward(TrainingShards(pass)) { _, _ in }
    try run(.reduce(nil), lanes: program.lanes)
  }

  /// The same, but the gradients of parameters are added shard by shard as soon as they are complete.
  ///
  /// - Parameter onInstructions: called when those of some instructions are there for one shard. Whoever wants
  ///   to tell shards apart clears them.
  func backward(
    _ shards: TrainingShards, onInstructions: (TrainingPass, [Int]) throws -> Void
  ) throws {
    try runBackward(shards) { segment, pass in
      let complete = segment.items.filter { $0.round == 0 }.map(\.instruction)
      guard complete.contains(where: { !program.trained[$0].isEmpty }) else { return }
      if pass.count > 0 { try run(.reduce(segment), lanes: program.lanes) }
      try onInstructions(pass, complete)
      for instruction in complete { program.instructions[instruction].startBackward() }
    }
  }

  private func runBackward(
    _ shards: TrainingShards, then: (TrainingSchedule.Segment, TrainingPass) throws -> Void
  ) throws {
    reserveRows(shards)
    for instruction in program.instructions where instruction.output.hasGradient {
      instruction.startBackward()
    }
    for (index, segment) in schedule.backward.enumerated() {
      if let combines = segment.combines {
        let instruction = program.instructions[combines]
        instruction.combineBackward(
          try shards.complete(rows.elements, width: instruction.sharedWidth))
      }
      let next = combined(behind: index, in: schedule.backward)
      for pass in shards.passes {
        try run(segment, pass, .backward(segment, pass))
        if let next { next.collectBackward(into: row(of: pass, next)) }
        try then(segment, pass)
      }
    }
  }

  /// The instruction whose rounds the end of segment `index` separates.
  private func combined(
    behind index: Int, in segments: [TrainingSchedule.Segment]
  ) -> (any TrainingInstruction)? {
    guard index + 1 < segments.count else { return nil }
    return segments[index + 1].combines.map { program.instructions[$0] }
  }

  private func row(
    of pass: TrainingPass, _ instruction: any TrainingInstruction
  ) -> UnsafeMutablePointer<Double> {
    rows.start + pass.shard * instruction.sharedWidth
  }

  private func reserveRows(_ shards: TrainingShards) {
    let width = program.instructions.map(\.sharedWidth).max() ?? 0
    if rows.elements.count < shards.count * width {
      rows = AlignedStorage(count: shards.count * width)
    }
  }
  /// Runs forward and looks at every instruction's result before its rectifier; nil when all are finite.
  func firstNonFiniteInstruction(_ pass: TrainingPass) throws -> Int? {
    let found = AlignedStorage<Int32>(count: program.lanes)
    found.elements.update(repeating: .max)
    firstNonFinite = found
    defer {
      firstNonFinite = nil
      for instruction in program.instructions { instruction.holdsRectifier = false }
    }
    try holdRectifiers()
    try forward(TrainingShards(pass))
    return found.elements.min().flatMap { $0 == .max ? nil : Int($0) }
  }

  private func holdRectifiers() throws {
    try withSingleThreadedKernels {
      for instruction in program.instructions {
        instruction.holdsRectifier = true
        try instruction.prepareToHoldRectifier()
      }
    }
  }

  private func look(at index: Int, _ work: TrainingWork, in found: AlignedStorage<Int32>) {
    let instruction = program.instructions[index]
    let result = UnsafeBufferPointer(
      start: instruction.output.values(work), count: work.images.count * instruction.output.stride)
    if index < found.elements[work.lane], !result.areFinite {
      found.elements[work.lane] = Int32(clamping: index)
    }
    instruction.rectify(work)
  }

  private func run(
    _ segment: TrainingSchedule.Segment, _ pass: TrainingPass, _ job: Job
  ) throws(ExecutionError) {
    guard pass.count > 0 else { return }
    if segment.passImages == 0 {
      self.job = job
      try runItems(segment, TrainingWork(pass: pass, images: pass.images, lane: 0))
    } else {
      try run(job, lanes: min(program.lanes, pass.count))
    }
    onPause?()
  }

  private func run(_ job: Job, lanes: Int) throws(ExecutionError) {
    self.job = job
    caller = pthread_self()
    thaw_dnnl_parallel(
      CInt(lanes),
      { context, lane in
        guard let context else { return }
        let executor = Unmanaged<TrainingExecutor>.fromOpaque(context).takeUnretainedValue()
        executor.takePart(Int(lane))
      }, Unmanaged.passUnretained(self).toOpaque())
    for lane in 0..<lanes {
      if let failure = failures[lane] {
        failures[lane] = nil
        throw failure
      }
    }
  }

  /// One lane's share of the job.
  private func takePart(_ lane: Int) {
    do throws(ExecutionError) {
      switch job {
      case .prepare:
        for instruction in shares[lane] {
          try program.instructions[instruction].prepare(scratch[lane].address)
        }
      case .reduce(let segment):
        for instruction in shares[lane] where segment?.begins(instruction) ?? true {
          try program.instructions[instruction].reduce(scratch[lane].address)
        }
      case .forward(let segment, let pass), .backward(let segment, let pass):
        try runImages(segment, pass, lane)
      }
    } catch {
      failures[lane] = error
    }
  }

  /// The images of one lane, some at a time and the rest one by one.
  private func runImages(
    _ segment: TrainingSchedule.Segment, _ pass: TrainingPass, _ lane: Int
  ) throws(ExecutionError) {
    let lanes = min(program.lanes, pass.count)
    let end = pass.start + pass.count * (lane + 1) / lanes
    var image = pass.start + pass.count * lane / lanes
    while image < end {
      let count = end - image >= segment.passImages ? segment.passImages : 1
      try runItems(
        segment, TrainingWork(pass: pass, images: image..<image + count, lane: lane))
      image += count
      if let onPause, pthread_equal(pthread_self(), caller) != 0 { onPause() }
    }
  }

  private func runItems(
    _ segment: TrainingSchedule.Segment, _ work: TrainingWork
  ) throws(ExecutionError) {
    let memory = scratch[work.lane].address
    var isForward = false
    if case .forward = job { isForward = true }
    for item in segment.items {
      let instruction = program.instructions[item.instruction]
      let start = measures ? TrainingExecutor.now() : 0
      if isForward {
        try instruction.forward(work, round: item.round, memory)
        if let firstNonFinite, item.round == instruction.rounds - 1 {
          look(at: item.instruction, work, in: firstNonFinite)
        }
      } else {
        try instruction.backward(work, round: item.round, memory)
      }
      if measures {
        let slot = 2 * item.instruction + (isForward ? 0 : 1)
        seconds[work.lane].start[slot] += TrainingExecutor.now() - start
      }
    }
  }

  private static func now() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + 1e-9 * Double(time.tv_nsec)
  }
}
