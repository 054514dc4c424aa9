// SPDX-License-Identifier: Apache-2.0

import ThawBackbones
import ThawCheckpoints
import ThawConsole
import ThawGraphs
import ThawImages
import ThawNetwork

extension ForeignModel {
  /// An ONNX file of another program: the graph is the network, and arithmetic with samples at its
  /// beginning belongs to the contract.
  func read(_ model: ONNXModel) throws -> StoredModel {
    let path = checkpoint.path.displayed
    let named = try reference.card.map { try context.pretrained.card(named: $0) }
    let size = named?.preprocessing.inputSize ?? reference.preprocessing?.inputSize ?? 224
    let network = try ONNXNetwork(
      model, file: checkpoint.path, size: size, separatesArithmetic: true)
    let (base, reason) = try preprocessing(network, model, named)
    let square = network.inputSize.map { base.withInputSize($0.height) } ?? base
    guard let preprocessing = network.pixels.after(square) else {
      throw PipelineError.data(
        "\(path): the file's own arithmetic and the preprocessing are no contract together.")
    }
    let activation = network.outputActivation
    let classCount = network.classCount
    try network.check(preprocessing, classes: classCount, file: checkpoint.path)
    let writer = network.producer.isEmpty ? "" : " by \(network.producer)"
    context.console.say(
      "\(path): a network of \(network.graph.nodes.count - 1) layers, written\(writer);"
        + " \(classCount) classes, \(activation.summary). Photos as \(preprocessing.description),"
        + " \(reason).")
    let classNames: [String]
    var notes: [String: String] = [:]
    if let own = network.classNames, reference.classNames == nil {
      context.console.say(
        "\(path): classes \(own.prefix(10).joined(separator: ", "))"
          + "\(own.count > 10 ? ", …" : ""), from the labels in the file.")
      classNames = own
    } else {
      let found = try ForeignClasses(file, reference, context)
        .names(
          classCount, architecture: Architecture.onnxName, cards: named.map { [$0] } ?? [])
      (classNames, notes) = (found.names, found.notes)
    }
    if !network.producer.isEmpty { notes[StoredModel.writer] = network.producer }
    return StoredModel(
      graph: network.graph, parameters: network.parameters, preprocessing: preprocessing,
      record: ModelRecord(
        thawVersion: thawVersion, architecture: Architecture.onnxName, classNames: classNames,
        outputActivation: activation, preprocessing: preprocessing.json,
        structure: try ONNXStructure.text(
          of: network.graph, network.parameters, preprocessing: preprocessing), notes: notes))
  }

  /// What is done to photos before the graph, and why that is believed.
  private func preprocessing(
    _ network: ONNXNetwork, _ model: ONNXModel, _ named: BackboneCard?
  ) throws -> (Preprocessing, String) {
    let behind = network.pixels.isNone ? "" : ", then the file's own arithmetic"
    if let given = reference.preprocessing { return (given, "as given\(behind)") }
    if let named { return (named.preprocessing, "as the card \(named.name) says\(behind)") }
    if let stated = ONNXPixels.stated(model) {
      return (stated, "as the file's metadata say\(behind)")
    }
    if let (guess, why) = ONNXPixels.implied(network.pixels) { return (guess, why) }
    if let beside = try StatedContract(file) { return (beside.preprocessing, beside.reason) }
    throw PipelineError.data(
      "\(checkpoint.path.displayed): the file does not say how photos are prepared for it. Give what"
        + " it was trained with: --preprocessing torch, tf, caffe, unit (0 to 1) or raw (0 to 255),"
        + " or a --card that has the same. For an export, where --preprocessing is another thing, import"
        + " it first: thaw pretrained import \(checkpoint.path.quoted) --preprocessing unit --name NAME."
    )
  }
}

/// What an ONNX file says, or lets conclude, about the samples it is given.
enum ONNXPixels {
  /// The geometry where nothing is known: the middle of the photo.
  private static func plain(_ scale: Double) -> Preprocessing {
    Preprocessing(
      inputSize: 224, scale: scale, mean: [0, 0, 0], std: [1, 1, 1], interpolation: .bilinear,
      cropFraction: 1)
  }

  /// What image metadata say, as Windows ML and Custom Vision write them; nil without.
  ///
  /// - Source: onnx/onnx, docs/MetadataProps.md.
  static func stated(_ model: ONNXModel) -> Preprocessing? {
    let format = model.metadata["Image.BitmapPixelFormat"]
    let range = model.metadata["Image.NominalPixelRange"]
    guard format != nil || range != nil, format != "Gray8" else { return nil }
    var contract: Preprocessing
    switch range {
    case nil, "NominalRange_0_255": contract = plain(1)
    case "Normalized_0_1": contract = plain(1 / 255)
    case "Normalized_1_1":
      contract = plain(1).withValues(of: .tf())
    default: return nil
    }
    if format?.hasPrefix("Bgr") == true {
      var order = PixelArithmetic()
      order.reverseChannels()
      contract = order.after(contract) ?? contract
    }
    return contract
  }

  /// What samples the arithmetic at the beginning of a graph expects: those that it brings near zero.
  static func implied(_ pixels: PixelArithmetic) -> (Preprocessing, String)? {
    guard !pixels.isNone, let scale = pixels.scale.map(abs).max() else { return nil }
    let offset = pixels.offset.map(abs).max() ?? 0
    if scale <= 0.1 || offset > 20 {
      return (
        plain(1), "from the file's own arithmetic, which is for samples of 0 to 255"
      )
    }
    guard scale >= 0.5, offset <= 20 else { return nil }
    return (plain(1 / 255), "from the file's own arithmetic, which is for samples of 0 to 1")
  }
}
