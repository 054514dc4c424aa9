// SPDX-License-Identifier: Apache-2.0

import ThawArchives
package import ThawNetwork

/// What a model file says about its weights: everything that prediction needs besides them.
package struct ModelRecord: Sendable, Equatable {
  /// Version of Thaw that wrote the file.
  package var thawVersion: String
  /// Architecture name, which the backbones know: `efficientnet_lite0`.
  package var architecture: String
  /// Class names in the order of the logits; unique, at least one.
  package var classNames: [String]
  /// What makes probabilities of the logits.
  package var outputActivation: OutputActivation
  /// From which probability on a photo is given each class, in 0...1. Empty with independent sigmoids for a
  /// half each, otherwise where the most probable class is the answer; 0 there for a class without.
  package var thresholds: [Float]
  /// How thresholds were chosen, as a JSON document; nil when nobody chose them. Opaque here.
  package var thresholdChoice: String?
  /// The preprocessing contract as a JSON document; opaque here.
  package var preprocessing: String
  /// In which numbers the network is computed in inference.
  package var precision: Precision
  /// What is computed on bytes; only with that precision, and always then. The network is one whose batch norms
  /// are folded.
  package var quantization: Quantization?
  /// What bringing the network to bytes cost, as a JSON document; opaque here.
  package var quantizationNotes: String?
  /// What trained and with which batch-norm modes.
  package var freezing: FreezePlan
  /// The training record (recipe, data, metrics) as a JSON document; opaque here.
  package var training: String
  /// The structure of a network that is not built by its architecture's name; opaque here.
  package var structure: String?
  /// What makes its probabilities calibrated, and sets of labels, as a JSON document; nil when nothing was
  /// calibrated. Opaque here but for ``temperature``.
  package var calibration: String?
  /// What tells photos that are unlike the training photos, as a JSON document; opaque here.
  package var unknown: String?
  /// Further texts by name, such as a licence. Names do not begin with `thaw.`.
  package var notes: [String: String]

  /// Collects the fields.
  package init(
    thawVersion: String, architecture: String, classNames: [String],
    outputActivation: OutputActivation = .softmax, thresholds: [Float] = [],
    thresholdChoice: String? = nil, preprocessing: String,
    precision: Precision = .float32, freezing: FreezePlan = .inference, training: String = "{}",
    structure: String? = nil, calibration: String? = nil, unknown: String? = nil,
    notes: [String: String] = [:]
  ) {
    self.calibration = calibration
    self.unknown = unknown
    self.thawVersion = thawVersion
    self.architecture = architecture
    self.classNames = classNames
    self.outputActivation = outputActivation
    self.thresholds = thresholds
    self.thresholdChoice = thresholdChoice
    self.preprocessing = preprocessing
    self.precision = precision
    self.freezing = freezing
    self.training = training
    self.structure = structure
    self.notes = notes
  }
}

/// A rule that a record or a model file's metadata breaks.
struct ModelRecordError: Error {
  let kind: CheckpointError.Kind
  let reason: String
  var nextStep: String?
}

extension ModelRecord {
  /// Versions of the layout; a reader refuses later ones. Version 2 has outputs that are no softmax, or
  /// another precision than Float32: a Thaw that knows only the first would answer otherwise, silently.
  private static let firstVersion = "1"
  private static let secondVersion = "2"
  /// Version 3 has thresholds of its classes although a photo has one label.
  private static let thirdVersion = "3"
  /// Version 4 has weights in eight bits: a Thaw that knows only the others would take them for numbers.
  private static let fourthVersion = "4"

  private static let prefix = "thaw."

