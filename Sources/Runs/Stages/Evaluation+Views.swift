// SPDX-License-Identifier: Apache-2.0

package import ThawImages
import ThawInference
package import ThawNetwork
package import ThawTensors
import ThawTraining

extension Evaluation {
  /// Judges what several views of each photo, and several models, say together.
  ///
  /// With one view and one model the loss is computed from the logits themselves.
  ///
  /// - Parameters:
  ///   - members: for each model, the logits of all photos for each view, [photos, classes].
  ///   - thresholds: where photos may have several labels, from which probability on they have each.
  ///   - calibration: of the model; nil where it has none.
  ///   - isOfSamePhotos: whether the calibration was chosen by these photos.
  ///   - sameness: the photos that show one picture; nil where each is of its own.
  init(
    split: String, classNames: [String], members: [[Tensor<Float>]], tta: TestTimeAugmentation,
    labels: SampleLabels, thresholds: [Float], calibration: ModelCalibration?,
    isOfSamePhotos: Bool = false, sameness: [[Int]]? = nil
  ) throws {
    let only = members.count == 1 && tta.views.count == 1 ? members.first?.first : nil
    let look = ModelCalibration.Look(tta, snapshots: members.count > 1)
    if case .single(let labels) = labels, let fitted = calibration?.fitted(for: look)?.fitted {
      let plain = tta.probabilities(of: members)
      let calibrated = fitted.temperature.probabilities(of: plain)
      func sets(perClass: Bool) -> [SetCoverage] {
        ConformalSets.usualCoverages.compactMap { asked in
          isOfSamePhotos
            ? SetCoverage(
              halvesOf: calibrated, labels: labels, sameness: sameness, asked: asked,
              perClass: perClass)
            : SetCoverage(
              fitted.sets, calibrated, labels: labels, asked: asked, perClass: perClass)
        }
      }
      try self.init(
        split: split, classNames: classNames, probabilities: calibrated, labels: labels)
      self.calibration = CalibrationResult(
        temperature: fitted.temperature, look: fitted.look.name, isOfSamePhotos: isOfSamePhotos,
        before: Reliability(plain, labels: labels),
        after: Reliability(calibrated, labels: labels),
        sets: sets(perClass: false),
        classSets: fitted.sets.classes.isEmpty ? nil : sets(perClass: true))
      return
    }
    switch (labels, only) {
    case (.single(let labels), let logits?):
      try self.init(split: split, classNames: classNames, logits: logits, labels: labels)
    case (.single(let labels), nil):
      try self.init(
        split: split, classNames: classNames, probabilities: tta.probabilities(of: members),
        labels: labels)
    case (.several(let rows), let logits?):
      try self.init(
        split: split, classNames: classNames, logits: logits, targets: rows,
        thresholds: thresholds)
    case (.several(let rows), nil):
      try self.init(
        split: split, classNames: classNames,
        probabilities: tta.probabilities(of: members, by: .independentSigmoids), targets: rows,
        thresholds: thresholds)
    }
  }
}

extension Evaluation {
  /// Adds the curves of the classes, what thresholds make of the photos where they decide on one label, and how
  /// they were chosen.
  mutating func apply(
    _ thresholds: ModelThresholds, _ probabilities: Tensor<Float>, _ labels: SampleLabels
  ) {
    drawCurves(probabilities, labels)
    self.thresholds = thresholds.chosen.isEmpty ? nil : thresholds.chosen
    guard thresholds.decides, case .single(let labels) = labels else { return }
    decisions = DecisionResult(
      thresholds.rule, probabilities, labels: labels, classNames: thresholds.classNames,
      independent: independent)
  }
}

extension TestTimeAugmentation {
  /// The mean over models of what each says about its views.
  ///
  /// - Parameter members: for each model, the logits of all photos for each view, [photos, classes].
  package func probabilities(
    of members: [[Tensor<Float>]], by activation: OutputActivation = .softmax
  ) -> Tensor<Float> {
    Probabilities.mean(of: members.map { probabilities(ofLogits: $0, by: activation) })
  }
}

extension Tensor<Float> {
  /// From [views, classes] for each photo to [photos, classes] for each view.
  static func transposed(_ photos: [Tensor<Float>], views: Int) -> [Tensor<Float>] {
    let classes = photos.first?.shape[1] ?? 0
    return (0..<views).map { view in
      let rows = photos.flatMap { photo in
        photo.withUnsafeElements { Array($0[(view * classes)..<((view + 1) * classes)]) }
      }
      return Tensor(rows, shape: [photos.count, classes])
    }
  }

  /// From the rows of one photo, [models * views, classes], to [1, classes] for each model and view.
  package func members(views: Int) -> [[Tensor<Float>]] {
    Tensor.transposed([self], views: shape[0]).chunks(of: views)
  }
}

extension Array {
  /// The elements in groups of `count`, in order.
  func chunks(of count: Int) -> [[Element]] {
    stride(from: 0, to: self.count, by: count).map {
      Array(self[$0..<Swift.min($0 + count, self.count)])
    }
  }
}
