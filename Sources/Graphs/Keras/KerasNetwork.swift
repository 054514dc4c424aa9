// SPDX-License-Identifier: Apache-2.0

package import ThawCheckpoints
package import ThawImages
package import ThawNetwork
import ThawTensors

/// The network that the configuration in a Keras file describes, with the file's weights.
///
/// The configuration is the only authority: names of tensors never decide what is computed.
package struct KerasNetwork: Sendable {
  /// The network; its result is logits, a softmax or sigmoid at the end was taken off. Batch norms stay
  /// what they are, and layer groups are derived.
  package let graph: Graph
  /// What makes probabilities of the outputs; nil when the model ends with features.
  package let outputActivation: OutputActivation?
  /// Outputs of the last layer.
  package let outputCount: Int
  /// What was taken for granted or left out, as sentences.
  package let notes: [String]
  /// Whose network it seems to be by the names of its layers; nil for one of somebody's own.
  package let family: KerasFamily?
  /// Stored arrays by parameter, in our order of axes.
  package let stored: [ParameterPath: StoredTensor]
  /// Those that are not in the file: scales of 1, arithmetic of the configuration.
  private let constants: Parameters
  private let pixels: KerasImporter.Pixels
  /// Side of the photos, in pixels.
  package let side: Int

  /// Translates the configuration.
  ///
  /// - Parameter freeSide: the side of the image when the model leaves it free; nil for the family's.
  /// - Returns: nil when the file has no configuration, only weights.
  /// - Throws: ``GraphError/notImportable(file:reason:)`` naming the first layer that has no
  ///   counterpart here; `NetworkError` when shapes do not fit.
  package init?(_ checkpoint: Checkpoint, freeSide: Int? = nil) throws {
    guard let keras = checkpoint.kerasModel, let json = keras.configuration else { return nil }
    guard let model = KerasLayerDescription(json, in: []), model.layers != nil else {
      throw GraphError.notImportable(
        file: checkpoint.path.displayed,
        reason:
          "its configuration is that of a \(Printable(json["class_name"]?.text ?? "class")) of"
          + " the author's, which says nothing of its layers. Build the model as keras.Sequential or"
          + " keras.Model(inputs, outputs), new.set_weights(old.get_weights()), and save that")
    }
    family = KerasFamily(layersOf: json)
    var importer = KerasImporter(
      checkpoint, keras, freeSide: freeSide ?? family?.inputSize ?? 224)
    let photo = try importer.photo(of: model)
    let results = try importer.run(model, [.pixels(photo)])
    let ending = try importer.finish(results, model, loss: KerasLoss(keras.compilation))
    let draft = importer.draft
    var stored: [ParameterPath: StoredTensor] = [:]
    for layer in draft.layers {
      for (leaf, tensor) in layer.stored { stored[layer.path.appending(leaf)] = tensor }
    }
    self.stored = stored
    constants = draft.parameters
    graph = draft.graph(named: Printable(keras.modelName ?? "keras").description, groups: nil)
    (outputActivation, outputCount) = (ending.activation, ending.count)
    pixels = importer.pixels ?? photo
    side = draft[0].shape[2]
    var notes = importer.notes
    if !importer.augmentations.isEmpty {
      let names = Set(importer.augmentations).sorted().joined(separator: ", ")
      notes.append("\(names): in training alone, left out")
    }
    self.notes = notes
    guard draft[0].shape[2] == draft[0].shape[3] else {
      throw importer.failure(
        "its input is \(draft[0].shape[2]) x \(draft[0].shape[3]); photos are prepared as squares here"
      )
    }
    for parameter in graph.parameters {
      guard let shape = stored[parameter.path]?.shape ?? constants[parameter.path]?.shape,
        shape == parameter.shape
      else {
        throw importer.failure(
          "'\(parameter.path)' has to be \(parameter.shape), which the file does not have")
      }
    }
  }

  /// Reads the weights.
  ///
  /// - Throws: `CheckpointError` when the file can no longer be read.
  package func parameters() throws(CheckpointError) -> Parameters {
    var result = constants
    for (path, tensor) in stored { result[path] = try tensor.floats() }
    return result
  }

  /// The stored name of the tensor that a parameter is read from; nil when there is none.
  package func source(of path: ParameterPath) -> String? { stored[path]?.name }

  /// Whether the configuration says how samples become numbers.
  package var statesArithmetic: Bool { !pixels.arithmetic.isNone || pixels.isComputedInside }

  /// The contract of what the file says, on photos as `usual` prepares them where it says nothing.
  ///
  /// - Parameter isBefore: whether `usual` is what was done before the model, so that the model's own
  ///   arithmetic comes behind it; otherwise the model's own is all there is.
  /// - Returns: nil when the two cannot be one contract.
  package func preprocessing(_ usual: Preprocessing, isBefore: Bool = false) -> Preprocessing? {
    let base =
      isBefore || !statesArithmetic ? usual : usual.withValues(of: .raw())
    guard let values = pixels.arithmetic.after(base.withInputSize(side)) else { return nil }
    let resizing = pixels.resizing
    // The part that the middle is of, so that what is resized is exactly as large as the model says.
    let crop = pixels.crop.map { Double(side) / (Double($0.height) + 1e-6) }
    return Preprocessing(
      inputSize: side, scale: values.scale, channelOrder: values.channelOrder, mean: values.mean,
      std: values.std, interpolation: resizing?.interpolation ?? values.interpolation,
      cropFraction: crop.map { min($0, 1) } ?? (resizing == nil ? values.cropFraction : 1),
      resizeRule: resizing.map { $0.keepsAspectRatio ? .shorterSide : .squash }
        ?? (crop == nil ? values.resizeRule : .squash), background: values.background)
  }

  /// What of the contract the file says, for people; nil for nothing.
  package var statement: String? {
    var parts: [String] = []
    if statesArithmetic { parts.append("the model's own arithmetic with pixels") }
    if pixels.resizing != nil || pixels.crop != nil { parts.append("its resizing") }
    return parts.isEmpty ? nil : parts.joined(separator: " and ")
  }
}

