// SPDX-License-Identifier: Apache-2.0

import ThawConsole
import ThawNetwork
import ThawTraining

/// What `thaw quantize` found and did.
package struct QuantizationResult: Encodable, Sendable {
  /// Photos and what they were used for.
  package struct Photos: Encodable, Sendable {
    package let split: String
    package let count: Int
  }

  /// A share of right answers.
  package struct Accuracy: Encodable, Sendable {
    package let accuracy: Double
    /// 95 % interval.
    package let interval: [Double]
  }

  /// One class.
  package struct ClassChange: Encodable, Sendable {
    package let name: String
    package let count: Int
    /// Share of its photos that are found.
    package let before: Double
    package let after: Double
  }

  /// One photo whose answer moved.
  package struct PhotoChange: Encodable, Sendable {
    package let path: String
    package let label: String
    package let before: String
    package let after: String
    /// Of the photo's own label.
    package let probabilityBefore: Double
    package let probabilityAfter: Double
  }

  /// One layer with weights.
  package struct LayerChoice: Encodable, Sendable {
    package let path: String
    package let precision: String
    /// Of the logits when this layer alone is in eight bits, as a share of their variance.
    package let noise: Double?
    /// How the range of its input was found.
    package let range: String?
    package let scale: Double?
    package let zero: Int?
  }

  package let model: String
  package let output: String
  package let calibratedOn: Photos
  package let judgedOn: Photos
  package let before: Accuracy
  package let after: Accuracy
  package let atMostPoints: Double
  /// Of accuracy, in points.
  package let lostPoints: Double
  package let lostInterval: [Double]
  /// Photos whose answer is another one.
  package let changedAnswers: Int
  package let perClass: [ClassChange]
  /// The largest first, at most ten.
  package let changes: [PhotoChange]
  /// Of the logits on the photos that were measured.
  package let noise: Double
  package let layers: [LayerChoice]
  package var bytesBefore: Int?
  package var bytesAfter = 0

  init(
    model: String, output: String, fitting: PhotoSet, judging: PhotoSet, search: PrecisionSearch,
    comparison: Comparison, atMostPoints: Double
  ) {
    let rows = comparison.photos.indices
    func accuracy(_ answers: [Comparison.Answer]) -> Accuracy {
      let share = Double(rows.count { comparison.isRight(answers, $0) }) / Double(rows.count)
      let interval = WilsonInterval.interval(share: share, trials: Double(rows.count))
      return Accuracy(accuracy: share, interval: [interval.lowerBound, interval.upperBound])
    }
    self.model = model
    self.output = output
    self.atMostPoints = atMostPoints
    calibratedOn = Photos(split: fitting.split, count: fitting.photos.count)
    judgedOn = Photos(split: judging.split, count: rows.count)
    before = accuracy(comparison.before)
    after = accuracy(comparison.after)
    let (lost, won) = comparison.changed
    lostPoints = 100 * Double(lost - won) / Double(rows.count)
    lostInterval = comparison.lostInterval
    changedAnswers = rows.count { comparison.before[$0].index != comparison.after[$0].index }
    perClass = comparison.classNames.enumerated().compactMap { label, name in
      let own = rows.filter { comparison.photos[$0].label == label }
      guard !own.isEmpty else { return nil }
      func share(_ answers: [Comparison.Answer]) -> Double {
        Double(own.count { comparison.isRight(answers, $0) }) / Double(own.count)
      }
      return ClassChange(
        name: name, count: own.count, before: share(comparison.before),
        after: share(comparison.after))
    }
    func movement(_ row: Int) -> Double {
      abs(comparison.after[row].ofLabel - comparison.before[row].ofLabel)
    }
    changes = rows.sorted { (movement($1), $0) < (movement($0), $1) }.prefix(10).map { row in
      PhotoChange(
        path: comparison.photos[row].name, label: comparison.photos[row].className,
        before: comparison.classNames[comparison.before[row].index],
        after: comparison.classNames[comparison.after[row].index],
        probabilityBefore: comparison.before[row].ofLabel,
        probabilityAfter: comparison.after[row].ofLabel)
    }
    noise = search.noise
    layers = search.layers.map { layer in
      LayerChoice(
        path: layer.path.description,
        precision: (layer.isOnBytes ? Precision.int8 : .float32).rawValue,
        noise: layer.noise, range: layer.choice?.method.rawValue,
        scale: layer.choice.map { Double($0.scale.scale) }, zero: layer.choice?.scale.zero)
    }
  }

  /// The layers that stay in Float32.
  package var floats: [LayerChoice] { layers.filter { $0.precision != Precision.int8.rawValue } }

  /// Why nothing is written, and what can be done.
  var refusal: String {
    "\(model): in eight bits it loses \(Format.fixed(lostPoints, 2)) points of accuracy on"
      + " \(judgedOn.count) photos (\(Format.percent(before.accuracy)) before, \(Format.percent(after.accuracy))"
      + " after; 95 % interval of the loss \(Format.fixed(lostInterval[0], 2)) to"
      + " \(Format.fixed(lostInterval[1], 2))), more than --at-most-points \(Format.fixed(atMostPoints, 2))."
      + " Nothing was written. Measure on more photos with --photos, allow more, or train with --precision"
      + " bfloat16 instead."
  }

  /// What travels in the model file.
  func summary() throws -> String {
    struct Summary: Encodable {
      let accuracyBefore: Double
      let accuracyAfter: Double
      let judgedOn: Photos
      let calibratedOn: Photos
    }
    return try JSONText.of(
      Summary(
        accuracyBefore: before.accuracy, accuracyAfter: after.accuracy, judgedOn: judgedOn,
        calibratedOn: calibratedOn))
  }
}
