// SPDX-License-Identifier: Apache-2.0

import Glibc
import SystemPackage
import Testing
import ThawFiles
import ThawTestSupport

@Suite struct FileSystemTests {
  @Test func aFileComesBackAsItWasWritten() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path.appending("a file\n.bin")
    try AtomicFile.write(path, bytes: [1, 2, 3])
    #expect(try FileSystem.read(path) == [1, 2, 3])
    #expect(try FileSystem.list(directory.path).count == 1)
  }

  @Test func aFailedWriteKeepsTheOldFileAndLeavesNothingElse() throws {
    struct Interruption: Error {}
    let directory = try TemporaryDirectory()
    let path = directory.path.appending("model")
    try AtomicFile.write(path, text: "old")
    #expect(throws: Interruption.self) {
      try AtomicFile.write(path) { file in
        try file.append([9, 9, 9])
        throw Interruption()
      }
    }
    #expect(try FileSystem.read(path) == Array("old".utf8))
    #expect(try FileSystem.list(directory.path).map(\.string) == ["model"])
  }

  @Test func aFullDiskIsAnErrorThatNamesTheFile() throws {
    let error = #expect(throws: FileError.self) {
      let file = try OpenFile("/dev/full", O_WRONLY, "open")
      defer { file.closeIgnoringErrors() }
      try [UInt8](repeating: 0, count: 8).withUnsafeBytes { try file.write($0) }
    }
    #expect(error?.isDiskFull == true)
    #expect(error?.description.contains("/dev/full: cannot write: No space left") == true)
  }

  @Test func aPipeIsRefusedWithoutWaitingForAWriter() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path.appending("pipe.jpg")
    #expect(path.withPlatformString { mkfifo($0, 0o600) } == 0)
    let error = #expect(throws: FileError.self) { try FileSystem.read(path) }
    #expect(error?.reason == .notRegular)
  }

  @Test func aFileBeyondTheLimitIsNotRead() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path.appending("big")
    try AtomicFile.write(path, bytes: [UInt8](repeating: 7, count: 100))
    let error = #expect(throws: FileError.self) { try FileSystem.read(path, limit: 99) }
    #expect(error?.reason == .tooLarge(size: 100, limit: 99))
  }

  @Test func namesThatAreNotUTF8SurviveTheRoundTrip() throws {
    let directory = try TemporaryDirectory()
    let name: [CChar] = [CChar(bitPattern: 0xFF), CChar(bitPattern: 0xFE), 0x61, 0]
    let component = try #require(
      name.withUnsafeBufferPointer { bytes in
        bytes.baseAddress.flatMap { FilePath.Component(platformString: $0) }
      })
    let path = directory.path.appending(component)
    try AtomicFile.write(path, text: "x")
    let listed = try FileSystem.list(directory.path)
    #expect(listed == [component])
    #expect(try FileSystem.read(directory.path.appending(listed[0])) == [0x78])
    #expect(path.displayed.hasSuffix("\\xff\\xfea"))
  }

  @Test(arguments: [
    ("a\nb", "a\\nb"), ("\u{1B}[31m", "\\x1b[31m"), ("\u{202E}gpj", "\\u{202e}gpj"),
    ("back\\slash", "back\\\\slash"), ("café 猫.jpg", "café 猫.jpg"),
  ])
  func displayedPathsAreOneHarmlessLine(name: String, shown: String) {
    #expect(FilePath(name).displayed == shown)
  }

  @Test func theSecondLockNamesTheHolder() throws {
    let directory = try TemporaryDirectory()
    let lock = try DirectoryLock(directory.path)
    let error = #expect(throws: FileError.self) { _ = try DirectoryLock(directory.path) }
    #expect(error?.reason == .inUse(process: getpid()))
    withExtendedLifetime(lock) {}
  }

  @Test func aReleasedLockCanBeTakenAgain() throws {
    let directory = try TemporaryDirectory()
    do { _ = try DirectoryLock(directory.path) }
    _ = try DirectoryLock(directory.path)
  }

  @Test func aLockNoticesThatItsDirectoryHasGone() throws {
    let directory = try TemporaryDirectory()
    let place = directory.path.appending("run")
    try FileSystem.createDirectory(place)
    let lock = try DirectoryLock(place)
    try lock.verify()
    try FileSystem.remove(place.appending(".lock"))
    #expect(throws: FileError(place, "use", .removedWhileInUse)) { try lock.verify() }
    try AtomicFile.write(place.appending(".lock"), text: "another")
    #expect(throws: FileError(place, "use", .removedWhileInUse)) { try lock.verify() }
  }

  @Test func aMappedFileShowsItsBytes() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path.appending("cache")
    try AtomicFile.write(path, bytes: [4, 5, 6])
    #expect(try MappedFile(path).withUnsafeBytes { Array($0) } == [4, 5, 6])
    try AtomicFile.write(path, bytes: [])
    #expect(try MappedFile(path).count == 0)
  }

  @Test func directoriesAreCreatedWithThoseAbove() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path.appending("a").appending("b")
    try FileSystem.createDirectory(path)
    try FileSystem.createDirectory(path)
    #expect(try FileStatus(of: path).kind == .directory)
    try AtomicFile.write(path.appending("f"), text: "")
    #expect(throws: FileError.self) {
      try FileSystem.createDirectory(path.appending("f").appending("c"))
    }
  }
}
