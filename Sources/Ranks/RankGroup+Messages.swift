// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import ThawFiles

/// A message and the rank at its other end.
typealias Waiting = (message: MessageHandle, other: Int)

// Collectives, each a plain pattern of messages: everybody gets the same in the same order.
extension RankGroup {
  /// Everybody's value, by rank.
  ///
  /// - Parameter isIdle: whether the others may take any time to come here, as long as they show that they are
  ///   alive.
  /// - Throws: ``RankError/lost(_:)``.
  package func gather<Value: Codable>(_ own: Value, isIdle: Bool = false) throws -> [Value] {
    guard hasOthers else { return [own] }
    let bytes = Array(try JSONEncoder().encode([own]))
    let all = try gather(bytes: bytes, isIdle: isIdle)
    return try all.enumerated().map { rank, bytes in
      guard rank != self.rank else { return own }
      guard let value = try JSONDecoder().decode([Value].self, from: Data(bytes)).first else {
        throw RankError.lost("\(name(of: rank)): sent an empty message.")
      }
      return value
    }
  }

  /// The leader's value; the others wait for it for any time, as long as it shows that it is alive.
  ///
  /// - Parameter own: what is told, on the leader; without meaning elsewhere.
  /// - Throws: ``RankError/lost(_:)``.
  package func told<Value: Codable>(_ own: Value) throws -> Value {
    guard hasOthers else { return own }
    guard isLeader else {
      return try JSONDecoder().decode(Value.self, from: Data(try receive(from: 0, isIdle: true)))
    }
    let bytes = Array(try JSONEncoder().encode(own))
    for other in 1..<count { try send(bytes, to: other) }
    return own
  }

  /// Everybody's bytes, by rank.
  func gather(bytes own: [UInt8], isIdle: Bool = false) throws -> [[UInt8]] {
    var sent: [Waiting] = []
    let memory = Outgoing(own)
    for other in 0..<count where other != rank {
      sent.append(try sending(memory.length, to: other, tag: .length))
      sent.append(try sending(memory.bytes, to: other, tag: .collective))
    }
    let all = try (0..<count).map { $0 == rank ? own : try receive(from: $0, isIdle: isIdle) }
    try wait(for: sent, isIdle: isIdle)
    withExtendedLifetime(memory) {}
    return all
  }

  /// Waits until every rank is here.
  package func meet() throws {
    guard isInJob else { return }
    _ = try gather(bytes: [])
  }

  /// Sends bytes of any number; returns when they may be changed.
  func send(_ bytes: [UInt8], to other: Int) throws {
    let memory = Outgoing(bytes)
    try wait(for: [
      sending(memory.length, to: other, tag: .length),
      sending(memory.bytes, to: other, tag: .collective),
    ])
    withExtendedLifetime(memory) {}
  }

  /// Receives what ``send(_:to:)`` sent.
  ///
  /// - Parameter isIdle: whether the sender may take any time, as long as it shows that it is alive.
  func receive(from other: Int, isIdle: Bool = false) throws -> [UInt8] {
    guard let transport else { return [] }
    var length = UInt64(0)
    try withUnsafeMutableBytes(of: &length) { bytes in
      try wait(
        for: [(transport.receive(into: bytes, from: other, tag: .length), other)], isIdle: isIdle)
    }
    guard length <= 1 << 30 else {
      throw RankError.lost("\(name(of: other)): announced a message of \(length) bytes.")
    }
    var result = [UInt8](repeating: 0, count: Int(length))
    try result.withUnsafeMutableBytes { bytes in
      try wait(for: [(transport.receive(into: bytes, from: other, tag: .collective), other)])
    }
    return result
  }

  /// Gives everybody the parts of `values` that each rank has computed.
  ///
  /// - Parameter ranges: what each rank has, by rank; together all of `values`.
  package func share<Number: BitwiseCopyable>(
    _ values: UnsafeMutableBufferPointer<Number>, ranges: [Range<Int>]
  ) throws {
    guard hasOthers, let transport else { return }
    var waiting: [Waiting] = []
    for other in 0..<count where other != rank {
      for piece in pieces(of: ranges[other]) {
        let bytes = UnsafeMutableRawBufferPointer(
          UnsafeMutableBufferPointer(rebasing: values[piece]))
        waiting.append(
          (try transport.receive(into: bytes, from: other, tag: .collective), other))
      }
      for piece in pieces(of: ranges[rank]) {
        let bytes = UnsafeRawBufferPointer(UnsafeMutableBufferPointer(rebasing: values[piece]))
        waiting.append((try transport.send(bytes, to: other, tag: .collective), other))
      }
    }
    try wait(for: waiting)
  }

  /// Numbers of a message: 4 MB.
  static let bucket = 1 << 20

  /// A range cut into messages.
  func pieces(of range: Range<Int>) -> [Range<Int>] {
    stride(from: range.lowerBound, to: range.upperBound, by: RankGroup.bucket).map {
      $0..<min($0 + RankGroup.bucket, range.upperBound)
    }
  }

  /// Memory that stays in place while it is sent.
  private final class Outgoing {
    let length: UnsafeMutableRawBufferPointer
    let bytes: UnsafeMutableRawBufferPointer

    init(_ content: [UInt8]) {
      length = .allocate(byteCount: 8, alignment: 8)
      length.storeBytes(of: UInt64(content.count), as: UInt64.self)
      bytes = .allocate(byteCount: content.count, alignment: 8)
      bytes.copyBytes(from: content)
    }

    deinit {
      length.deallocate()
      bytes.deallocate()
    }
  }

  private func sending(
    _ bytes: UnsafeMutableRawBufferPointer, to other: Int, tag: MessageTag
  ) throws -> Waiting {
    guard let transport else { preconditionFailure("A lone process has nobody to send to.") }
    return (try transport.send(UnsafeRawBufferPointer(bytes), to: other, tag: tag), other)
  }

  /// Begins to send one constant byte.
  func sendStop(to other: Int) throws -> Waiting {
    guard let transport else { preconditionFailure("A lone process has nobody to send to.") }
    return (try transport.send(RankGroup.oneByte.bytes, to: other, tag: .stop), other)
  }

  private static let oneByte = ConstantByte()

  private struct ConstantByte: @unchecked Sendable {
    let bytes: UnsafeRawBufferPointer
    init() {
      let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 1, alignment: 1)
      memory[0] = 1
      bytes = UnsafeRawBufferPointer(memory)
    }
  }
}
