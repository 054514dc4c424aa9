// SPDX-License-Identifier: Apache-2.0

import CThawOneDNN
import ThawExecution
import ThawNetwork

/// Where the bytes of a buffer live while a chain runs.
enum BufferPlace {
  case arena
  case input
  case output
}

/// A tensor in a chain: which buffer holds it, in which layout.
struct ChainTensor {
  let buffer: Int
  let layout: OneDNNLayout
}

/// What a kernel reads or writes.
enum ChainOperand {
  case tensor(ChainTensor)
  case constant(OneDNNBlock, OneDNNLayout)
}

/// Work in a chain that the library has no kernel for. Immutable: many lanes run it at once.
protocol ChainStep: AnyObject, Sendable {
  /// For profiles.
  var kernel: String { get }
  /// Into how many pieces its result may be cut that are computed by themselves, to the same bits.
  var units: Int { get }
  /// Into how many that is worth it.
  var mostParts: Int { get }
  /// The arguments that hold nothing before and behind it: each part has its own.
  var scratch: [Int] { get }
  /// The step that computes these units on the same arguments.
  func part(_ units: Range<Int>) -> any ChainStep
  /// Works on the memory of the instruction's arguments, in their order; returns a status.
  func run(_ addresses: UnsafePointer<UnsafeMutableRawPointer?>) -> CInt
}

extension ChainStep {
  var units: Int { 1 }
  var mostParts: Int { units }
  var scratch: [Int] { [] }
  func part(_ units: Range<Int>) -> any ChainStep { self }
}

/// A step at an address of its own, as the C side keeps it.
final class ChainStepBox {
  let step: any ChainStep
  init(_ step: any ChainStep) { self.step = step }
}

/// One kernel call.
struct ChainInstruction {
  /// What is called.
  enum Work {
    case primitive(OneDNNPrimitive)
    case step(ChainStepBox)

    /// The library's name of the kernel, or the step's own.
    var kernel: String {
      switch self {
      case .primitive(let primitive): primitive.kernel
      case .step(let box): box.step.kernel
      }
    }
  }

  /// What a kernel reads or writes, `offset` bytes behind the operand's beginning.
  typealias Argument = (role: Int, operand: ChainOperand, offset: Int)

  let work: Work
  let arguments: [Argument]
  let layer: ParameterPath
  /// For profiles and messages, for example `convolution`.
  let operation: String

  init(
    _ operation: String, _ layer: ParameterPath, _ primitive: OneDNNPrimitive,
    _ arguments: [(thaw_dnnl_role, Int, ChainOperand)]
  ) {
    self.operation = operation
    self.layer = layer
    work = .primitive(primitive)
    self.arguments = arguments.map { (Int($0.0.rawValue) + $0.1, $0.2, 0) }
  }

  /// A part of `whole`.
  init(of whole: ChainInstruction, _ work: Work, _ arguments: [Argument]) {
    (operation, layer) = (whole.operation, whole.layer)
    (self.work, self.arguments) = (work, arguments)
  }

  /// A step on these arguments, in its own order.
  init(
    _ operation: String, _ layer: ParameterPath, _ step: any ChainStep, _ arguments: [ChainOperand]
  ) {
    self.operation = operation
    self.layer = layer
    work = .step(ChainStepBox(step))
    self.arguments = arguments.map { (Int(THAW_DNNL_SOURCE.rawValue), $0, 0) }
  }

  /// Compiles its kernel now.
  func compile() throws(ExecutionError) {
    guard case .primitive(let primitive) = work else { return }
    try check(thaw_dnnl_primitive_compile(primitive.handle), operation, layer)
  }

  /// What the library's kernel needs while it runs; nil for a step, which has it among its arguments.
  func scratchpad() throws(ExecutionError) -> OneDNNLayout? {
    guard case .primitive(let primitive) = work else { return nil }
    return try primitive.layout(THAW_DNNL_SCRATCHPAD)
  }

  /// The buffers it touches.
  var buffers: [Int] {
    arguments.compactMap { if case .tensor(let tensor) = $0.operand { tensor.buffer } else { nil } }
  }
}

/// Kernel calls in order, on memory planned beforehand, for passes of a fixed number of images.
///
/// Nothing in it changes once it is made; what a pass writes is in an ``OneDNNLane``.
final class OneDNNChain: @unchecked Sendable {
  let handle: OpaquePointer
  /// Kept alive: the C side borrows their primitives, layouts and constants.
  let instructions: [ChainInstruction]
  private let scratchpads: [OneDNNLayout?]
  /// Memory of one lane.
  let arenaBytes: Int
  /// How many kernel calls each turn has.
  let partCounts: [Int]

