// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A lock with a condition: threads wait until another one has changed what the lock protects.
package final class Monitor: @unchecked Sendable {
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

  package init() {
    mutex.initialize(to: pthread_mutex_t())
    condition.initialize(to: pthread_cond_t())
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(condition, nil)
  }

  deinit {
    pthread_mutex_destroy(mutex)
    pthread_cond_destroy(condition)
    mutex.deallocate()
    condition.deallocate()
  }

  /// Runs `body` while no other thread is inside.
  package func sync<Result>(_ body: () throws -> Result) rethrows -> Result {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return try body()
  }

  /// Inside ``sync(_:)``: lets the others in until one calls ``wakeAll()``. Returns for no reason
  /// now and then, so ask again.
  package func wait() { pthread_cond_wait(condition, mutex) }

  /// Inside ``sync(_:)``: makes the waiting threads look again.
  package func wakeAll() { pthread_cond_broadcast(condition) }
}
