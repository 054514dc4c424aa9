// SPDX-License-Identifier: Apache-2.0

import ThawExecution

/// In which order the instructions of a program run, and where what is in memory lies.
///
/// Items that can run image after image without waiting for the rest of the batch form a segment;
/// within one, a lane takes its images one after the other through all items.
struct TrainingSchedule {
  /// One round of an instruction.
  struct Item {
    let instruction: Int
    let round: Int
  }

  /// Items in order.
  struct Segment {
    /// The instruction whose rounds the start of this segment separates.
    let combines: Int?
    var items: [Item]
    /// Images a lane takes at once; 0 for all images on the calling thread.
    let passImages: Int

    /// Whether an instruction's first round is here.
    func begins(_ instruction: Int) -> Bool {
      items.contains { $0.instruction == instruction && $0.round == 0 }
    }
  }

  let forward: [Segment]
  let backward: [Segment]
  /// Places by buffer.
  let places: [Int: TrainingPlace]
  let batchBytes: Int
  let laneBytes: Int

  /// Plans the memory of `program`.
  ///
  /// - Parameter images: that the memory has room for; nil for a batch.
  init(_ program: TrainingProgram, images: Int? = nil) {
    let indices = program.instructions.indices
    forward = TrainingSchedule.segments(program, Array(indices))
    backward = TrainingSchedule.segments(
      program, indices.reversed().filter { program.instructions[$0].output.hasGradient })
    var uses = Uses()
    var clock = Clock()
    for segment in forward {
      for item in segment.items {
        let instruction = program.instructions[item.instruction]
        for value in instruction.inputs + [instruction.output] {
          uses.note(value.buffer, value, clock, segment)
        }
        clock.item += 1
      }
      clock.segment += 1
    }
    for segment in backward {
      for item in segment.items {
        let instruction = program.instructions[item.instruction]
        uses.note(instruction.output.gradientBuffer, instruction.output, clock, segment)
        if instruction.keepsOutput {
          uses.note(instruction.output.buffer, instruction.output, clock, segment)
        }
        for (index, value) in instruction.inputs.enumerated() {
          if instruction.keepsInputs[index] { uses.note(value.buffer, value, clock, segment) }
          if value.hasGradient { uses.note(value.gradientBuffer, value, clock, segment) }
        }
        clock.item += 1
      }
      clock.segment += 1
    }
    // The caller's data enters and leaves outside the segments.
    uses.keep(program.input.buffer, program.input, from: 0)
    uses.keep(program.output.buffer, program.output, from: forward.count - 1)
    if program.output.hasGradient {
      uses.keep(program.output.gradientBuffer, program.output, from: forward.count)
    }
    (places, batchBytes, laneBytes) = uses.plan(batch: images ?? program.batch)
  }

  private static func segments(_ program: TrainingProgram, _ instructions: [Int]) -> [Segment] {
    var result: [Segment] = []
    for instruction in instructions {
      let images = program.passImages[instruction]
      for round in 0..<program.instructions[instruction].rounds {
        if round == 0, let last = result.last, last.passImages == images {
          result[result.count - 1].items.append(Item(instruction: instruction, round: 0))
        } else {
          result.append(
            Segment(
              combines: round > 0 ? instruction : nil,
              items: [Item(instruction: instruction, round: round)],
              passImages: images))
        }
      }
    }
    return result
  }

  private struct Clock {
    var item = 0
    var segment = 0
  }

  /// When each buffer is touched.
  private struct Uses {
    private struct Use {
      var stride: Int
      var items: ClosedRange<Int>
      var segments: ClosedRange<Int>
      var passImages: Int
      var isShared = false
    }
    private var byBuffer: [Int: Use] = [:]

    mutating func note(
      _ buffer: Int, _ value: TrainingValue, _ clock: Clock, _ segment: Segment
    ) {
      var use =
        byBuffer[buffer]
        ?? Use(
          stride: value.stride, items: clock.item...clock.item,
          segments: clock.segment...clock.segment, passImages: segment.passImages)
      use.items = use.items.lowerBound...clock.item
      use.segments = use.segments.lowerBound...clock.segment
      byBuffer[buffer] = use
    }

    mutating func keep(_ buffer: Int, _ value: TrainingValue, from segment: Int) {
      var use =
        byBuffer[buffer]
        ?? Use(
          stride: value.stride, items: 0...0, segments: max(segment, 0)...max(segment, 0),
          passImages: 0)
      let end = max(use.segments.upperBound, segment)
      use.segments = min(use.segments.lowerBound, max(segment, 0))...max(end, 0)
      use.isShared = true
      byBuffer[buffer] = use
    }

    /// Buffers used in one segment only lie in the lanes, reused item by item; the others hold the
    /// whole batch and are reused segment by segment, because lanes are at different images.
    func plan(batch: Int) -> ([Int: TrainingPlace], Int, Int) {
      var local: [ArenaLayout.Lifetime] = []
      var shared: [ArenaLayout.Lifetime] = []
      for (buffer, use) in byBuffer.sorted(by: { $0.key < $1.key }) {
        let image = use.stride * MemoryLayout<Float>.stride
        if use.segments.count == 1 && use.passImages > 0 && !use.isShared {
          local.append(.init(buffer: buffer, bytes: image * use.passImages, moments: use.items))
        } else {
          shared.append(.init(buffer: buffer, bytes: image * batch, moments: use.segments))
        }
      }
      let (lanes, whole) = (ArenaLayout(local), ArenaLayout(shared))
      var places = lanes.offsets.mapValues { TrainingPlace.lane($0) }
      places.merge(whole.offsets.mapValues { TrainingPlace.batch($0) }) { first, _ in first }
      return (places, whole.bytes, lanes.bytes)
    }
  }
}
