// SPDX-License-Identifier: Apache-2.0

import Glibc
import Synchronization

/// Whether the user asked to stop (SIGINT, SIGTERM or SIGHUP).
///
/// The handler only sets a flag; stages look at it between two photos or two batches, save what they
/// have and throw ``PipelineError/interrupted``. A second signal ends the process at once, which is
/// as safe as a kill: files appear complete or not at all.
package enum Interruption {
  private static let requested = Atomic<Bool>(false)

  /// Installs the handlers. Also turns the signals of a broken pipe and of a file-size limit into
  /// ordinary errors of `write`.
  package static func install() {
    var handled = sigset_t()
    sigemptyset(&handled)
    for number in [SIGINT, SIGTERM, SIGHUP] where !isLeftToNohup(number) {
      signal(number) { _ in
        if Interruption.requested.exchange(true, ordering: .relaxed) { _exit(130) }
      }
      sigaddset(&handled, number)
    }
    // A parent that starts programs from a thread pool hands its blocked signals down.
    pthread_sigmask(SIG_UNBLOCK, &handled, nil)
    signal(SIGPIPE, SIG_IGN)
    signal(SIGXFSZ, SIG_IGN)
  }

  /// Whether the program was started so that it outlives its terminal (`nohup`).
  private static func isLeftToNohup(_ number: Int32) -> Bool {
    var action = sigaction()
    return number == SIGHUP && sigaction(number, nil, &action) == 0
      && unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self)
        == unsafeBitCast(SIG_IGN, to: Int.self)
  }

  /// Whether a stop was asked for.
  package static var isRequested: Bool { requested.load(ordering: .relaxed) }

  /// - Throws: ``PipelineError/interrupted`` when a stop was asked for.
  package static func check() throws(PipelineError) {
    if isRequested { throw .interrupted }
  }
}