  /// The record as a safetensors file's metadata, without the checksum.
  func metadata() throws(ModelRecordError) -> [String: String] {
    try validate()
    // Loaders of other programs look for this entry: the names are PyTorch's.
    var metadata = ["format": "pt"]
    for (name, text) in notes { metadata[name] = text }
    let isFirst = outputActivation == .softmax && precision == .float32
    let decides = !outputActivation.allowsSeveralLabels && !thresholds.isEmpty
    metadata["thaw.format"] =
      if precision == .int8 { ModelRecord.fourthVersion } else if decides {
        ModelRecord.thirdVersion
      } else { isFirst ? ModelRecord.firstVersion : ModelRecord.secondVersion }
    if !isFirst || decides {
      metadata["thaw.output_activation"] = outputActivation.rawValue
    }
    if !thresholds.isEmpty {
      metadata["thaw.thresholds"] =
        JSONValue.array(thresholds.map { .number(Double($0.description) ?? 0) }).serialized
    }
    if let thresholdChoice { metadata["thaw.threshold_choice"] = thresholdChoice }
    metadata["thaw.version"] = thawVersion
    metadata["thaw.architecture"] = architecture
    metadata["thaw.class_names"] = JSONValue.strings(classNames).serialized
    metadata["thaw.preprocessing"] = preprocessing
    metadata["thaw.freezing"] = ModelRecord.json(freezing).serialized
    metadata["thaw.training"] = training
    if let structure { metadata["thaw.structure"] = structure }
    // A Thaw that does not know them gives the same labels, with the probabilities that it always gave.
    if let calibration { metadata["thaw.calibration"] = calibration }
    if let unknown { metadata["thaw.unknown"] = unknown }
    if precision != .float32 { metadata["thaw.precision"] = precision.rawValue }
    if let quantization {
      metadata["thaw.quantization"] = quantization.activationsJSON.serialized
      if let quantizationNotes { metadata["thaw.quantization_result"] = quantizationNotes }
    }
    return metadata
  }

  /// Reads the metadata that ``metadata()`` wrote.
  init(metadata: [String: String]) throws(ModelRecordError) {
    func text(_ key: String) throws(ModelRecordError) -> String {
      guard let text = metadata["thaw.\(key)"] else { throw ModelRecord.missing("thaw.\(key)") }
      return text
    }
    let format = try text("format")
    let known = [
      ModelRecord.firstVersion, ModelRecord.secondVersion, ModelRecord.thirdVersion,
      ModelRecord.fourthVersion,
    ]
    guard known.contains(format) else {
      throw ModelRecordError(
        kind: .refused,
        reason: "refuses model file format \(quoted(format)), this version of Thaw reads"
          + " \(known.joined(separator: ", "))",
        nextStep: "Use the version of Thaw that wrote it.")
    }
    let names = try text("class_names")
    guard let classNames = (try? JSONValue(parsing: names))?.texts else {
      throw ModelRecordError(kind: .malformed, reason: "thaw.class_names is no list of texts")
    }
    self.init(
      thawVersion: try text("version"), architecture: try text("architecture"),
      classNames: classNames,
      outputActivation: try ModelRecord.activation(
        format == ModelRecord.firstVersion ? nil : try text("output_activation")),
      thresholds: try ModelRecord.thresholds(metadata["thaw.thresholds"]),
      thresholdChoice: metadata["thaw.threshold_choice"],
      preprocessing: try text("preprocessing"),
      precision: try ModelRecord.precision(metadata["thaw.precision"]),
      freezing: try ModelRecord.freezing(try text("freezing")), training: try text("training"),
      structure: metadata["thaw.structure"], calibration: metadata["thaw.calibration"],
      unknown: metadata["thaw.unknown"],
      notes: metadata.filter { $0.key != "format" && !$0.key.hasPrefix(ModelRecord.prefix) })
    quantization = try ModelRecord.quantization(metadata["thaw.quantization"])
    quantizationNotes = metadata["thaw.quantization_result"]
    guard (format == ModelRecord.fourthVersion) == (precision == .int8) else {
      throw ModelRecordError(
        kind: .malformed,
        reason: "format \(quoted(format)) does not go with the precision \(precision.rawValue)")
    }
    try validate()
  }

  static func missing(_ key: String) -> ModelRecordError {
    ModelRecordError(
      kind: .wrongFormat, reason: "the metadata has no '\(key)', so this is not a Thaw model file",
      nextStep: "Give the model.safetensors of a run, or a pretrained network by its name.")
  }

