// SPDX-License-Identifier: Apache-2.0

import Glibc
import Synchronization
import Testing
import ThawOneDNN

/// The threads that work on lanes: every share is done once.
@Suite(.serialized) struct TeamTests {
  @Test(arguments: [1, 2, 3, 7, 64])
  func everyShareIsDoneOnce(shares: Int) {
    let counts = (0..<shares).map { _ in Counter() }
    for _ in 0..<200 { ComputeThreads.share(shares) { counts[$0].add() } }
    #expect(counts.allSatisfy { $0.value == 200 })
  }

  @Test func severalCallersGetTheirOwnShares() async {
    let counts = (0..<6).map { _ in Counter() }
    await withTaskGroup(of: Void.self) { group in
      for caller in 0..<6 {
        group.addTask {
          for round in 0..<500 {
            ComputeThreads.share(1 + (caller + round) % 4) { _ in counts[caller].add() }
          }
        }
      }
    }
    for (caller, count) in counts.enumerated() {
      #expect(count.value == (0..<500).reduce(0) { $0 + 1 + (caller + $1) % 4 })
    }
  }

  @Test func theOthersHelp() {
    let threads = Mutex<Set<UInt>>([])
    // Long enough for a sleeping thread to wake on a busy machine.
    ComputeThreads.share(4) { _ in
      usleep(50_000)
      _ = threads.withLock { $0.insert(UInt(pthread_self())) }
    }
    #expect(threads.withLock(\.count) >= 2)
  }

  private final class Counter: Sendable {
    private let count = Atomic<Int>(0)
    var value: Int { count.load(ordering: .relaxed) }
    func add() { count.add(1, ordering: .relaxed) }
  }
}
