// SPDX-License-Identifier: Apache-2.0

import Foundation
import Thaw

/// The answer to one photo, under the keys that `thaw predict --json` has.
struct PredictAnswer: Encodable {
  struct Ranked: Encodable {
    let label: String
    let probability: Float

    init(_ candidate: Classification.Candidate) {
      (label, probability) = (candidate.label, candidate.probability)
    }
  }

  struct Similar: Encodable {
    /// Below `/similar/`.
    let index: Int
    let path: String
    let similarity: Float
  }

  struct Evidence: Encodable {
    struct Area: Encodable { let x, y, width, height: Double }

    let label: String
    let probability: Float
    let map: [[Float]]
    let area: Area
    let exact: Bool
    let layer: String
    /// A PNG file, as base64.
    let overlay: String?
  }

  /// The name of the file in a form.
  let path: String?
  let model: String
  let modelVersion: String
  let label: String?
  let probability: Float?
  /// Of a model with thresholds and one label a photo: whether no class reaches what is asked of it.
  let undecided: Bool?
  let labels: [Ranked]?
  let top: [Ranked]
  let logits: [Float]?
  let unknown: Bool?
  let unknownScore: Float?
  let unknownThreshold: Float?
  let set: [String]?
  let heatMap: Evidence?
  let similar: [Similar]?

  /// The label of a photo that is unlike anything the model was trained on.
  static let unknownLabel = "unknown"

  /// - Throws: ``Refusal``, 400, when something is asked that the model cannot say.
  static func check(_ options: QueryOptions, _ model: ServedModel.Current, name: String) throws {
    let description = model.classifier.model
    if options.coverage != nil, !description.hasSets {
      throw Refusal.bad(
        "The model \(name) has no scores for sets of labels: leave coverage out.")
    }
    if let unknown = options.unknown, unknown != .off {
      guard description.knowsLikeness else {
        throw Refusal.bad(
          "The model \(name) does not say what is unlike its training photos: leave unknown out.")
      }
      if unknown == .label, model.classifier.classNames.contains(unknownLabel) {
        throw Refusal.bad(
          "The model \(name) has a class '\(unknownLabel)' of its own. Use unknown=flag.")
      }
    }
    if options.similar > 0, model.similar == nil {
      throw Refusal.bad(
        "The server has no photos to compare with: start it with --similar FOLDER, or leave similar out."
      )
    }
    if let label = options.className, !model.classifier.classNames.contains(label) {
      throw Refusal.bad("The model \(name) has no class '\(label.prefix(100))'.")
    }
  }

  init(
    _ answer: Classification, _ explanation: Explanation?, similar: [Similar]?,
    _ options: QueryOptions, path: String?, model: ServedModel.Current, name: String
  ) {
    let likeness = options.unknown == .off ? nil : answer.likeness
    let isRelabelled = likeness?.isUnknown == true && options.unknown == .label
    let isExclusive = !answer.allowsSeveralLabels
    self.path = path
    self.similar = similar
    self.model = name
    modelVersion = model.version
    label = !isExclusive ? nil : isRelabelled ? Self.unknownLabel : answer.label
    probability =
      isExclusive && !isRelabelled && !answer.isUndecided ? answer.probability : nil
    undecided = model.classifier.model.hasThresholds ? answer.isUndecided : nil
    labels = isExclusive ? nil : isRelabelled ? [] : answer.labels.map(Ranked.init)
    top = answer.top(options.top).map(Ranked.init)
    logits = options.withLogits ? answer.logits : nil
    unknown = likeness?.isUnknown
    unknownScore = likeness?.score
    unknownThreshold = likeness?.threshold
    set = options.coverage.flatMap { answer.set(coverage: $0) }.map { $0.map(\.label) }
    heatMap = explanation.map { found in
      Evidence(
        label: found.label, probability: found.probability, map: found.map,
        area: Evidence.Area(
          x: found.area.x, y: found.area.y, width: found.area.width, height: found.area.height),
        exact: found.isExact, layer: found.layer,
        overlay: options.heatMap == .overlay
          ? Data(found.overlay).base64EncodedString() : nil)
    }
  }
}
