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
    /// Numbers that can train, with a head of 1000 classes; nil when only the weights' file says how the
    /// network is built.
    let parameters: Int?
    /// Side of the input in pixels.
    let size: Int
    let accuracy: Double?
    /// Photos a second from pixels to features at that size, on the machine that the documentation
    /// names; nil where nobody has measured.
    let photosPerSecond: Double?

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
      size = card.preprocessing.inputSize
      accuracy = card.accuracy
      photosPerSecond = card.photosPerSecond
      let graph = try? Architecture(named: card.architecture).graph(Head(classes: 1000))
      parameters = graph?.parameters.filter(\.role.isTrainable).reduce(0) { $0 + $1.shape.count }
    }
  }
}
