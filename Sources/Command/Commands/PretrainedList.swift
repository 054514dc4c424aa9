// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import ThawBackbones
import ThawConsole
import ThawFiles

/// `thaw pretrained list`
struct PretrainedList: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "The cards in Pretrained/.")
  @OptionGroup(title: "Every command") var global: GlobalOptions

  func run() throws {
    let store = try PretrainedStore.locate()
    let entries = try store.cards().map { Pretrained.Entry($0, store) }
    // Names are what the table is for: on a narrow terminal the rest makes way.
    let width = OutputSink.tableColumns
    let titles = ["name", "here", ">million", ">pixels", ">photos/s", ">ImageNet"]
    let isWide = width >= 100
    var table = TextTable(isWide ? titles + ["licence", "weights"] : titles)
    for entry in entries {
      let cells = [
        entry.name, entry.isHere ? "yes" : "no",
        entry.parameters.map { Format.fixed(Double($0) / 1e6, 1) } ?? "?", "\(entry.size)",
        entry.photosPerSecond.map { Format.significant($0, 2) } ?? "-",
        entry.accuracy.map { Format.fixed($0, 1) + " %" } ?? "-", entry.license, entry.summary,
      ]
      table.append(Array(cells.prefix(isWide ? 8 : 6)))
    }
    let here = entries.count { $0.isHere }
    let note = [
      "million: parameters, in millions. photos/s: from pixels to features at that size on two cores"
        + " (AMD EPYC, AVX-512), as measured by 'make speeds'. ImageNet: of its validation photos"
        + " right, as the publisher says.", advice(entries),
      "\(counted(entries.count, "card")), the weights of \(here) are here. Others go to"
        + " \(store.place ?? "no known place"): thaw pretrained fetch NAME",
    ].compactMap(\.self).map { TextWrap.text($0, width: width) }
    try Session(global).print(
      entries,
      text: table.text(width: width) + "\n" + note.joined(separator: "\n"))
  }

  /// Which of them to take, for who does not want to choose; nil without those cards.
  private func advice(_ entries: [Pretrained.Entry]) -> String? {
    let choices = [
      ("small", "efficientnet_lite0"), ("balanced", "efficientnet_b0"), ("best", "convnext_tiny"),
    ].compactMap { word, name in
      entries.first { $0.name == name }.map { entry in
        let speed = entry.photosPerSecond.map { "\(Format.significant($0, 2)) photos/s" }
        let accuracy = entry.accuracy.map { "\(Format.fixed($0, 1)) %" }
        return "\(name) (\([word, speed, accuracy].compactMap { $0 }.joined(separator: ", ")))"
      }
    }
    return choices.isEmpty ? nil : "Take: \(choices.joined(separator: ", "))."
  }
}
