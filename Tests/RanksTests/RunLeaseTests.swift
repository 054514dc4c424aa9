// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import Testing
import ThawFiles
import ThawRanks
import ThawTestSupport

@Suite struct RunLeaseTests {
  private func reason(_ directory: FilePath, kernel: String) -> FileError.Reason? {
    do {
      _ = try RunLease(directory, isShared: true, interval: 0.3, host: "here", kernel: kernel)
      return nil
    } catch { return (error as? FileError)?.reason }
  }

  @Test func aLeaseThatBeatsOnAnotherMachineIsRefusedByItsHost() throws {
    let directory = try TemporaryDirectory()
    // A process of another machine, whose lock the file system does not pass on.
    let other = Process()
    other.executableURL = URL(fileURLWithPath: "/bin/sh")
    let file = directory.path.appending(".lease").string
    other.arguments = [
      "-c",
      "i=0; while :; do i=$((i+1)); echo \"kernel2 4711 node7 $i\" > '\(file)'; sleep 0.1; done",
    ]
    try other.run()
    defer { other.terminate() }
    while !FileSystem.exists(directory.path.appending(".lease")) { usleep(1000) }
    let found = reason(directory.path, kernel: "kernel1")
    #expect(found == .inUseElsewhere(process: 4711, host: "node7"))
    #expect(
      found?.text("lock")
        == "in use by process 4711 on node7. Wait for it or use another run directory.")
  }

  @Test func aLeaseThatWasLeftBehindIsTakenOver() throws {
    let directory = try TemporaryDirectory()
    let file = directory.path.appending(".lease")
    try AtomicFile.write(file, text: "kernel2 4711 node7 000000000012\n")
    let lease = try RunLease(
      directory.path, isShared: true, interval: 0.3, host: "here", kernel: "kernel1")
    let first = String(decoding: try FileSystem.read(file), as: UTF8.self)
    #expect(first.hasPrefix("kernel1 \(getpid()) here "))
    // It beats.
    var now = first
    for _ in 0..<200 where now == first {
      usleep(20_000)
      now = String(decoding: (try? FileSystem.read(file)) ?? [], as: UTF8.self)
    }
    #expect(now != first)
    try lease.verify()
    // Taken away by somebody who thought it dead.
    try AtomicFile.write(file, text: "kernel3 1 node8 000000000001\n")
    let error = #expect(throws: FileError.self) { try lease.verify() }
    #expect(error?.reason == .removedWhileInUse)
  }

  @Test func onOneMachineTheLockDecidesAndNoFileIsLeft() throws {
    let directory = try TemporaryDirectory()
    let file = directory.path.appending(".lease")
    do {
      let lease = try RunLease(directory.path, isShared: true, interval: 0.3)
      #expect(FileSystem.exists(file))
      #expect(reason(directory.path, kernel: "kernel1") == .inUse(process: getpid()))
      withExtendedLifetime(lease) {}
    }
    #expect(!FileSystem.exists(file))
    let lease = try RunLease(directory.path)
    #expect(!FileSystem.exists(file), "A local disk needs none.")
    withExtendedLifetime(lease) {}
  }
}