  /// Plans the memory of `turns` and binds every argument.
  ///
  /// - Parameters:
  ///   - turns: kernel calls that may be made at the same time, in the order of the turns.
  ///   - buffers: bytes and place of each buffer.
  init(
    _ turns: [[ChainInstruction]], buffers: [(bytes: Int, place: BufferPlace)],
    inputBytes: Int, outputBytes: Int
  ) throws {
    instructions = turns.flatMap(\.self)
    partCounts = turns.map(\.count)
    let layout = OneDNNChain.arena(turns, buffers)
    scratchpads = try instructions.map { try $0.scratchpad() }
    let places = OneDNNChain.places(of: scratchpads, turns, behind: layout.bytes)
    arenaBytes = places.end
    handle = try make("chain", nil) { [arenaBytes] in
      thaw_dnnl_chain_create($0, arenaBytes, inputBytes, outputBytes)
    }
    var index = 0
    for turn in turns {
      for instruction in turn {
        var arguments = instruction.arguments.map {
          OneDNNChain.argument($0, buffers: buffers, offsets: layout.offsets)
        }
        if let scratchpad = scratchpads[index], scratchpad.bytes > 0 {
          arguments.append(
            thaw_dnnl_argument(
              role: CInt(THAW_DNNL_SCRATCHPAD.rawValue), layout: scratchpad.handle,
              place: THAW_DNNL_IN_ARENA, offset: places.offsets[index], address: nil))
        }
        try append(instruction, arguments)
        index += 1
      }
      try check(thaw_dnnl_chain_end_turn(handle), "chain", nil)
    }
  }

  /// Where the buffers lie: one is in use from the first turn that touches it to the last.
  private static func arena(
    _ turns: [[ChainInstruction]], _ buffers: [(bytes: Int, place: BufferPlace)]
  ) -> ArenaLayout {
    var moments: [Int: ClosedRange<Int>] = [:]
    for (turn, instructions) in turns.enumerated() {
      for buffer in instructions.flatMap(\.buffers) {
        moments[buffer] = (moments[buffer]?.lowerBound ?? turn)...turn
      }
    }
    return ArenaLayout(
      buffers.enumerated().compactMap { index, buffer in
        guard buffer.place == .arena, let moments = moments[index] else { return nil }
        return ArenaLayout.Lifetime(buffer: index, bytes: buffer.bytes, moments: moments)
      })
  }

  /// Where scratchpads lie: those of one turn beside each other, in the same memory for all turns.
  private static func places(
    of scratchpads: [OneDNNLayout?], _ turns: [[ChainInstruction]], behind start: Int
  ) -> (offsets: [Int], end: Int) {
    var (offsets, end) = ([Int](), start)
    for turn in turns {
      var offset = start
      for _ in turn {
        offsets.append(offset)
        // Pages apart, so that no two threads write to one cache line.
        offset += ((scratchpads[offsets.count - 1]?.bytes ?? 0) + 4095) & ~4095
        end = max(end, offset)
      }
    }
    return (offsets, end)
  }

  private func append(
    _ instruction: ChainInstruction, _ arguments: [thaw_dnnl_argument]
  ) throws(ExecutionError) {
    let status =
      switch instruction.work {
      case .primitive(let primitive):
        thaw_dnnl_chain_append(handle, primitive.handle, arguments, CInt(arguments.count))
      case .step(let box):
        thaw_dnnl_chain_append_step(
          handle,
          { context, addresses in
            guard let context, let addresses else { return CInt(THAW_DNNL_OUT_OF_MEMORY) }
            return Unmanaged<ChainStepBox>.fromOpaque(context).takeUnretainedValue().step.run(
              addresses)
          }, Unmanaged.passUnretained(box).toOpaque(), arguments, CInt(arguments.count))
      }
    try check(status, instruction.operation, instruction.layer)
  }

  deinit { thaw_dnnl_chain_destroy(handle) }

  private static func argument(
    _ argument: ChainInstruction.Argument, buffers: [(bytes: Int, place: BufferPlace)],
    offsets: [Int: Int]
  ) -> thaw_dnnl_argument {
    var result = thaw_dnnl_argument()
    result.role = CInt(argument.role)
    result.offset = argument.offset
    switch argument.operand {
    case .constant(let block, let layout):
      result.layout = layout.handle
      result.place = THAW_DNNL_AT_ADDRESS
      result.address = UnsafeRawPointer(block.address)
    case .tensor(let tensor):
      result.layout = tensor.layout.handle
      switch buffers[tensor.buffer].place {
      case .arena: result.place = THAW_DNNL_IN_ARENA
      case .input: result.place = THAW_DNNL_AT_INPUT
      case .output: result.place = THAW_DNNL_AT_OUTPUT
      }
      result.offset += offsets[tensor.buffer] ?? 0
    }
    return result
  }

  /// Turns a failure of kernel call `failed` into an error.
  func verify(_ status: CInt, failed: CInt) throws(ExecutionError) {
    guard status != 0 else { return }
    let index = Int(failed)
    let instruction = instructions.indices.contains(index) ? instructions[index] : nil
    try check(status, instruction?.operation ?? "chain", instruction?.layer)
  }
}
