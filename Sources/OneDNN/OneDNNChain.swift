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
  /// Works on the memory of the instruction's arguments, in their order; returns a status.
  func run(_ addresses: UnsafePointer<UnsafeMutableRawPointer?>) -> CInt
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

  let work: Work
  let arguments: [(role: Int, operand: ChainOperand)]
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
    self.arguments = arguments.map { (Int($0.0.rawValue) + $0.1, $0.2) }
  }

  /// A step on these arguments, in its own order.
  init(
    _ operation: String, _ layer: ParameterPath, _ step: any ChainStep, _ arguments: [ChainOperand]
  ) {
    self.operation = operation
    self.layer = layer
    work = .step(ChainStepBox(step))
    self.arguments = arguments.map { (Int(THAW_DNNL_SOURCE.rawValue), $0) }
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
final class OneDNNChain {
  let handle: OpaquePointer
  /// Kept alive: the C side borrows their primitives, layouts and constants.
  let instructions: [ChainInstruction]
  private let scratchpads: [OneDNNLayout?]
  /// Memory of one lane.
  let arenaBytes: Int

  /// Plans the memory of `instructions` and binds every argument.
  ///
  /// - Parameters:
  ///   - buffers: bytes and place of each buffer.
  init(
    _ instructions: [ChainInstruction], buffers: [(bytes: Int, place: BufferPlace)],
    inputBytes: Int, outputBytes: Int
  ) throws {
    self.instructions = instructions
    var lifetimes: [ArenaLayout.Lifetime] = []
    for (index, buffer) in buffers.enumerated() where buffer.place == .arena {
      let uses = instructions.indices.filter { instructions[$0].buffers.contains(index) }
      guard let first = uses.first, let last = uses.last else { continue }
      lifetimes.append(.init(buffer: index, bytes: buffer.bytes, moments: first...last))
    }
    let layout = ArenaLayout(lifetimes)
    scratchpads = try instructions.map { try $0.scratchpad() }
    let scratchpadOffset = layout.bytes
    arenaBytes = layout.bytes + (scratchpads.compactMap { $0?.bytes }.max() ?? 0)
    handle = try make("chain", nil) { [arenaBytes] in
      thaw_dnnl_chain_create($0, arenaBytes, inputBytes, outputBytes)
    }
    for (instruction, scratchpad) in zip(instructions, scratchpads) {
      var arguments = instruction.arguments.map { role, operand in
        OneDNNChain.argument(role, operand, buffers: buffers, offsets: layout.offsets)
      }
      if let scratchpad, scratchpad.bytes > 0 {
        arguments.append(
          thaw_dnnl_argument(
            role: CInt(THAW_DNNL_SCRATCHPAD.rawValue), layout: scratchpad.handle,
            place: THAW_DNNL_IN_ARENA, offset: scratchpadOffset, address: nil))
      }
      try append(instruction, arguments)
    }
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
    _ role: Int, _ operand: ChainOperand, buffers: [(bytes: Int, place: BufferPlace)],
    offsets: [Int: Int]
  ) -> thaw_dnnl_argument {
    var result = thaw_dnnl_argument()
    result.role = CInt(role)
    switch operand {
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
      result.offset = offsets[tensor.buffer] ?? 0
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
