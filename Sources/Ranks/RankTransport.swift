// SPDX-License-Identifier: Apache-2.0

/// Carries messages between the ranks of a job. Collectives are built on it (``RankGroup``), so that the
/// order of sums is ours whatever carries the bytes.
///
/// Messages between two ranks with one tag arrive in the order in which they were sent. Used from one
/// thread.
package protocol RankTransport: Sendable {
  /// Number of this process, 0-based.
  var rank: Int { get }
  /// Number of processes.
  var count: Int { get }
  /// What carries the messages, for people.
  var library: String { get }

  /// Begins to send; the bytes must stay as they are until the message is done.
  ///
  /// - Throws: ``RankError/lost(_:)``.
  func send(_ bytes: UnsafeRawBufferPointer, to rank: Int, tag: MessageTag) throws -> MessageHandle
  /// Begins to receive a message of exactly this size.
  ///
  /// - Throws: ``RankError/lost(_:)``.
  func receive(
    into bytes: UnsafeMutableRawBufferPointer, from rank: Int, tag: MessageTag
  ) throws -> MessageHandle
  /// Whether a message is done; its handle must not be used again then.
  ///
  /// - Throws: ``RankError/lost(_:)``.
  func isDone(_ message: MessageHandle) throws -> Bool
  /// Who has sent a message with this tag that is not received yet; nil when nobody has.
  func waitingSender(tag: MessageTag) throws -> Int?
  /// Waits for the others to come here too, and ends.
  func finish()
  /// Ends all ranks at once.
  func abort(_ code: Int32)
}

/// What a message is about.
package enum MessageTag: Int32, Sendable {
  /// A length before a message whose size the receiver does not know.
  case length = 1
  /// What a collective passes on.
  case collective
  /// Parts of a gradient, and their sums.
  case gradientPart, gradientSum
  /// Somebody asks all to stop.
  case stop
}

/// A message under way.
package struct MessageHandle: @unchecked Sendable {
  /// The transport's own name of it.
  package let name: UnsafeMutableRawPointer

  /// Wraps a transport's name.
  package init(_ name: UnsafeMutableRawPointer) { self.name = name }
}
