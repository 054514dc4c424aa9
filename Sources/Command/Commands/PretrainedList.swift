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
    var table = TextTable("name", "here", ">million", ">pixels", ">ImageNet", "licence", "weights")
    for entry in entries {
      table.append([
        entry.name, entry.isHere ? "yes" : "no",
        entry.parameters.map { Format.fixed(Double($0) / 1e6, 1) } ?? "?", "\(entry.size)",
        entry.accuracy.map { Format.fixed($0, 1) + " %" } ?? "-", entry.license, entry.summary,
      ])
    }
    let here = entries.count { $0.isHere }
    let note =
      "\nmillion: parameters, in millions. ImageNet: of its validation photos right, as the publisher"
      + " says.\n" + advice(entries)
      + "\n\(entries.count) cards, the weights of \(here) are here. Others go to"
      + " \(store.place ?? "no known place"): thaw pretrained fetch NAME\n"
    try Session(global).print(entries, text: table.text(width: 120) + note)
  }

  /// Which of them to take, for who does not want to choose.
  private func advice(_ entries: [Pretrained.Entry]) -> String {
    let choices = [
      ("small and fast", "efficientnet_lite0"), ("balanced", "efficientnet_b0"),
      ("best, a few times slower", "convnext_tiny"),
    ].filter { choice in entries.contains { $0.name == choice.1 } }
    guard !choices.isEmpty else { return "" }
    return "Take: "
      + choices.map { "\($0.1) (\($0.0))" }.joined(separator: ", ")
      + ".\n"
  }
}
