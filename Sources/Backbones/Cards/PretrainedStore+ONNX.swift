// SPDX-License-Identifier: Apache-2.0

package import SystemPackage
package import ThawCheckpoints
import ThawFiles
import ThawGraphs
package import ThawImages
import ThawNetwork

extension PretrainedStore {
  /// Somebody's classifier as an ONNX file, and what the file may not say.
  package struct ONNXClassifier: Sendable {
    package var file: FilePath
    /// Name of the new card.
    package var name: String
    /// How photos become its input; nil when the file says it (Thaw wrote it).
    package var preprocessing: Preprocessing?
    /// File with the names of its classes, one a line; nil for those in the file.
    package var classes: FilePath?
    /// Names that a list beside it gives, used where neither ``classes`` nor the file does and they are as
    /// many as its outputs.
    package var classNames: [String]?
    /// Whether tensors may lie in other files beside it.
    package var externalData: ONNXExternalData
    /// The file it was made of, when that is another one.
    package var origin: FilePath?

    /// Names a file.
    package init(
      file: FilePath, name: String, preprocessing: Preprocessing? = nil, classes: FilePath? = nil,
      externalData: ONNXExternalData = .refused
    ) {
      self.file = file
      self.name = name
      self.preprocessing = preprocessing
      self.classes = classes
      self.externalData = externalData
    }
  }

  /// Translates an ONNX classifier, to see that it can be, and gives it a card; the file is taken into
  /// the folder, with its external data inside.
  ///
  /// Class names: those of `classes`, of the file, ImageNet's for 1000 classes, or numbers.
  ///
  /// - Returns: the new card.
  /// - Throws: ``GraphError/notImportable(file:reason:)`` naming the first node that has no
  ///   counterpart, ``BackboneError/badCard(file:reason:)`` when the name is taken, the preprocessing is
  ///   not known or the class names do not fit; `CheckpointError`, `NetworkError`, `FileError`.
  package func importONNX(_ own: ONNXClassifier) throws -> BackboneCard {
    let place = try newCard(named: own.name)
    let model = try ONNXReader.read(own.file, externalData: own.externalData)
    let network = try ONNXNetwork(model, file: own.file, size: own.preprocessing?.inputSize ?? 224)
    guard let contract = own.preprocessing ?? network.preprocessing else {
      throw BackboneError.badCard(
        file: own.file.displayed,
        reason: "the file does not say how photos are prepared for it. Name what the network was"
          + " trained with: --preprocessing torch, tf, caffe, efficientnet-lite, unit or raw, or"
          + " --card with a card that has the same.")
    }
    let preprocessing = network.inputSize.map { contract.withInputSize($0.height) } ?? contract
    let names = try classNames(own, network)
    try network.check(preprocessing, classes: names.list.count, file: own.file)
    let origin = own.origin ?? own.file
    let file = own.name + ".onnx"
    let directory = try directory()
    try ONNXWriter.write(directory.appending(file), model)
    do {
      if names.file == "\(own.name)-classes.txt" {
        try AtomicFile.write(
          directory.appending(names.file), text: names.list.joined(separator: "\n") + "\n")
      }
      let text = CardText(
        name: own.name, summary: "imported from \(origin.lastComponent?.string ?? "ONNX")",
        architecture: Architecture.onnxName, naming: .native, file: file,
        sha256: try WeightsChecksum.unpublished.check(directory.appending(file)).sha256,
        license: network.record?.notes["license"] ?? "LicenseRef-own", classes: names.file,
        origin: origin, preprocessing: preprocessing)
      try AtomicFile.write(place, text: text.text)
      return try BackboneCard(file: place)
    } catch {
      try? FileSystem.remove(directory.appending(file))
      throw error
    }
  }

  private func classNames(
    _ own: ONNXClassifier, _ network: ONNXNetwork
  ) throws -> (list: [String], file: String) {
    let file = "\(own.name)-classes.txt"
    if let classes = own.classes { return (try BackboneCard.classNames(of: classes), file) }
    if let names = network.classNames { return (names, file) }
    if let names = own.classNames, names.count == network.classCount { return (names, file) }
    let imageNet = "imagenet-1k.txt"
    if network.classCount == 1000,
      let names = try? BackboneCard.classNames(of: self.file(named: imageNet))
    {
      return (names, imageNet)
    }
    return ((0..<network.classCount).map { "class \($0)" }, file)
  }

  /// Where the card of a new name goes.
  func newCard(named name: String) throws -> FilePath {
    guard let component = FilePath.Component(name), component.kind == .regular,
      name.allSatisfy({ $0.isLetter || $0.isNumber || "_-.".contains($0) })
    else {
      throw BackboneError.badCard(
        file: name, reason: "a card's name has letters, digits, '_', '-' and '.' only.")
    }
    let existing = file(named: name + ".yml")
    guard !FileSystem.exists(existing) else {
      throw BackboneError.badCard(
        file: existing.displayed, reason: "there is such a card already. Choose another --name.")
    }
    return try directory().appending(name + ".yml")
  }
}

extension ONNXNetwork {
  /// Whether photos prepared so are what the network takes, and the classes what it gives.
  ///
  /// - Throws: ``BackboneError/badCard(file:reason:)``.
  package func check(_ preprocessing: Preprocessing, classes: Int, file: FilePath)
    throws(BackboneError)
  {
    guard graph.inputChannels == 3 else {
      throw .badCard(
        file: file.displayed,
        reason: "the network takes \(graph.inputChannels) channels, photos have 3.")
    }
    if let inputSize, inputSize != Extent2D(preprocessing.inputSize) {
      throw .badCard(
        file: file.displayed,
        reason: "the network takes images of \(inputSize), photos are prepared as squares of"
          + " \(preprocessing.inputSize).")
    }
    guard classes == classCount else {
      throw .badCard(
        file: file.displayed, reason: "\(classes) class names for \(classCount) outputs.")
    }
  }
}
