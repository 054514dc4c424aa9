// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import ThawBackbones
import ThawConsole

/// `thaw pretrained list`
struct PretrainedList: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "The cards in Pretrained/.")
  @OptionGroup(title: "Every command") var global: GlobalOptions

  func run() throws {
    let store = try PretrainedStore.locate()
    let entries = try store.cards().map { Pretrained.Entry($0, store) }
    var table = TextTable("name", "here", "licence", "weights")
    for entry in entries {
      table.append([
        entry.name, entry.isHere ? "yes" : "no", entry.license, entry.summary,
      ])
    }
    let here = entries.count { $0.isHere }
    let note =
      "\n\(entries.count) cards, the weights of \(here) are here. Others go to"
      + " \(store.place ?? "no known place"): thaw pretrained fetch NAME\n"
    try Session(global).print(entries, text: table.text(width: 120) + note)
  }
}
