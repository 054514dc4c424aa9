// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import ThawBackbones
import ThawCheckpoints
import ThawFiles
import ThawImages
import ThawInference
import ThawReports

/// A file of weights, and what it seems to be.
struct InspectedFile: Encodable {
  /// One tensor.
  struct Row: Encodable {
    let name: String
    let type: String
    let shape: [Int]
  }

  let path: String
  let format: String
  /// The library that wrote it, as far as it shows.
  var writer: String?
  let metadata: [String: String]
  let tensors: [Row]
  let parameters: Int
  /// `sure`, `likely`, `partial` or `unknown`.
  var certainty = CheckpointIdentity.Certainty.unknown.rawValue
  var architecture: String?
  var naming: String?
  var reason = ""
  var rivals: [String] = []
  var matched = 0
  var needed = 0
  var missing: [String] = []
  var unexpected: [String] = []
  var unfitting: [String] = []
  /// Tensors beside the network, which nothing needs.
  var ignored: [String] = []
  /// Entries of the file that are no tensors.
  var leftOut: [String] = []
  var notes: [String] = []
  var classes: Int?
  var classNames: [String]?
  var classNamesFrom: String?
  var preprocessing: String?
  var preprocessingReason: String?
  var card: String?
  /// What can be done with it, as sentences or commands.
  var next: [String] = []

  /// The parts that every file has.
  private init(_ checkpoint: Checkpoint, path: FilePath) {
    self.path = path.displayed
    format = "\(checkpoint.format)"
    metadata = checkpoint.metadata
    tensors = checkpoint.tensors.map {
      Row(name: $0.name, type: $0.elementType.rawValue, shape: $0.shape.extents)
    }
    parameters = checkpoint.tensors.reduce(0) { $0 + $1.shape.count }
  }

  /// A checkpoint of unknown origin.
  init(_ file: ForeignFile, _ path: FilePath, _ identity: CheckpointIdentity) throws {
    self.init(file.checkpoint, path: path)
    writer = file.writer
    leftOut = file.checkpoint.surroundings?.leftOut ?? []
    certainty = identity.certainty.rawValue
    reason = InspectedFile.reason(identity)
    rivals = identity.rivals
    card = identity.card?.name
    let stated =
      try StatedContract(file)
      ?? StatedContract(
        file.checkpoint.surroundings?.normalization, usual: identity.preprocessing)
    if let fit = identity.best {
      (architecture, naming, matched, needed) =
        (fit.architecture, fit.naming, fit.matched, fit.needed)
      (missing, unexpected, unfitting) = (fit.missing, fit.unexpected, fit.unfitting)
      ignored = fit.ignored
      let head = ForeignHeads.found(file.checkpoint, fit)
      let modules = try ModuleSettings(file.checkpoint.surroundings?.modules ?? [], fit)
      let count = fit.head?.classes ?? head?.classes
      let outputs =
        fit.splitsOutput
        ? nil
        : count.map {
          ForeignActivation(file, outputs: $0, endsWithSigmoid: modules.endsWithSigmoid)
        }
      classes = count.map { outputs?.activation.classes(outputs: $0) ?? $0 }
      let own = Set(head?.names ?? [])
      ignored.removeAll { own.contains($0) }
      notes = ForeignSummary(file, fit, identity.otherParts, head: head).lines
      if let outputs, outputs.activation != .softmax { notes.append(outputs.reason) }
      if let found = modules.summary {
        notes.append("but the module computes something else with its tensors: \(found)")
      }
      preprocessing = (stated?.preprocessing ?? identity.preprocessing)?.description
      preprocessingReason = stated?.reason ?? identity.preprocessingReason
      if let list = file.classLists.first(where: { $0.names.count == classes }) {
        (classNames, classNamesFrom) = (list.names, list.origin)
      }
    } else {
      notes = file.remarks
    }
    next = InspectedFile.next(file, ShellWord.quote(path.string), identity, classes)
  }

  /// A model file of ours, which says everything itself.
  init(model checkpoint: Checkpoint) throws {
    self.init(checkpoint, path: checkpoint.path)
    let record = try ModelFile.read(checkpoint).record
    certainty = CheckpointIdentity.Certainty.sure.rawValue
    architecture = record.architecture
    naming = "Thaw's names"
    writer = "Thaw \(record.thawVersion)"
    reason = "the file is a model of Thaw \(record.thawVersion) and says so"
    matched = checkpoint.count
    needed = checkpoint.count
    classes = record.classNames.count
    classNames = record.classNames
    preprocessing = (try? Preprocessing(json: record.preprocessing))?.description
    preprocessingReason = "the file says it"
  }

