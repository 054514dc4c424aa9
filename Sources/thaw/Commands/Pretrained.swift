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
    let sha256: String
    let isHere: Bool

    init(_ card: BackboneCard, _ store: PretrainedStore) {
      name = card.name
      summary = card.summary
      license = card.license
      source = card.source.displayed
      preprocessing = card.preprocessing.description
      sha256 = card.sha256
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
      let isNew = try store.fetch(card) { session.console.say($0) }
      let place = store.weights(of: card).displayed
      try session.print(
        Entry(card, store),
        text: isNew
          ? "\(place): sha256 \(card.sha256) as expected. Licence: \(card.license)."
          : "\(place): here already, hash as expected. Licence: \(card.license).")
    }
  }

  /// `thaw pretrained import`
  struct Import: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Take the weights of a card from a file that is here already.")
    @Argument(help: "Name of the card.") var name: String
    @Argument(help: "The downloaded file.") var file: FilePath
    @OptionGroup(title: "Every command") var global: GlobalOptions

    func run() throws {
      let store = try PretrainedStore.locate()
      let card = try store.card(named: name)
      try store.importWeights(of: card, from: file)
      try Session(global).print(
        Entry(card, store), text: "\(store.weights(of: card).displayed): imported.")
    }
  }
}
