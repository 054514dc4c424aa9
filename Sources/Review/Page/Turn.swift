// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// Lets one at a time do something.
final class Turn: Sendable {
  private let lock = Mutex<Void>(())

  /// Waits for the others.
  func take<Result: Sendable>(_ body: () throws -> Result) throws -> Result {
    // The error travels as a value: a lock does not rethrow what it does not know.
    let outcome = lock.withLock { _ in Swift.Result { try body() } }
    return try outcome.get()
  }
}
