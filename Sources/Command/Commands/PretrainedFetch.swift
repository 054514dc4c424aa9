// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import ThawBackbones
import ThawConsole

/// `thaw pretrained fetch`
struct PretrainedFetch: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fetch",
    abstract: "Download the weights of a card and check their hash.")
  @Argument(help: "Name of the card.", completion: Completions.cards) var name: String
  @OptionGroup(title: "Every command") var global: GlobalOptions

  func validate() throws {
    guard !global.offline else {
      throw ValidationError("fetch downloads, which --offline forbids.")
    }
  }

  func run() throws {
    let session = Session(global)
    let store = try PretrainedStore.locate()
    let card = try store.card(named: name)
    let isNew = try store.fetch(
      card, report: { session.console.say($0) }, checkpoint: { try Interruption.check() })
    let place = store.weights(of: card).displayed
    try session.print(
      Pretrained.Entry(card, store),
      text: isNew
        ? "\(place): \(card.checksum) as expected. Licence: \(card.license)."
        : "\(place): here already, hash as expected. Licence: \(card.license).")
  }
}
