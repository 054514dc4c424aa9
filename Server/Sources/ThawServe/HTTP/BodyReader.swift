// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Hummingbird
import Synchronization

/// Reads bodies: each up to a limit, and all that are held at once up to another.
final class BodyReader: Sendable {
  /// The most bytes of one body.
  let limit: Int
  private let total: Int
  private let held = Mutex(0)

  init(limit: Int, total: Int) {
    self.limit = limit
    self.total = max(total, limit)
  }

  /// The bytes held now.
  var bytesHeld: Int { held.withLock { $0 } }

  /// A body, whose share of the total is given back when this goes.
  final class Body: Sendable {
    let bytes: [UInt8]
    private let reader: BodyReader
    private let share: Int

    init(_ bytes: [UInt8], share: Int, reader: BodyReader) {
      (self.bytes, self.share, self.reader) = (bytes, share, reader)
    }

    deinit { reader.give(back: share) }
  }

  /// - Throws: ``Refusal``, 413 or 503; errors of the connection.
  func read(_ request: Request) async throws -> Body {
    var declared: Int?
    if let text = request.headers[.contentLength] {
      guard let length = Int(text), length >= 0 else {
        throw Refusal.bad("'Content-Length: \(text.prefix(40))' is no number of bytes.")
      }
      guard length <= limit else { throw Refusal.large(limit) }
      declared = length
    }
    var share = 0
    do {
      var bytes: [UInt8] = []
      bytes.reserveCapacity(min(declared ?? 0, 4 << 20))
      for try await piece in request.body {
        let count = piece.readableBytes
        guard bytes.count + count <= limit else { throw Refusal.large(limit) }
        try take(count)
        share += count
        piece.withUnsafeReadableBytes { bytes.append(contentsOf: $0) }
      }
      if let declared, bytes.count != declared {
        throw Refusal.bad("The body ended after \(bytes.count) of \(declared) bytes.")
      }
      return Body(bytes, share: share, reader: self)
    } catch {
      give(back: share)
      throw error
    }
  }

  private func take(_ count: Int) throws {
    let fits = held.withLock { held in
      guard held + count <= total else { return false }
      held += count
      return true
    }
    if !fits {
      throw Refusal.later(
        .serviceUnavailable, "Other requests fill the memory that bodies may take. Try again later."
      )
    }
  }

  fileprivate func give(back count: Int) { held.withLock { $0 -= count } }
}
