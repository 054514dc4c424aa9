// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import Testing
import ThawBackbones
import ThawFiles
import ThawTestSupport

/// A folder with one card whose weights come from a server on this machine.
struct FetchPlace {
  let folder: TemporaryDirectory
  let store: PretrainedStore
  let server: LoopbackServer
  static let contents = (0..<50_000).map { UInt8(truncatingIfNeeded: ($0 * 2_654_435_761) >> 7) }

  init(
    _ behaviour: LoopbackServer.Behaviour = .init(FetchPlace.contents), hash: String? = nil,
    address: String? = nil
  ) throws {
    folder = try TemporaryDirectory()
    store = PretrainedStore(directory: folder.path)
    server = try LoopbackServer(behaviour)
    let sha256 = SHA256.hexadecimal(of: FetchPlace.contents)
    try AtomicFile.write(
      folder.path.appending("it.yml"),
      text: FetchPlace.card(
        hash: hash ?? "sha256: \(sha256)", address: address ?? server.address))
  }

  static func card(hash: String, address: String) -> String {
    """
    name: it
    architecture: resnet18
    file: it.pth
    \(hash)
    license: CC0-1.0
    classes: none
    source:
      address: \(address)
    preprocessing:
      family: torch

    """
  }

  var card: BackboneCard { get throws { try store.card(named: "it") } }
  var weights: FilePath { folder.path.appending("it.pth") }
  var part: FilePath { folder.path.appending(".fetch-it").appending("download") }

  @discardableResult
  func fetch(_ checkpoint: () throws -> Void = {}) throws -> Bool {
    try store.fetch(try card, report: { _ in }, checkpoint: checkpoint)
  }
}

@Suite struct FetchTests {
  private static let sha256 = SHA256.hexadecimal(of: FetchPlace.contents)

  @Test func aFileIsFetchedOnceAndNothingElseIsLeft() throws {
    let place = try FetchPlace()
    #expect(try place.fetch())
    #expect(try FileSystem.read(place.weights) == FetchPlace.contents)
    #expect(try !place.fetch())
    #expect(place.server.starts == [0])
    #expect(try FileSystem.list(place.folder.path).map(\.string).sorted() == ["it.pth", "it.yml"])
  }

  @Test func aFileAddressWorksToo() throws {
    let source = try TemporaryDirectory()
    let file = source.path.appending("with a space.bin")
    try AtomicFile.write(file, bytes: FetchPlace.contents)
    let address = "'file://\(file.string.replacingOccurrences(of: " ", with: "%20"))'"
    let place = try FetchPlace(address: address)
    try place.fetch()
    #expect(try FileSystem.read(place.weights) == FetchPlace.contents)
  }

  @Test func aBrokenConnectionIsTakenUpWhereItBroke() throws {
    var behaviour = LoopbackServer.Behaviour(FetchPlace.contents)
    behaviour.cuts = [10_000, 15_000]
    let place = try FetchPlace(behaviour)
    try place.fetch()
    #expect(try FileSystem.read(place.weights) == FetchPlace.contents)
    #expect(place.server.starts == [0, 10_000, 25_000])
  }

  @Test func aPartOfAnEarlierRunIsContinued() throws {
    let place = try FetchPlace()
    try FileSystem.createDirectory(place.part.removingLastComponent())
    try AtomicFile.write(place.part, bytes: Array(FetchPlace.contents[..<20_000]))
    try place.fetch()
    #expect(place.server.starts == [20_000])
    #expect(try FileSystem.read(place.weights) == FetchPlace.contents)
  }

  @Test func aServerWithoutRangesIsAskedForEverything() throws {
    var behaviour = LoopbackServer.Behaviour(FetchPlace.contents)
    behaviour.honoursRange = false
    behaviour.cuts = [10_000]
    let place = try FetchPlace(behaviour)
    try place.fetch()
    #expect(place.server.starts == [0, 10_000, 0])
    #expect(try FileSystem.read(place.weights) == FetchPlace.contents)
  }

  @Test(arguments: [20_000, 50_000, 60_000])
  func aPartOfAnotherFileIsThrownAway(_ length: Int) throws {
    let place = try FetchPlace()
    try FileSystem.createDirectory(place.part.removingLastComponent())
    try AtomicFile.write(place.part, bytes: [UInt8](repeating: 7, count: length))
    try place.fetch()
    #expect(place.server.starts.last == 0)
    #expect(try FileSystem.read(place.weights) == FetchPlace.contents)
  }

  @Test func anotherFileIsRefusedAndRemoved() throws {
    let place = try FetchPlace(.init(FetchPlace.contents + [0]))
    let error = #expect(throws: BackboneError.self) { try place.fetch() }
    #expect(error?.description.contains("expected sha256 \(Self.sha256)") == true)
    #expect(!FileSystem.exists(place.weights))
    #expect(!FileSystem.exists(place.part))
    place.server.change { $0.contents = FetchPlace.contents }
    #expect(try place.fetch())
  }

  @Test func aMissingFileIsAnErrorThatNamesTheAddress() throws {
    var behaviour = LoopbackServer.Behaviour([])
    behaviour.status = 404
    let place = try FetchPlace(behaviour)
    let error = #expect(throws: BackboneError.self) { try place.fetch() }
    #expect(error?.description.contains(place.server.address) == true)
    #expect(error?.description.contains("404") == true)
  }

  @Test func redirectionsAreFollowed() throws {
    var behaviour = LoopbackServer.Behaviour(FetchPlace.contents)
    behaviour.redirects = ["", ""]
    let place = try FetchPlace(behaviour)
    try place.fetch()
    #expect(try FileSystem.read(place.weights) == FetchPlace.contents)
  }

