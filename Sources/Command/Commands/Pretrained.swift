// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import ThawBackbones

/// `thaw pretrained`
struct Pretrained: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Pretrained backbones: list, fetch, import, inspect.",
    subcommands: [
      PretrainedList.self, PretrainedFetch.self, PretrainedImport.self, PretrainedInspect.self,
    ])

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
}
