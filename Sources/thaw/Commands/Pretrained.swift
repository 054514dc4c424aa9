// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Backbones
import Pipeline
import Reports
import SystemPackage

/// `thaw pretrained`
struct Pretrained: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Pretrained backbones: list, fetch, import, inspect.",
    subcommands: [List.self, Fetch.self, Import.self, PretrainedInspect.self])

  /// What is shown of a card.
  struct Entry: Encodable {
    let name: String
    let summary: String
    let license: String
    let source: String
    let preprocessing: String
    let architecture: String
    let hash: String
    let sha256: String?
    let isHere: Bool

    init(_ card: BackboneCard, _ store: PretrainedStore) {
      name = card.name
      summary = card.summary
      license = card.license
      source = card.source.displayed
      preprocessing = card.preprocessing.description
      architecture = card.architecture
      hash = card.checksum.description
      sha256 = store.sha256(of: card)
      isHere = store.hasWeights(of: card)
    }
  }

  /// `thaw pretrained list`
  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "The cards in Pretrained/.")
    @OptionGroup(title: "Every command") var global: GlobalOptions

    func run() throws {
      let store = try PretrainedStore.locate()
      let entries = try store.cards().map { Entry($0, store) }
      var table = TextTable("name", "here", "licence", "preprocessing")
      for entry in entries {
        table.append([
          entry.name, entry.isHere ? "yes" : "no", entry.license, entry.preprocessing,
        ])
      }
      try Session(global).print(entries, text: table.text(width: 120))
    }
  }

  /// `thaw pretrained fetch`
  struct Fetch: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Download the weights of a card and check their hash.")
    @Argument(help: "Name of the card.") var name: String
    @OptionGroup(title: "Every command") var global: GlobalOptions

    func run() throws {
      let session = Session(global)
      let store = try PretrainedStore.locate()
      let card = try store.card(named: name)
      let isNew = try store.fetch(
        card, report: { session.console.say($0) }, checkpoint: { try Interruption.check() })
      let place = store.weights(of: card).displayed
      try session.print(
        Entry(card, store),
        text: isNew
          ? "\(place): \(card.checksum) as expected. Licence: \(card.license)."
          : "\(place): here already, hash as expected. Licence: \(card.license).")
    }
  }

  /// `thaw pretrained import`
  struct Import: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Take weights from a file that is here already.",
      discussion: """
        Without --name the file must be the one the card names. With --name it may be any checkpoint
        of the same network: it gets a card of its own, with the other's preprocessing. Tensors that
        are missing, unexpected or of the wrong shape are listed, and then nothing is taken.
        """)
    @Argument(help: "The checkpoint.") var file: FilePath
    @Option(help: "The card it belongs to, or whose network it has.") var card: String
    @Option(help: "Name of a new card for weights of your own.") var name: String?
    @Option(help: "With --name: file with the names of its classes, one a line.")
    var classes: FilePath?
    @OptionGroup(title: "Every command") var global: GlobalOptions

    func validate() throws {
      guard name != nil || classes == nil else {
        throw ValidationError("--classes belongs to a card of your own: give it a --name.")
      }
    }

    func run() throws {
      let store = try PretrainedStore.locate()
      var card = try store.card(named: card)
      if let name {
        card = try store.importOwn(.init(file: file, name: name, classes: classes), like: card)
      } else {
        try store.importWeights(of: card, from: file)
      }
      try Session(global).print(
        Entry(card, store), text: "\(store.weights(of: card).displayed): imported as \(card.name).")
    }
  }
}
