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
  let schedule: TrainingSchedule
  /// Whether the time of every instruction is taken, into ``seconds``.
  var measures = false
  /// By lane: forward and backward seconds of instruction 0, of instruction 1, ….
  let seconds: [AlignedStorage<Double>]
  private let memory: TrainingMemory
  private let scratch: [OneDNNBlock]
  /// Instructions each lane prepares and reduces.
  private let shares: [[Int]]
  private var job = Job.prepare
  /// By lane, the first instruction with a non-finite result; nil when nobody looks.
  private var firstNonFinite: AlignedStorage<Int32>?
  private let failures: LaneStorage<ExecutionError?>

  /// What the lanes do at the moment.
  private enum Job {
    case prepare
    case reduce
    case forward(TrainingSchedule.Segment, TrainingPass)
    case backward(TrainingSchedule.Segment, TrainingPass)
  }

  init(_ program: TrainingProgram) throws {
    self.program = program
    schedule = TrainingSchedule(program)
    memory = try TrainingMemory(
      batchBytes: schedule.batchBytes, laneBytes: schedule.laneBytes, lanes: program.lanes)
    for value in program.values {
      value.bind(
        memory, schedule.places[value.buffer], gradient: schedule.places[value.gradientBuffer])
    }
    let bytes = program.instructions.map(\.scratchBytes).max() ?? 0
    scratch = try (0..<program.lanes).map { _ in try OneDNNBlock(zeroed: bytes) }
    failures = LaneStorage(repeating: nil, lanes: program.lanes)
    seconds = (0..<program.lanes).map { _ in AlignedStorage(count: 2 * program.instructions.count) }
    shares = TrainingExecutor.balance(program)
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
  func forward(_ pass: TrainingPass) throws(ExecutionError) {
    for segment in schedule.forward {
      if let instruction = segment.combines {
        program.instructions[instruction].combineForward(pass)
      }
      try run(segment, pass, .forward(segment, pass))
    }
  }

  /// Computes all gradients from the one of the output, and adds those of parameters.
  func backward(_ pass: TrainingPass) throws(ExecutionError) {
    for instruction in program.instructions where instruction.output.hasGradient {
      instruction.startBackward()
    }
    for segment in schedule.backward {
      if let instruction = segment.combines {
        program.instructions[instruction].combineBackward(pass)
      }
      try run(segment, pass, .backward(segment, pass))
    }
    try run(.reduce, lanes: program.lanes)
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
    try forward(pass)
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
    guard segment.passImages == 0 else {
      return try run(job, lanes: min(program.lanes, pass.count))
    }
    self.job = job
    try runItems(segment, TrainingWork(pass: pass, images: 0..<pass.count, lane: 0))
  }

  private func run(_ job: Job, lanes: Int) throws(ExecutionError) {
    self.job = job
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
      case .reduce:
        for instruction in shares[lane] {
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
    let end = pass.count * (lane + 1) / lanes
    var image = pass.count * lane / lanes
    while image < end {
      let count = end - image >= segment.passImages ? segment.passImages : 1
      try runItems(
        segment, TrainingWork(pass: pass, images: image..<image + count, lane: lane))
      image += count
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
