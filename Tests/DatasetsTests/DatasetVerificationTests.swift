// SPDX-License-Identifier: Apache-2.0

import Glibc
import Synchronization
import SystemPackage
import Testing
import ThawDatasets
import ThawFiles
import ThawTestSupport

@Suite struct DatasetVerificationTests {
  private func sample() throws -> PhotoFolder {
    let data = try PhotoFolder()
    for name in ["a", "b"] { try data.addPhotos(name, 0..<8) }
    try data.add(BytePath("a/empty.jpg"), [])
    try data.add(BytePath("b/page.jpg"), Array("<!DOCTYPE".utf8))
    try data.addPhoto("a/strange name%.jpg", payload: "odd")
    return data
  }

  @Test func everyFileIsReadAndEveryBadOneListed() throws {
    let data = try sample()
    let result = try data.verification()
    #expect(result.photos.count == 17)
    #expect(
      result.bad.map(\.description) == ["a/empty.jpg: empty file", "b/page.jpg: not a fake\timage"])
    let odd = try #require(result.photos.first { !$0.image.warnings.isEmpty })
    #expect(
      odd.image == VerifiedImage(width: 4, height: 3, format: "FAKE", warnings: ["odd\nbytes"]))
    #expect(odd.sha256 == SHA256.hexadecimal(of: Array("FAKE 4 3 odd".utf8)))
  }

  @Test func theResultDoesNotDependOnTheNumberOfThreads() throws {
    let data = try sample()
    let one = try data.verification(threads: 1)
    let five = try data.verification(threads: 5)
    #expect(one.photos == five.photos && one.bad == five.bad && !one.photos.isEmpty)
  }

  @Test func progressCountsEveryFileOnce() throws {
    let data = try sample()
    let seen = Mutex<[DatasetVerification.Progress]>([])
    let scan = try data.scan()
    _ = try DatasetVerification.run(scan, with: FakeVerifier(), options: .init(threads: 3)) {
      progress in seen.withLock { $0.append(progress) }
    }
    let all = seen.withLock { $0 }
    #expect(all.map(\.done) == Array(1...19) && all.allSatisfy { $0.total == 19 })
    #expect(all.last?.bytes == scan.files.map(\.status.size).reduce(0, +))
  }

  @Test func unchangedFilesAreNotReadAgain() throws {
    let data = try sample()
    let first = try data.verification(journal: true)
    try data.addPhoto("a/new.jpg")
    try data.addPhoto("a/3.pnm", payload: "other")
    let verifier = FakeVerifier()
    let second = try data.verification(verifier, journal: true)
    // The empty file is judged without the verifier and kept like the others.
    #expect(verifier.callCount == 2 && second.reused == 17 + 2 - 1)
    #expect(second.photos.count == first.photos.count + 1 && second.bad == first.bad)
    let changed = try #require(second.photos.first { $0.file.path == BytePath("a/3.pnm") })
    #expect(changed.sha256 == SHA256.hexadecimal(of: Array("FAKE 4 3 other".utf8)))
    let fresh = try data.verification()
    #expect(fresh.photos == second.photos && fresh.bad == second.bad)
  }

  @Test func anotherVerifierJudgesAnew() throws {
    let data = try sample()
    _ = try data.verification(journal: true)
    let verifier = FakeVerifier(identity: "fake 2")
    #expect(try data.verification(verifier, journal: true).reused == 0)
    #expect(verifier.callCount == 18)
  }

  @Test func aJournalCutAnywhereLosesOnlyItsEnd() throws {
    let data = try PhotoFolder()
    for name in ["a", "b"] { try data.addPhotos(name, 0..<2) }
    try data.add(BytePath(bytes: Array("a/".utf8) + [0xFF, 0x0A] + Array(".jpg".utf8)), [7])
    let whole = try data.verification(journal: true)
    let journal = data.run.appending("journal")
    let bytes = try FileSystem.read(journal)
    #expect(bytes.count > 300)
    for length in 0...bytes.count {
      try writeFile(journal, Array(bytes.prefix(length)))
      let result = try data.verification(journal: true, threads: 1)
      #expect(result.photos == whole.photos && result.bad == whole.bad)
      let lines = bytes.prefix(length).count { $0 == 0x0A }
      // The last line also counts when only its line feed is missing.
      #expect(result.reused >= max(0, lines - 1) && result.reused <= lines)
      // What was written is whole again: nothing is verified a third time.
      #expect(try data.verification(journal: true, threads: 1).reused == 5)
    }
  }

  @Test func aDamagedJournalIsNeverBelieved() throws {
    let data = try PhotoFolder()
    for name in ["a", "b"] { try data.addPhotos(name, 0..<2) }
    let whole = try data.verification(journal: true)
    let journal = data.run.appending("journal")
    let bytes = try FileSystem.read(journal)
    for position in bytes.indices {
      var damaged = bytes
      damaged[position] ^= 1
      try writeFile(journal, damaged)
      let result = try data.verification(journal: true, threads: 1)
      #expect(result.photos == whole.photos)
      #expect(result.reused < 4)
    }
  }

  @Test func aStoppedVerificationIsContinued() throws {
    struct Stop: Error {}
    let data = try sample()
    let scan = try data.scan()
    let options = DatasetVerification.Options(
      threads: 1, journal: data.run.appending("journal"))
    #expect(throws: Stop.self) {
      try DatasetVerification.run(scan, with: FakeVerifier(), options: options) {
        if $0.done == 7 { throw Stop() }
      }
    }
    let verifier = FakeVerifier()
    let result = try DatasetVerification.run(scan, with: verifier, options: options)
    // One of the 19 files is empty and judged without the verifier.
    #expect(result.reused == 7 && result.photos.count == 17 && result.bad.count == 2)
    #expect(verifier.callCount == 18 - 7)
  }

  @Test func aFileThatVanishesIsBadNotFatal() throws {
    let data = try sample()
    let scan = try data.scan()
    try data.remove("a/1.pnm")
    let result = try DatasetVerification.run(
      scan, with: FakeVerifier(), options: .init(threads: 2))
    #expect(result.bad.map(\.path.description).contains("a/1.pnm") && result.photos.count == 16)
  }

  @Test func oversizedFilesAreNotRead() throws {
    let data = try sample()
    var options = DatasetVerification.Options(threads: 1)
    options.fileSizeLimit = 15
    let result = try DatasetVerification.run(data.scan(), with: FakeVerifier(), options: options)
    #expect(result.bad.contains { $0.reason.contains("at most 15 are accepted") })
  }

  @Test func theMachinesTroubleIsNotTheFiles() {
    func error(_ code: Int32) -> FileError { FileError("a.jpg", "open", .system(code)) }
    #expect(error(EACCES).photoReason == "permission denied")
    #expect(error(ELOOP).photoReason == "a link that leads to itself")
    #expect(error(EIO).photoReason.hasPrefix("cannot open: Input/output error"))
    #expect([EMFILE, ENFILE, ENOMEM].allSatisfy { error($0).isExhaustion })
    #expect(![EACCES, EIO, ENOENT].contains { error($0).isExhaustion })
  }

  @Test func badFilesMakeAHarmlessTable() {
    let table = [
      BadFile(path: BytePath("=cmd/a\n.jpg"), reason: "no\tgood"),
      BadFile(path: BytePath("cat/b.jpg"), reason: "empty file"),
    ].tabSeparated
    #expect(table == "path\treason\n./=cmd/a\\n.jpg\tno\\tgood\ncat/b.jpg\tempty file\n")
  }
}
