// SPDX-License-Identifier: Apache-2.0

import Glibc
import Synchronization
import SystemPackage
import ThawFiles

/// A thread that shows that this process is alive, by counting in a file: a process that was stopped or
/// whose machine has gone stops counting, one that computes for long does not.
///
/// The file is opened anew each time, which is what makes other hosts of a network file system see it.
final class Heartbeat: Sendable {
  private let file: FilePath
  private let isOver = Atomic<Bool>(false)

  /// Begins to write `file` every `interval` seconds: `text` and a number that grows.
  ///
  /// - Parameter isOurs: asked before each time with what is in the file; the thread ends when it says no.
  /// - Throws: `FileError` when it cannot be written now.
  init(
    _ file: FilePath, text: String, interval: Double,
    isOurs: @escaping @Sendable ([UInt8]) -> Bool = { _ in true }
  ) throws {
    self.file = file
    try Heartbeat.write(file, text, 0, making: true)
    let thread = Thread { [weak self] in
      var number = 0
      var next = interval
      let start = Heartbeat.now
      while let state = self.map({ !$0.isOver.load(ordering: .relaxed) }), state {
        usleep(50_000)
        guard Heartbeat.now - start >= next else { continue }
        next += interval
        number += 1
        if let bytes = try? FileSystem.read(file, limit: 4096), !isOurs(bytes) { return }
        // Never made anew: whoever removed it meant it.
        try? Heartbeat.write(file, text, number, making: false)
      }
    }
    thread.start()
  }

  deinit { stop() }

  /// Ends the thread and removes the file.
  func stop() {
    guard !isOver.exchange(true, ordering: .relaxed) else { return }
    try? FileSystem.remove(file)
  }

  private static func write(
    _ file: FilePath, _ text: String, _ number: Int, making: Bool
  ) throws {
    let open = try OpenFile(file, O_WRONLY | (making ? O_CREAT : 0), "create")
    defer { open.closeIgnoringErrors() }
    // Of one length, so that a reader never sees an end of an older text.
    let digits = String(number)
    let line =
      text + " " + String(repeating: "0", count: max(12 - digits.count, 0)) + digits + "\n"
    try Array(line.utf8).withUnsafeBytes { try open.write($0, at: 0) }
  }

  private static var now: Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + 1e-9 * Double(time.tv_nsec)
  }
}

/// A detached thread.
private struct Thread {
  private final class Body {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
  }
  private let body: Body

  init(_ body: @escaping @Sendable () -> Void) { self.body = Body(body) }

  func start() {
    var thread = pthread_t()
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    pthread_attr_setdetachstate(&attributes, CInt(PTHREAD_CREATE_DETACHED))
    // Signals are for the thread that computes.
    var (all, before) = (sigset_t(), sigset_t())
    sigfillset(&all)
    pthread_sigmask(SIG_SETMASK, &all, &before)
    let context = Unmanaged.passRetained(body).toOpaque()
    let status = pthread_create(
      &thread, &attributes,
      { context in
        guard let context else { return nil }
        Unmanaged<Body>.fromOpaque(context).takeRetainedValue().run()
        return nil
      }, context)
    pthread_sigmask(SIG_SETMASK, &before, nil)
    pthread_attr_destroy(&attributes)
    if status != 0 { Unmanaged<Body>.fromOpaque(context).release() }
  }
}
