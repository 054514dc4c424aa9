// SPDX-License-Identifier: Apache-2.0

import Foundation
import Synchronization
package import ThawRanks

/// Messages between threads of one process that play the ranks of a job.
final class ThreadTransport: RankTransport, @unchecked Sendable {
  /// What lies between the ranks.
  final class Hub: Sendable {
    struct Key: Hashable {
      let from: Int
      let to: Int
      let tag: MessageTag
    }
    /// All messages in the order in which they were sent; one that was received is empty.
    let mail = Mutex<[Key: [[UInt8]]]>([:])
  }

  private final class Message {
    let isDone: () -> Bool
    init(_ isDone: @escaping () -> Bool) { self.isDone = isDone }
  }

  let rank: Int
  let count: Int
  let library = "threads"
  private let hub: Hub
  /// Messages asked for so far: they are given out in this order, whichever is looked at first.
  private var asked: [Hub.Key: Int] = [:]

  init(rank: Int, count: Int, hub: Hub) { (self.rank, self.count, self.hub) = (rank, count, hub) }

  private func handle(_ isDone: @escaping () -> Bool) -> MessageHandle {
    MessageHandle(Unmanaged.passRetained(Message(isDone)).toOpaque())
  }

  func send(
    _ bytes: UnsafeRawBufferPointer, to other: Int, tag: MessageTag
  ) -> MessageHandle {
    hub.mail.withLock {
      $0[.init(from: rank, to: other, tag: tag), default: []].append(Array(bytes))
    }
    return handle { true }
  }

  func receive(
    into bytes: UnsafeMutableRawBufferPointer, from other: Int, tag: MessageTag
  ) -> MessageHandle {
    let key = Hub.Key(from: other, to: rank, tag: tag)
    let number = asked[key, default: 0]
    asked[key] = number + 1
    let (hub, address) = (hub, bytes)
    return handle {
      hub.mail.withLock { mail in
        guard let sent = mail[key], sent.count > number else { return false }
        precondition(sent[number].count == address.count, "A message of another length arrived.")
        address.copyBytes(from: sent[number])
        mail[key]?[number] = []
        return true
      }
    }
  }

  func isDone(_ message: MessageHandle) -> Bool {
    let object = Unmanaged<Message>.fromOpaque(message.name)
    guard object.takeUnretainedValue().isDone() else { return false }
    object.release()
    return true
  }

  func waitingSender(tag: MessageTag) -> Int? {
    hub.mail.withLock { mail in
      (0..<count).first { other in
        let key = Hub.Key(from: other, to: rank, tag: tag)
        return (mail[key]?.count ?? 0) > asked[key, default: 0]
      }
    }
  }

  func finish() {}
  func abort(_ code: Int32) {}
}

/// Runs `body` as each of `count` ranks, on threads of their own, and returns what they return, by rank.
///
/// - Parameters:
///   - builds: what each rank says of itself; equal unless given.
///   - stallSeconds: see `RankGroup`.
package func asRanks<Result: Sendable>(
  _ count: Int, builds: [[String: String]]? = nil, stallSeconds: Double = 60,
  _ body: @escaping @Sendable (RankGroup) throws -> Result
) throws -> [Result] {
  let hub = ThreadTransport.Hub()
  let results = Mutex<[Int: Swift.Result<Result, any Error>]>([:])
  let group = DispatchGroup()
  for rank in 0..<count {
    group.enter()
    Thread.detachNewThread {
      let result = Swift.Result {
        try body(
          RankGroup(
            ThreadTransport(rank: rank, count: count, hub: hub),
            build: builds?[rank] ?? ["build": "one"], host: "host\(rank)",
            stallSeconds: stallSeconds))
      }
      results.withLock { $0[rank] = result }
      group.leave()
    }
  }
  group.wait()
  return try results.withLock { results in try (0..<count).compactMap { try results[$0]?.get() } }
}
