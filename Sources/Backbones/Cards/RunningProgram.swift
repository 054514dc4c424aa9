// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Subprocess
import Synchronization

/// What the thread that waits for a program and the task that runs it know of each other.
final class RunningProgram: Sendable {
  private struct State {
    var send: (@Sendable (Signal) -> Void)?
    var last: Signal?
    var result: Result<ChildProgram.Outcome, any Error>?
  }

  private let state = Mutex(State())
  private let hasEnded = DispatchSemaphore(value: 0)

  /// From now on signals go through `send`, until this is called with nil; it is never called
  /// afterwards, when the process number may be another program's.
  func begin(_ send: (@Sendable (Signal) -> Void)?) { state.withLock { $0.send = send } }

  /// Sends `signal`, once. Whether there was a program to send it to.
  func send(_ signal: Signal) -> Bool {
    state.withLock { state in
      guard let send = state.send else { return false }
      if state.last != signal { send(signal) }
      state.last = signal
      return true
    }
  }

  /// The program has ended so, or could not be started.
  func end(_ result: Result<ChildProgram.Outcome, any Error>) {
    state.withLock { $0.result = result }
    hasEnded.signal()
  }

  /// How it ended; nil if it has not after `time`.
  func result(within time: DispatchTimeInterval) -> Result<ChildProgram.Outcome, any Error>? {
    guard hasEnded.wait(timeout: .now() + time) == .success else { return nil }
    return state.withLock { $0.result }
  }
}

/// A thread for tasks that must go on while others block Swift's pool.
final class ChildProgramQueue: TaskExecutor {
  static let shared = ChildProgramQueue()
  private let queue = DispatchQueue(label: "thaw.child-program")

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    queue.async { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
  }
}