  /// The rules that hold on both sides.
  private func validate() throws(ModelRecordError) {
    guard !classNames.isEmpty, Set(classNames).count == classNames.count else {
      throw ModelRecordError(
        kind: .malformed,
        reason: "class names must be unique and at least one, found"
          + " \(classNames.count): \(listed(classNames))")
    }
    guard outputActivation.fits(classes: classNames.count) else {
      throw ModelRecordError(
        kind: .malformed,
        reason: "one sigmoid tells two classes apart, \(classNames.count) are named")
    }
    guard
      thresholds.isEmpty
        || thresholds.count == classNames.count
          && thresholds.allSatisfy({ (0...1).contains($0) })
    else {
      throw ModelRecordError(
        kind: .malformed,
        reason: "thresholds are one a class, in 0 to 1; found"
          + " \(thresholds.count) for \(classNames.count) classes")
    }
    guard (quantization != nil) == (precision == .int8) else {
      throw ModelRecordError(
        kind: .malformed,
        reason: "what bytes stand for belongs to the precision int8, found \(precision.rawValue)")
    }
    guard !architecture.isEmpty else {
      throw ModelRecordError(kind: .malformed, reason: "the architecture has no name")
    }
    let documents = [
      ("preprocessing", preprocessing), ("training", training), ("calibration", calibration),
      ("unknown", unknown), ("threshold_choice", thresholdChoice),
      ("quantization_result", quantizationNotes),
    ]
    for (name, document) in documents {
      guard let document else { continue }
      do throws(JSONError) { _ = try JSONValue(parsing: document) } catch {
        throw ModelRecordError(
          kind: .malformed, reason: "thaw.\(name) is not JSON: \(error.reason) at \(error.offset)")
      }
    }
    if let name = notes.keys.sorted().first(where: { $0 == "format" || $0.hasPrefix("thaw.") }) {
      throw ModelRecordError(kind: .malformed, reason: "a note cannot be called \(quoted(name))")
    }
  }

  // MARK: Outputs

  private static func activation(_ text: String?) throws(ModelRecordError) -> OutputActivation {
    guard let text else { return .softmax }
    guard let activation = OutputActivation(rawValue: text) else {
      throw ModelRecordError(
        kind: .malformed, reason: "thaw.output_activation is not understood: \(quoted(text))")
    }
    return activation
  }

  private static func thresholds(_ text: String?) throws(ModelRecordError) -> [Float] {
    guard let text else { return [] }
    guard let numbers = (try? JSONValue(parsing: text))?.doubles else {
      throw ModelRecordError(kind: .malformed, reason: "thaw.thresholds is no list of numbers")
    }
    return numbers.map { Float($0) }
  }

  private static func precision(_ text: String?) throws(ModelRecordError) -> Precision {
    guard let text else { return .float32 }
    guard let precision = Precision(rawValue: text) else {
      throw ModelRecordError(
        kind: .refused, reason: "its network computes in \(quoted(text)), which is not known here",
        nextStep: "Use the version of Thaw that wrote it (\(Precision.names) are known here).")
    }
    return precision
  }

  private static func quantization(_ text: String?) throws(ModelRecordError) -> Quantization? {
    guard let text else { return nil }
    guard let json = try? JSONValue(parsing: text),
      let result = Quantization(activationsJSON: json)
    else {
      throw ModelRecordError(kind: .malformed, reason: "thaw.quantization is not understood")
    }
    return result
  }

  // MARK: Calibration

  /// What logits are divided by where a photo is looked at once; nil when that was not calibrated.
  package var temperature: Double? {
    guard let calibration, let json = try? JSONValue(parsing: calibration) else { return nil }
    return json["temperature"]?["value"]?.double
  }

  // MARK: Freezing

  private static func json(_ plan: FreezePlan) -> JSONValue {
    .object([
      JSONMember("trainable_groups", .array(plan.trainableGroups.map(JSONValue.integer))),
      JSONMember("frozen_batch_norm", .string(plan.frozenBatchNorm.rawValue)),
      JSONMember("trainable_batch_norm", .string(plan.trainableBatchNorm.rawValue)),
    ])
  }

  private static func freezing(_ text: String) throws(ModelRecordError) -> FreezePlan {
    let json = try? JSONValue(parsing: text)
    guard let groups = json?["trainable_groups"]?.integers, groups.allSatisfy({ $0 >= 0 }),
      let frozen = json?["frozen_batch_norm"]?.text.flatMap({ BatchNormMode(rawValue: $0) }),
      let trainable = json?["trainable_batch_norm"]?.text.flatMap({ BatchNormMode(rawValue: $0) })
    else {
      throw ModelRecordError(
        kind: .malformed, reason: "thaw.freezing is not understood: \(quoted(text))")
    }
    return FreezePlan(
      trainable: groups, frozenBatchNorm: frozen, trainableBatchNorm: trainable)
  }
}
