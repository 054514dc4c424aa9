// SPDX-License-Identifier: Apache-2.0

import Glibc
import SystemPackage
import Testing
import ThawBackbones
import ThawFiles
import ThawTestSupport

/// Cards in a folder that came with the program, weights in another.
@Suite struct PretrainedPlaceTests {
  private let place: FetchPlace
  private let home: TemporaryDirectory
  private var own: FilePath { home.path.appending("cache").appending("thaw") }
  private var store: PretrainedStore { PretrainedStore(cards: place.folder.path, own: own) }

  init() throws {
    place = try FetchPlace(hash: "hash: unpublished")
    home = try TemporaryDirectory()
  }

  @Test func weightsAreFetchedIntoTheUsersFolderOnly() throws {
    let card = try store.card(named: "it")
    #expect(!store.hasWeights(of: card))
    #expect(!FileSystem.exists(own))
    var said = ""
    try store.fetch(card, report: { said = $0 })
    #expect(said.hasSuffix("into \(own)"))
    #expect(store.weights(of: card) == own.appending("it.pth"))
    #expect(try FileSystem.list(own).map(\.string).sorted() == ["it.pth", "it.pth.sha256"])
    #expect(try FileSystem.list(place.folder.path).map(\.string) == ["it.yml"])
    #expect(store.sha256(of: card) == SHA256.hexadecimal(of: FetchPlace.contents))
  }

  @Test func weightsBesideTheCardsAreUsedWhereTheyAre() throws {
    try AtomicFile.write(place.weights, bytes: FetchPlace.contents)
    let card = try store.card(named: "it")
    #expect(store.weights(of: card) == place.weights)
    #expect(try !store.fetch(card, report: { _ in }))
    #expect(place.server.starts.isEmpty)
  }

  @Test func cardsOfBothFoldersAreListedAndTheUsersCountFirst() throws {
    try FileSystem.createDirectory(own)
    let other = FetchPlace.card(hash: "hash: unpublished", address: "file:///b")
    try AtomicFile.write(own.appending("it.yml"), text: other)
    try AtomicFile.write(
      own.appending("another.yml"), text: "name: another" + other.dropFirst("name: it".count))
    #expect(try store.cards().map(\.name) == ["another", "it"])
    #expect(try store.card(named: "it").source == .address("file:///b"))
  }

  @Test func withoutAPlaceTheCardsAreThereAndFetchingSaysWhatToSet() throws {
    let store = PretrainedStore(cards: place.folder.path, own: nil)
    #expect(store.place == nil)
    let card = try store.card(named: "it")
    let error = #expect(throws: BackboneError.self) {
      try store.fetch(card, report: { _ in })
    }
    #expect(error == .noPlace)
    #expect(error?.description.contains("XDG_CACHE_HOME") == true)
    try AtomicFile.write(place.weights, bytes: FetchPlace.contents)
    try store.verify(card)
  }

  private func located(_ environment: [String: String]) throws -> PretrainedStore {
    try .locate(ProgramFolders(program: nil, environment: environment))
  }

  @Test func theEnvironmentNamesAFolderForBoth() throws {
    let named = ["THAW_PRETRAINED": place.folder.path.string, "HOME": home.path.string]
    let store = try located(named)
    #expect(store.cardFolder == place.folder.path)
    #expect(store.place == place.folder.path.displayed)
    #expect(throws: BackboneError.self) { try located(["THAW_PRETRAINED": "/no/such/folder"]) }
  }

  // The superuser may write everywhere.
  @Test(.enabled(if: geteuid() != 0)) func whereTheCardsCannotBeWrittenToTheUsersFolderIsTaken()
    throws
  {
    let cards = place.folder.path
    #expect(cards.withPlatformString { chmod($0, 0o555) } == 0)
    defer { _ = cards.withPlatformString { chmod($0, 0o755) } }
    let store = try located(["THAW_PRETRAINED": cards.string, "XDG_CACHE_HOME": own.string])
    #expect(store.place == own.appending("thaw").displayed)
  }
}
