// SPDX-License-Identifier: Apache-2.0

import Glibc
import ThawFiles

extension RankGroup {
  /// Waits until messages are done.
  ///
  /// Whoever is waited for and gives no sign of life for ``stallSeconds`` ends the job, by name. One that
  /// is alive may take ten times as long, or, where `isIdle`, any time.
  ///
  /// - Throws: ``RankError/lost(_:)``.
  func wait(for waiting: [Waiting], isIdle: Bool = false) throws {
    guard let transport else { return }
    var open = waiting
    var watch: StallWatch?
    var turns = 0
    while true {
      open = try open.filter { try !transport.isDone($0.message) }
      if open.isEmpty { return }
      turns += 1
      // Messages move only while somebody asks for them; but a core may be another rank's.
      if turns < 200 {
        sched_yield()
      } else {
        usleep(isIdle ? 2000 : 20)
      }
      guard turns % 64 == 0 else { continue }
      if watch == nil { watch = StallWatch(now: RankGroup.now) }
      try watch?.look(self, at: Set(open.map(\.other)), isIdle: isIdle)
    }
  }

  static var now: Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + 1e-9 * Double(time.tv_nsec)
  }
}

/// Looks, while a rank waits, whether those it waits for are alive.
private struct StallWatch {
  private let start: Double
  private var windowStart: Double
  private var signs: [Int: [UInt8]?] = [:]

  init(now: Double) { (start, windowStart) = (now, now) }

  mutating func look(_ group: RankGroup, at others: Set<Int>, isIdle: Bool) throws {
    let now = RankGroup.now
    let elapsed = now - windowStart
    // Signs are taken early in a window and compared at its end: no clock is compared with another's.
    if signs.isEmpty, elapsed >= group.stallSeconds / 10 {
      for other in others { signs[other] = .some(group.sign(of: other)) }
    }
    // Lower ranks speak first, so that one line is printed and not one a rank.
    let patience = group.stallSeconds + min(0.2 * Double(group.rank), 5)
    guard elapsed >= patience else { return }
    let silent = others.filter { other in
      guard let before = signs[other], let sign = before else { return false }
      return group.sign(of: other) == sign
    }
    if !silent.isEmpty { throw stalled(group, silent, "has given no sign of life for", elapsed) }
    if !isIdle, now - start >= 10 * group.stallSeconds {
      throw stalled(group, others, "is alive, but has not answered for", now - start)
    }
    (windowStart, signs) = (now, [:])
  }

  private func stalled(
    _ group: RankGroup, _ ranks: Set<Int>, _ what: String, _ seconds: Double
  ) -> RankError {
    let names = ranks.sorted().map(group.name(of:)).joined(separator: ", ")
    return .lost(
      "\(names) \(what) \(Int(seconds.rounded())) s. Look at that machine, then give the same command"
        + " again: it continues, also on other machines and another number of ranks.")
  }
}
