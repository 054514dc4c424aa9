// SPDX-License-Identifier: Apache-2.0

import Glibc
import SystemPackage
import Testing
import ThawBackbones
import ThawFiles
import ThawTestSupport

@Suite struct ChildProgramTests {
  private func shell(
    _ script: String, checkpoint: () throws -> Void = {}
  ) throws -> ChildProgram.Outcome {
    try ChildProgram.run(["sh", "-c", script], checkpoint: checkpoint)
  }

  @Test func theStatusAndWhatItSaidComeBack() throws {
    let outcome = try shell("echo to nobody; echo ' a reason ' >&2; exit 7")
    #expect(outcome.status == 7)
    #expect(outcome.messages == "a reason")
  }

  @Test func aSignalIsAStatusAbove128() throws {
    #expect(try shell("kill -9 $$").status == 128 + SIGKILL)
  }

  @Test func ofAMillionBytesTheLastFourThousandAreKept() throws {
    let outcome = try shell("yes 0123456 | head -c 1000000 >&2; echo end >&2")
    #expect(outcome.status == 0)
    #expect(outcome.messages.utf8.count <= 4096 && outcome.messages.utf8.count > 4000)
    #expect(outcome.messages.hasSuffix("0123456\nend"))
  }

  @Test func itsInputIsEmpty() throws {
    #expect(try shell("cat >&2").messages.isEmpty)
  }

  @Test func aMissingProgramIsNamed() throws {
    let error = #expect(throws: BackboneError.self) {
      try ChildProgram.run(["thaw-no-such-program"], checkpoint: {})
    }
    #expect(error?.description.contains("'thaw-no-such-program' is not installed") == true)
  }

  struct Stop: Error {}

  /// Runs `script`, which writes its process number to `$0`, stops it once that is there, and
  /// returns whether it is gone.
  private func isGoneAfterAStop(_ script: String) throws -> Bool {
    let folder = try TemporaryDirectory()
    let file = folder.path.appending("number")
    var number: Int32 = 0
    #expect(throws: Stop.self) {
      try ChildProgram.run(["sh", "-c", script, file.string]) {
        guard let bytes = try? FileSystem.read(file), bytes.last == 0x0A else { return }
        number = Int32(String(decoding: bytes.dropLast(), as: UTF8.self)) ?? 0
        throw Stop()
      }
    }
    return number > 0 && kill(number, 0) == -1 && errno == ESRCH
  }

  @Test func aStopEndsTheProgram() throws {
    #expect(try isGoneAfterAStop("echo $$ > \"$0\"; exec sleep 600"))
  }

  @Test func aProgramThatWillNotEndIsKilled() throws {
    #expect(try isGoneAfterAStop("trap '' TERM; echo $$ > \"$0\"; while :; do sleep 1; done"))
  }

  @Test func aStopBeforeTheStartStartsNothing() throws {
    let folder = try TemporaryDirectory()
    let file = folder.path.appending("trace")
    #expect(throws: Stop.self) {
      try ChildProgram.run(["touch", file.string]) { throw Stop() }
    }
    #expect(!FileSystem.exists(file))
  }
}
