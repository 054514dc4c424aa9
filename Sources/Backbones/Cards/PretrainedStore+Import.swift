// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
import ThawCheckpoints
import ThawFiles
package import ThawImages
package import ThawNetwork

extension PretrainedStore {
  /// Somebody's own weights of a network that there is a card for.
  package struct OwnWeights: Sendable {
    /// The checkpoint.
    package var file: FilePath
    /// Name of the new card.
    package var name: String
    /// File with the names of its classes, one a line; nil for the classes of the other card.
    package var classes: FilePath?

    /// Names a checkpoint.
    package init(file: FilePath, name: String, classes: FilePath? = nil) {
      self.file = file
      self.name = name
      self.classes = classes
    }
  }

  /// Gives `own` a card of its own, with the architecture and the preprocessing of `card`, and takes
  /// its weights into the folder.
  ///
  /// Every tensor is matched with the network first, under each naming scheme in turn, and nothing is
  /// written unless all fit.
  ///
  /// - Returns: the new card.
  /// - Throws: ``BackboneError/badCard(file:reason:)`` when the name is taken or not a file name,
  ///   `CheckpointError` listing the missing, unexpected and unfitting tensors, `FileError`.
  package func importOwn(_ own: OwnWeights, like card: BackboneCard) throws -> BackboneCard {
    let place = try newCard(named: own.name)
    let classesFile = try own.classes.map { try take(classes: $0, as: own.name) }
    let suffix = own.file.extension.map { ".\($0)" } ?? ""
    let draft = Draft(
      card: card, name: own.name, file: own.name + suffix,
      sha256: try WeightsChecksum.unpublished.check(own.file).sha256,
      classes: classesFile ?? card.classesFile ?? "none", origin: own.file)
    do {
      let naming = try draft.naming(in: self)
      try FileSystem.copy(own.file, to: try directory().appending(draft.file))
      try AtomicFile.write(place, text: draft.text(naming))
      return try BackboneCard(file: place)
    } catch {
      if let classesFile { try? FileSystem.remove(try directory().appending(classesFile)) }
      throw error
    }
  }

  private func take(classes: FilePath, as name: String) throws -> String {
    let file = "\(name)-classes.txt"
    try FileSystem.copy(classes, to: try directory().appending(file))
    return file
  }
}

/// A card about to be written.
private struct Draft {
  let card: BackboneCard
  let name: String
  let file: String
  let sha256: String
  let classes: String
  let origin: FilePath

  /// The naming scheme under which all tensors fit; the error is that of the other card's scheme.
  func naming(in store: PretrainedStore) throws -> Architecture.Naming {
    let names =
      classes == "none" ? [] : try BackboneCard.classNames(of: store.file(named: classes))
    var first: (any Error)?
    for naming in [card.naming] + Architecture.Naming.allCases.filter({ $0 != card.naming }) {
      do {
        _ = try PretrainedBackbone.read(
          origin, architecture: card.architecture, naming: naming, classes: names.count)
        return naming
      } catch {
        first = first ?? error
      }
    }
    throw first ?? BackboneError.badCard(file: name, reason: "no naming scheme is known.")
  }

  func text(_ naming: Architecture.Naming) -> String {
    CardText(
      name: name, summary: "own weights of \(card.architecture), prepared for as \(card.name)",
      architecture: card.architecture, naming: naming, file: file, sha256: sha256,
      license: "LicenseRef-own", classes: classes, origin: origin,
      preprocessing: card.preprocessing
    ).text
  }
}

extension PretrainedStore {
  /// A network that was recognised in somebody's checkpoint, in memory.
  package struct OwnNetwork: Sendable {
    /// Name of the new card.
    package let name: String
    package let architecture: String
    package let parameters: Parameters
    package let preprocessing: Preprocessing
    /// In the order of the outputs; empty when the weights end with the features.
    package let classNames: [String]
    /// The file it was read from.
    package let origin: FilePath
    /// What makes probabilities of its outputs.
    package let outputActivation: OutputActivation

    package init(
      name: String, architecture: String, parameters: Parameters, preprocessing: Preprocessing,
      classNames: [String], origin: FilePath, outputActivation: OutputActivation = .softmax
    ) {
      self.outputActivation = outputActivation
      self.name = name
      self.architecture = architecture
      self.parameters = parameters
      self.preprocessing = preprocessing
      self.classNames = classNames
      self.origin = origin
    }
  }

  /// Writes the weights of `own` under this project's names and gives them a card. A classifier of more
  /// than one layer is left out: a card's has one.
  ///
  /// - Throws: ``BackboneError/badCard(file:reason:)`` when the name is taken or not a file name,
  ///   `FileError`.
  package func importOwn(_ own: OwnNetwork) throws -> BackboneCard {
    let place = try newCard(named: own.name)
    let folder = try directory()
    let weights = folder.appending("\(own.name).safetensors")
    let classes = folder.appending("\(own.name)-classes.txt")
    let outputs = own.outputActivation.outputs(classes: own.classNames.count)
    let whole = try Architecture(named: own.architecture).graph(Head(classes: max(1, outputs)))
    let hasClasses =
      !own.classNames.isEmpty
      && whole.parameters.allSatisfy { own.parameters[$0.path]?.shape == $0.shape }
    let graph = hasClasses ? whole : whole.withoutHead
    do {
      try SafetensorsWriter.write(
        weights,
        graph.parameters.compactMap { parameter in
          own.parameters[parameter.path].map { StoredTensor(parameter.path.description, $0) }
        })
      if hasClasses {
        try AtomicFile.write(classes, text: own.classNames.joined(separator: "\n") + "\n")
      }
      let text = CardText(
        name: own.name, summary: "own weights of \(own.architecture)",
        architecture: own.architecture, naming: .native, file: "\(own.name).safetensors",
        sha256: try WeightsChecksum.unpublished.check(weights).sha256, license: "LicenseRef-own",
        classes: hasClasses ? "\(own.name)-classes.txt" : "none", origin: own.origin,
        preprocessing: own.preprocessing,
        outputActivation: hasClasses ? own.outputActivation : .softmax)
      try AtomicFile.write(place, text: text.text)
      return try BackboneCard(file: place)
    } catch {
      for file in [weights, classes] where FileSystem.exists(file) { try? FileSystem.remove(file) }
      throw error
    }
  }
}
