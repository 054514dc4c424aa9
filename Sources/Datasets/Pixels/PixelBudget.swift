// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// Room for the pixels of photos, shared by all stores of a training.
package final class PixelBudget: Sendable {
  /// Bytes of memory, all stores together.
  package let memory: Int
  /// Bytes of disk, all stores together.
  package let disk: Int
  private let left: Mutex<(memory: Int, disk: Int)>

  /// - Parameters:
  ///   - memory: bytes of memory; 0 keeps nothing there.
  ///   - disk: bytes of files; 0 writes none.
  package init(memory: Int, disk: Int) {
    precondition(memory >= 0 && disk >= 0, "A budget cannot be \(memory) and \(disk) bytes.")
    (self.memory, self.disk) = (memory, disk)
    left = Mutex((memory, disk))
  }

  /// Takes memory, if there is so much left.
  func takeMemory(_ bytes: Int) -> Bool {
    left.withLock { left in
      guard left.memory >= bytes else { return false }
      left.memory -= bytes
      return true
    }
  }

  /// Takes disk, if there is so much left.
  func takeDisk(_ bytes: Int) -> Bool {
    left.withLock { left in
      guard left.disk >= bytes else { return false }
      left.disk -= bytes
      return true
    }
  }

  /// Gives both back.
  func giveBack(memory: Int, disk: Int) {
    left.withLock { left in
      left.memory += memory
      left.disk += disk
    }
  }
}