extension KerasImporter {
  /// The photo as the model takes it.
  func photo(of model: KerasLayerDescription) throws -> Pixels {
    guard let shape = KerasImporter.imageShape(of: model, depth: 0) else { return Pixels() }
    guard shape[2] == 3 || shape[2] == nil else {
      throw failure(
        "the model takes images of \(shape[2] ?? 0) channels"
          + (shape[2] == 1 ? ", grey ones" : "")
          + "; photos have three here. Train it on three, or put"
          + " a layer in front that makes them: keras.layers.Conv2D(\(shape[2] ?? 1), 1, use_bias=False)"
      )
    }
    var pixels = Pixels()
    if let height = shape[0], let width = shape[1] {
      guard (1...4096).contains(height), (1...4096).contains(width) else {
        throw failure("the model takes images of \(height) x \(width)")
      }
      pixels.size = Extent2D(height: height, width: width)
    }
    return pixels
  }

  /// Height, width and channels of the input of a model or of the first model within it.
  private static func imageShape(of model: KerasLayerDescription, depth: Int) -> [Int?]? {
    if let own = model.imageShape { return own }
    guard depth < 32, let layers = model.layers else { return nil }
    let names = KerasReference.list(model.settings["input_layers"])?.map(\.layer)
    for json in layers {
      guard let layer = KerasLayerDescription(json, in: []) else { return nil }
      if let names, !names.contains(layer.name) { continue }
      if let shape = imageShape(of: layer, depth: depth + 1) { return shape }
      if names == nil, layer.className != "InputLayer" { break }
    }
    let built =
      (model.settings["build_input_shape"] ?? model.json["build_config"]?["input_shape"])?.elements
    guard let built, built.count == 4 else { return nil }
    return built.dropFirst().map(\.integer)
  }
}
