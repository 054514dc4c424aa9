// SPDX-License-Identifier: Apache-2.0

import CThawOneDNN
import ThawExecution

extension ChainInstruction {
  /// This instruction as at most `count` that may run at the same time and together compute its bits; itself
  /// alone where it cannot be cut, or is too small for that to pay.
  ///
  /// Results are cut, sums never: into blocks of channels, rows, heads. A part is an instruction of its own
  /// on a piece of the whole's memory, so nothing is copied.
  ///
  /// - Parameter buffers: gets memory for what parts may not share.
  func parts(
    _ count: Int, buffers: inout [(bytes: Int, place: BufferPlace)]
  ) throws -> [ChainInstruction] {
    switch work {
    case .primitive(let primitive):
      let ranges = Self.shares(of: primitive.units, among: min(count, primitive.mostParts))
      guard ranges.count > 1 else { return [self] }
      let parts = try ifAvailable { try ranges.map { try primitive.part($0) } }
      guard let parts, try primitive.isProven || primitive.agrees(with: parts) else {
        return [self]
      }
      return try parts.map(part)
    case .step(let box):
      let ranges = Self.shares(of: box.step.units, among: min(count, box.step.mostParts))
      guard ranges.count > 1 else { return [self] }
      return ranges.enumerated().map { index, range in
        part(box.step.part(range), ownsScratch: index > 0, box.step.scratch, &buffers)
      }
    }
  }

  /// Whether its kernel is one of which it is not known that parts give the bits of the whole, so that they
  /// have to be tried, which takes a moment.
  var needsTrial: Bool {
    guard case .primitive(let primitive) = work else { return false }
    return primitive.mostParts > 1 && !primitive.isProven
  }

  /// Whether `count` parts of a convolution give its bits where it is tried; nil where it is not cut.
  ///
  /// - Parameter dropped: how many of the parts are left out, which has to be noticed.
  func partsAgree(_ count: Int, leavingOut dropped: Int) throws -> Bool? {
    guard case .primitive(let primitive) = work, operation == "convolution" else { return nil }
    let ranges = Self.shares(of: primitive.units, among: min(count, primitive.mostParts))
    guard ranges.count > 1,
      let parts = try ifAvailable({ try ranges.map { try primitive.part($0) } })
    else { return nil }
    return try primitive.agrees(with: parts.dropLast(dropped))
  }

  /// `units` in at most `count` ranges of about the same length.
  private static func shares(of units: Int, among count: Int) -> [Range<Int>] {
    let count = max(min(units, count), 1)
    return (0..<count).map { $0 * units / count..<($0 + 1) * units / count }
  }

  /// The arguments of `primitive` lie within those of the whole.
  private func part(_ primitive: OneDNNPrimitive) throws -> ChainInstruction {
    let arguments = try arguments.map { argument -> Argument in
      let layout = try primitive.layout(role: argument.role)
      let operand: ChainOperand =
        switch argument.operand {
        case .tensor(let tensor): .tensor(ChainTensor(buffer: tensor.buffer, layout: layout))
        case .constant(let block, _): .constant(block, layout)
        }
      return (argument.role, operand, argument.offset + primitive.offset(role: argument.role))
    }
    return ChainInstruction(of: self, .primitive(primitive), arguments)
  }

  private func part(
    _ step: any ChainStep, ownsScratch: Bool, _ scratch: [Int],
    _ buffers: inout [(bytes: Int, place: BufferPlace)]
  ) -> ChainInstruction {
    var own = arguments
    for index in scratch where ownsScratch {
      guard case .tensor(let tensor) = own[index].operand else { continue }
      buffers.append((tensor.layout.bytes, .arena))
      own[index].operand = .tensor(
        ChainTensor(buffer: buffers.count - 1, layout: tensor.layout))
    }
    return ChainInstruction(of: self, .step(ChainStepBox(step)), own)
  }
}

extension OneDNNPrimitive {
  /// See ``ChainStep/units``.
  fileprivate var units: Int { Int(thaw_dnnl_primitive_units(handle)) }
  /// See ``ChainStep/mostParts``.
  fileprivate var mostParts: Int { Int(thaw_dnnl_primitive_most_parts(handle)) }

  /// The primitive that computes these units.
  ///
  /// - Throws: ``ExecutionError/unsupported(operation:layer:engine:)`` where it has no such kernel.
  fileprivate func part(_ units: Range<Int>) throws(ExecutionError) -> OneDNNPrimitive {
    try OneDNNPrimitive("part of an operation", layer) { [handle] in
      thaw_dnnl_primitive_part($0, handle, Int64(units.lowerBound), Int64(units.count))
    }
  }

  fileprivate var isProven: Bool { thaw_dnnl_primitive_is_proven(handle) }

  /// Whether these parts give the bits of the whole where it is tried.
  fileprivate func agrees(with parts: [OneDNNPrimitive]) throws(ExecutionError) -> Bool {
    let handles: [OpaquePointer?] = parts.map(\.handle)
    var agree = false
    let status = thaw_dnnl_parts_agree(handle, handles, CInt(handles.count), &agree)
    try check(status, "trial of parts", layer)
    return agree
  }

  fileprivate func offset(role: Int) -> Int {
    thaw_dnnl_primitive_offset(handle, CInt(role))
  }
}
