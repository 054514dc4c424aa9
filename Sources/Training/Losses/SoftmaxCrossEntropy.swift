// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Softmax cross-entropy with label smoothing and class weights.
///
/// With t = (1 - s) * y + s / K the smoothed target of a sample (y is one-hot for a label) and w the
/// class weights, its loss is  sum_c w[c] * t[c] * -log p[c],  p = softmax(logits). The mean divides
/// by the sum of w[label] for labels and by n for distributions.
///
/// Computed with the row's maximum taken out, so logits of any finite size are safe; sums are Double.
/// Edge cases: NaN or infinite logits give a NaN loss; a label outside the classes traps.
///
/// - Source: PyTorch's `CrossEntropyLoss(weight=, label_smoothing=, reduction="mean")`; smoothing from
///   Szegedy et al. 2016, arXiv:1512.00567.
package struct SoftmaxCrossEntropy: Loss, Equatable {
  /// See ``Loss/plain``.
  package var plain: any Loss { SoftmaxCrossEntropy() }
  /// How much of the target is spread evenly over all classes, in 0..<1.
  package let labelSmoothing: Double
  /// One weight a class, at least 0; empty means 1 for all.
  package let classWeights: [Float]

  /// A loss; traps on smoothing outside 0..<1 and on negative or non-finite weights.
  package init(labelSmoothing: Double = 0, classWeights: [Float] = []) {
    precondition(
      labelSmoothing >= 0 && labelSmoothing < 1,
      "Label smoothing must be in 0..<1, got \(labelSmoothing).")
    precondition(
      classWeights.allSatisfy { $0 >= 0 && $0.isFinite },
      "Class weights must be finite and at least 0, got \(classWeights).")
    self.labelSmoothing = labelSmoothing
    self.classWeights = classWeights
  }

  /// Sum of the labels' class weights, or the number of distributions.
  package func weight(of targets: BatchTargets, classes: Int) -> Double {
    switch targets {
    case .probabilities(let rows): Double(rows.count / classes)
    case .labels(let labels):
      classWeights.isEmpty
        ? Double(labels.count) : labels.reduce(0) { $0 + Double(classWeights[Int($1)]) }
    }
  }

  /// See ``Loss/evaluate(_:classes:targets:divisor:gradient:)``.
  package func evaluate(
    _ logits: UnsafeBufferPointer<Float>, classes: Int, targets: BatchTargets, divisor: Double,
    gradient: UnsafeMutableBufferPointer<Float>?
  ) -> LossTotal {
    let samples = checkedSampleCount(logits, classes: classes, targets: targets)
    if let gradient {
      precondition(
        gradient.count >= logits.count, "The gradient needs room for \(logits.count) elements.")
    }
    var coefficients = [Double](repeating: 0, count: classes)
    var sum = 0.0
    for sample in 0..<samples {
      let span = sample * classes..<(sample + 1) * classes
      fill(&coefficients, sample: sample, targets: targets)
      let row = UnsafeBufferPointer(rebasing: logits[span])
      let target = gradient.map { UnsafeMutableBufferPointer(rebasing: $0[span]) }
      sum += evaluateRow(row, coefficients, divisor: divisor, gradient: target)
    }
    return LossTotal(sum: sum, weight: weight(of: targets, classes: classes))
  }

  /// Loss of one row; d loss / d z[j] = (A * p[j] - a[j]) / divisor with A the sum of all a.
  private func evaluateRow(
    _ logits: UnsafeBufferPointer<Float>, _ coefficients: [Double], divisor: Double,
    gradient: UnsafeMutableBufferPointer<Float>?
  ) -> Double {
    let (maximum, exponentials) = logits.softmaxDenominator
    let logDenominator = log(exponentials)
    var (loss, total) = (0.0, 0.0)
    for index in logits.indices {
      let coefficient = coefficients[index]
      total += coefficient
      // 0 * infinity would turn the loss of a class that does not count into NaN.
      if coefficient != 0 {
        loss += coefficient * (logDenominator + maximum - Double(logits[index]))
      }
    }
    guard let gradient else { return loss }
    let scale = divisor == 0 ? 0 : 1 / divisor
    for index in logits.indices {
      let probability = exp(Double(logits[index]) - maximum) / exponentials
      gradient[index] = Float((total * probability - coefficients[index]) * scale)
    }
    return loss
  }

  /// Writes a[c] = w[c] * t[c] of one sample.
  private func fill(_ coefficients: inout [Double], sample: Int, targets: BatchTargets) {
    let classes = coefficients.count
    let floor = labelSmoothing / Double(classes)
    for index in 0..<classes {
      let weight = classWeights.isEmpty ? 1 : Double(classWeights[index])
      let share: Double =
        switch targets {
        case .labels(let labels): Int(labels[sample]) == index ? 1 : 0
        case .probabilities(let rows): Double(rows[sample * classes + index])
        }
      coefficients[index] = weight * ((1 - labelSmoothing) * share + floor)
    }
  }

  private func checkedSampleCount(
    _ logits: UnsafeBufferPointer<Float>, classes: Int, targets: BatchTargets
  ) -> Int {
    precondition(
      classes > 0 && logits.count % classes == 0,
      "\(logits.count) logits are not rows of \(classes).")
    precondition(
      classWeights.isEmpty || classWeights.count == classes,
      "\(classWeights.count) class weights do not fit \(classes) classes.")
    let samples = logits.count / classes
    switch targets {
    case .labels(let labels):
      precondition(labels.count == samples, "\(labels.count) labels for \(samples) samples.")
      precondition(
        labels.allSatisfy { $0 >= 0 && $0 < classes }, "A label is outside 0..<\(classes).")
    case .probabilities(let rows):
      precondition(
        rows.count == logits.count, "Target distributions need \(logits.count) elements.")
    }
    return samples
  }
}

extension UnsafeBufferPointer<Float> {
  /// The largest element and the sum of exp(element - largest), in Double. Needs an element.
  var softmaxDenominator: (maximum: Double, sum: Double) {
    var maximum = self[0]
    for value in self where value > maximum { maximum = value }
    var sum = 0.0
    for value in self { sum += exp(Double(value) - Double(maximum)) }
    return (Double(maximum), sum)
  }

  /// Position of the largest element, the first of equals; 0 when all are NaN. Needs an element.
  var indexOfMaximum: Int {
    var best = 0
    for index in indices where self[index] > self[best] { best = index }
    return best
  }
}
