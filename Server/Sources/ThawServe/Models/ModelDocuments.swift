// SPDX-License-Identifier: Apache-2.0

import Foundation

/// `GET /v2`.
struct ServerMetadata: Encodable {
  let name: String
  let version: String
  let extensions: [String]
}

/// `GET /v2/models/NAME/ready`.
struct ModelReadiness: Encodable {
  let name: String
  let ready: Bool
}

/// `GET /v2/models/NAME`.
struct ModelMetadata: Encodable {
  let name: String
  let versions: [String]
  let platform = "thaw"
  let inputs = TensorDescription.inputs
  let outputs: [TensorDescription]

  init(_ model: ServedModel) {
    let current = model.current
    name = model.name
    versions = [current.version]
    outputs = TensorDescription.outputs(of: current.classifier)
  }
}

/// `GET /models`: what a person or a page wants to know.
struct ModelSummary: Encodable {
  let name: String
  let version: String
  let loaded: String
  let architecture: String
  let thawVersion: String
  let inputSize: Int
  let classes: [String]
  let severalLabels: Bool
  let calibrated: Bool
  let unknown: Bool
  let sets: Bool
  let similar: Bool
  /// Why the file that is there now is not the one that answers.
  let problem: String?

  init(_ model: ServedModel) {
    let current = model.current
    let description = current.classifier.model
    name = model.name
    version = current.version
    loaded = current.loaded.formatted(.iso8601)
    architecture = description.architecture
    thawVersion = description.thawVersion
    inputSize = current.classifier.inputSize
    classes = current.classifier.classNames
    severalLabels = description.allowsSeveralLabels
    calibrated = description.isCalibrated
    unknown = description.knowsLikeness
    sets = description.hasSets
    similar = current.similar != nil
    problem = current.problem
  }
}