  @Test func redirectionsInACircleEnd() throws {
    var behaviour = LoopbackServer.Behaviour(FetchPlace.contents)
    behaviour.redirects = [""]
    behaviour.redirectsForever = true
    let place = try FetchPlace(behaviour)
    let error = #expect(throws: BackboneError.self) { try place.fetch() }
    #expect(error?.description.contains("redirects") == true)
    #expect(!FileSystem.exists(place.weights))
  }

  @Test func aRedirectionToAFileOfThisMachineIsRefused() throws {
    let source = try TemporaryDirectory()
    let file = source.path.appending("local")
    try AtomicFile.write(file, bytes: FetchPlace.contents)
    var behaviour = LoopbackServer.Behaviour(FetchPlace.contents)
    behaviour.redirects = ["file://\(file.string)"]
    let place = try FetchPlace(behaviour)
    #expect(throws: BackboneError.self) { try place.fetch() }
    #expect(!FileSystem.exists(place.weights))
  }

  @Test(arguments: [403, 500, 503])
  func anErrorOfTheServerKeepsThePartForTheNextTime(_ status: Int) throws {
    var behaviour = LoopbackServer.Behaviour(FetchPlace.contents)
    behaviour.status = status
    let place = try FetchPlace(behaviour)
    try FileSystem.createDirectory(place.part.removingLastComponent())
    try AtomicFile.write(place.part, bytes: Array(FetchPlace.contents[..<20_000]))
    let error = #expect(throws: BackboneError.self) { try place.fetch() }
    #expect(error?.description.contains("\(status)") == true)
    #expect(error?.description.contains("20000 bytes are kept") == true)
    place.server.change { $0.status = nil }
    try place.fetch()
    #expect(place.server.starts == [20_000, 20_000])
    #expect(try FileSystem.read(place.weights) == FetchPlace.contents)
  }

  @Test func aServerThatAlwaysBreaksOffIsGivenUp() throws {
    var behaviour = LoopbackServer.Behaviour(FetchPlace.contents)
    behaviour.cuts = [10_000] + [Int](repeating: 0, count: 20)
    let place = try FetchPlace(behaviour)
    let error = #expect(throws: BackboneError.self) { try place.fetch() }
    #expect(error?.description.contains("10000 bytes are kept") == true)
    #expect(place.server.starts.count == 4)
    #expect(!FileSystem.exists(place.weights))
  }

  @Test func aServerThatIsNotThereIsNamed() throws {
    let place = try FetchPlace(address: "http://127.0.0.1:1/weights")
    let error = #expect(throws: BackboneError.self) { try place.fetch() }
    #expect(error?.description.contains("127.0.0.1:1/weights") == true)
    #expect(try FileSystem.list(place.folder.path).map(\.string) == ["it.yml"])
  }

  @Test func weightsThatAreHereStayWhenTheyAreNotWhatTheCardNames() throws {
    let place = try FetchPlace()
    try AtomicFile.write(place.weights, bytes: [1, 2, 3])
    let error = #expect(throws: BackboneError.self) { try place.fetch() }
    #expect(error?.description.contains("Remove the file and fetch it again") == true)
    #expect(try FileSystem.read(place.weights) == [1, 2, 3])
    #expect(place.server.starts.isEmpty)
  }

  struct Stop: Error {}

  @Test func aStopKeepsThePartAndTheNextRunContinuesIt() throws {
    var behaviour = LoopbackServer.Behaviour(FetchPlace.contents)
    behaviour.cuts = [30_000]
    behaviour.stalls = true
    let place = try FetchPlace(behaviour)
    let part = place.part
    #expect(throws: Stop.self) {
      try place.fetch { if (try? FileStatus(of: part))?.size == 30_000 { throw Stop() } }
    }
    #expect(!FileSystem.exists(place.weights))
    try place.fetch()
    #expect(place.server.starts == [0, 30_000])
    #expect(try FileSystem.read(place.weights) == FetchPlace.contents)
  }

  @Test func twoFetchesOfOneCardDoNotMix() throws {
    let place = try FetchPlace()
    try FileSystem.createDirectory(place.part.removingLastComponent())
    let lock = try DirectoryLock(place.part.removingLastComponent())
    #expect(throws: FileError.self) { try place.fetch() }
    withExtendedLifetime(lock) {}
  }

  @Test(arguments: [
    "sha256_prefix: \(sha256.prefix(8))", "md5: 4a265e810eb8d02ccfa71ae421ceb451",
    "hash: unpublished",
  ])
  func whatPassedOnceIsRecordedAndMustStayTheSame(_ hash: String) throws {
    let place = try FetchPlace(hash: hash)
    try place.fetch()
    let record = String(
      decoding: try FileSystem.read(place.folder.path.appending("it.pth.sha256")), as: UTF8.self)
    #expect(record == "\(Self.sha256)  it.pth\n")
    #expect(try place.store.sha256(of: place.card) == Self.sha256)
    try place.store.verify(place.card)
    try AtomicFile.write(place.weights, bytes: FetchPlace.contents + [1])
    let error = #expect(throws: BackboneError.self) { try place.store.verify(place.card) }
    #expect(error?.description.contains("Remove the file and fetch it again") == true)
  }

  @Test(arguments: ["sha256_prefix: 00000000", "md5: 00000000000000000000000000000000"])
  func aWrongHashOfEveryFormIsRefused(_ hash: String) throws {
    let place = try FetchPlace(hash: hash)
    #expect(throws: BackboneError.self) { try place.fetch() }
    #expect(!FileSystem.exists(place.weights))
  }
}