  /// A file that brings its network with it.
  init(_ file: ForeignFile, _ described: DescribedNetwork) {
    let checkpoint = file.checkpoint
    self.init(checkpoint, path: checkpoint.path)
    let isKnown = described.architecture != nil
    architecture = described.architecture
    naming = isKnown ? "the file's names" : nil
    if isKnown { certainty = CheckpointIdentity.Certainty.sure.rawValue }
    matched = isKnown ? checkpoint.count : 0
    needed = matched
    reason = described.reason
    notes = described.notes + file.remarks
    leftOut = checkpoint.surroundings?.leftOut ?? []
    classes = described.classCount
    classNames = described.classNames
    if classNames == nil, let list = file.classLists.first(where: { $0.names.count == classes }) {
      (classNames, classNamesFrom) = (list.names, list.origin)
    }
    preprocessing = described.preprocessing
    preprocessingReason = described.preprocessingReason
    writer = described.writer
    next = described.next
  }

  // MARK: For people

  /// The verdict.
  var summary: String {
    var lines = ["\(path): \(format), \(tensors.count) tensors, \(parameters) numbers"]
    if let writer, !writer.isEmpty { lines.append("written by: \(writer)") }
    lines.append(
      "architecture: " + (architecture.map { "\($0), \(certainty): " } ?? "") + reason)
    for (label, names) in [
      ("missing", missing), ("unexpected", unexpected), ("unfitting", unfitting),
    ] where !names.isEmpty {
      let shown = names.prefix(10).joined(separator: ", ") + (names.count > 10 ? ", …" : "")
      lines.append("\(label): \(names.count): \(shown)")
    }
    lines += notes.map { "note: \($0)" }
    if architecture != nil {
      lines.append(
        "classes: " + (classes.map(String.init) ?? "none, the weights end with the features")
          + namesLine)
    }
    if let preprocessing {
      lines.append("preprocessing: \(preprocessing) (\(preprocessingReason ?? ""))")
    }
    lines += next.map { "next: \($0)" }
    return lines.joined(separator: "\n") + "\n"
  }

  private var namesLine: String {
    guard let classNames else { return classes == nil ? "" : ", not named in the file" }
    return ": \(classNames.prefix(10).joined(separator: ", "))"
      + (classNames.count > 10 ? ", …" : "") + (classNamesFrom.map { " (\($0))" } ?? "")
  }

  /// Why the identity is as sure as it is.
  private static func reason(_ identity: CheckpointIdentity) -> String {
    guard let fit = identity.best else {
      return "unknown: no architecture has half of these tensors"
    }
    let share = "\(fit.matched) of \(fit.needed) parameters have their tensor, by \(fit.naming)"
    let left = fit.ignored.isEmpty ? "nothing is left over" : "what is left over is ignored"
    return switch identity.certainty {
    case .sure:
      "\(share), \(left)"
        + (ForeignSummary.twins(of: fit.architecture).isEmpty
          ? ", and no other architecture fits" : "")
    case .likely:
      if let question = fit.openQuestion {
        "\(share), \(left); but \(question)"
      } else {
        "\(share), \(left); the same tensors fit"
          + " \(identity.rivals.joined(separator: ", ")), which no file of weights tells apart"
      }
    default: share
    }
  }

  /// What to do with it.
  private static func next(
    _ file: ForeignFile, _ path: String, _ identity: CheckpointIdentity, _ classes: Int?
  ) -> [String] {
    guard let fit = identity.best, fit.isComplete else {
      return [ForeignProblem(file, nearest: identity.nearest, card: nil, isInspected: true).text]
    }
    let stated = file.statedArchitecture
    let isKnown =
      identity.certainty == .sure
      || fit.openQuestion == nil && stated.map { identity.rivals.contains($0) } ?? false
      || stated == fit.architecture
    let card = isKnown ? "" : " --card NAME"
    let train =
      "thaw pretrained import \(path) --name mine\(card), then thaw fit DATA --backbone mine"
    return classes == nil ? [train] : ["thaw predict --model \(path)\(card) PHOTO", train]
  }
}
