// SPDX-License-Identifier: Apache-2.0

import Glibc
import ThawConsole
import ThawInference
import ThawTensors
import ThawTraining

/// What two forms of a model answer about the same photos.
struct Comparison {
  /// The most probable class and its probability.
  struct Answer: Sendable {
    let index: Int
    let probability: Double
    /// Of the photo's own label.
    let ofLabel: Double
  }

  let photos: [JudgedPhoto]
  let classNames: [String]
  let before: [Answer]
  let after: [Answer]

  init(
    _ set: PhotoSet, before first: Classifier, after second: Classifier, _ context: StageContext
  ) throws {
    let paths = set.photos.map(\.path)
    let progress = context.console.progress("Judging", total: 2 * paths.count)
    let one = try first.classify(paths, progress: { progress.update(completed: $0) })
    let other = try second.classify(
      paths, progress: { progress.update(completed: paths.count + $0) })
    progress.finish()
    var usable: [JudgedPhoto] = []
    var (before, after): ([Answer], [Answer]) = ([], [])
    for (photo, pair) in zip(set.photos, zip(one, other)) {
      switch pair {
      case (.logits(let left), .logits(let right)):
        usable.append(photo)
        before.append(Comparison.answer(left, photo.label))
        after.append(Comparison.answer(right, photo.label))
      case (.unusable(let reason), _), (_, .unusable(let reason)):
        context.console.warn("\(photo.name): left out: \(reason)")
      }
    }
    guard !usable.isEmpty else {
      throw PipelineError.data("none of the photos of '\(set.split)' can be used.")
    }
    photos = usable
    self.before = before
    self.after = after
    classNames = first.classNames
  }

  private static func answer(_ logits: Tensor<Float>, _ label: Int) -> Answer {
    let values = logits.elements.map(Double.init)
    let largest = values.max() ?? 0
    let weights = values.map { exp($0 - largest) }
    let sum = weights.reduce(0, +)
    let best = values.indices.max { (values[$0], $1) < (values[$1], $0) } ?? 0
    return Answer(
      index: best, probability: weights[best] / sum, ofLabel: weights[label] / sum)
  }

  func isRight(_ answers: [Answer], _ row: Int) -> Bool {
    answers[row].index == photos[row].label
  }

  /// Photos that only the first form answers rightly, and only the second.
  var changed: (lost: Int, won: Int) {
    let rows = photos.indices
    return (
      rows.count { isRight(before, $0) && !isRight(after, $0) },
      rows.count { !isRight(before, $0) && isRight(after, $0) }
    )
  }

  /// Where the loss of accuracy lies with 95 % confidence, in points: of pairs, so that what both forms
  /// answer alike does not count.
  var lostInterval: [Double] {
    let (lost, won) = changed
    let count = Double(photos.count)
    let difference = Double(lost - won)
    // One pair that nobody saw on either side: without any that differ the interval is not a point.
    let pairs = Double(lost + won) + 1
    let error = max(pairs - difference * difference / count, 0).squareRoot() * 1.96
    return [100 * (difference - error) / count, 100 * (difference + error) / count]
  }
}
