// SPDX-License-Identifier: Apache-2.0

import Glibc
import ThawTensors

/// Value and gradient of regularised multinomial logistic regression on a fixed set of features.
///
/// f(W, b) = (1 / S) sum_i s[i] * -log softmax(W x[i] + b)[y[i]]  +  penalty / 2 * |W|^2, with s the
/// sample weights and S their sum. Where samples may have several labels it is the sum over the classes of
/// as many logistic regressions of two classes (``SigmoidCrossEntropy``): one minimum for all of them is
/// the minimum of each. Products are Float (blocks of rows, one gemm each), everything
/// that is summed over blocks and samples is Double.
final class LogisticObjective {
  let samples: Int
  let inputs: Int
  let classes: Int
  /// Zeros where samples may have several labels.
  let labels: [Int]
  /// Nil where each sample has one label.
  private let targets: TargetRows?
  /// How much more a label counts than its absence, one a class; only with ``targets``, empty for 1.
  private let positiveWeights: [Float]
  /// Whether samples may have several labels.
  var isSeveral: Bool { targets != nil }
  /// One weight a sample; 0 leaves it out.
  var sampleWeights: [Double]
  var penalty: Double

  private let features: AlignedStorage<Float>
  private let weights: AlignedStorage<Float>
  private let blockGradient: AlignedStorage<Float>
  private let logits: AlignedStorage<Float>
  private let block: Int

  /// Takes over features [samples, inputs].
  convenience init(features: AlignedStorage<Float>, labels: [Int], inputs: Int, classes: Int) {
    self.init(features: features, labels, nil, [], inputs: inputs, classes: classes)
  }

  /// Takes over features [samples, inputs] of samples that may have several labels.
  convenience init(
    features: AlignedStorage<Float>, targets: TargetRows, positiveWeights: [Float], inputs: Int
  ) {
    self.init(
      features: features, [Int](repeating: 0, count: targets.count), targets, positiveWeights,
      inputs: inputs, classes: targets.classes)
  }

  private init(
    features: AlignedStorage<Float>, _ labels: [Int], _ targets: TargetRows?,
    _ positiveWeights: [Float], inputs: Int, classes: Int
  ) {
    self.targets = targets
    self.positiveWeights = positiveWeights
    samples = labels.count
    self.inputs = inputs
    self.classes = classes
    self.labels = labels
    self.features = features
    sampleWeights = [Double](repeating: 1, count: labels.count)
    penalty = 0
    block = min(labels.count, 2048)
    weights = AlignedStorage(count: classes * inputs)
    blockGradient = AlignedStorage(count: classes * inputs)
    logits = AlignedStorage(count: block * classes)
  }

  /// Length of a point: W [classes, inputs] row by row, then b [classes].
  var dimension: Int { classes * inputs + classes }

  /// Value at `point`; writes the gradient, as long as the point.
  func callAsFunction(_ point: [Double], _ gradient: inout [Double]) -> Double {
    let total = sampleWeights.reduce(0, +)
    for index in gradient.indices { gradient[index] = 0 }
    var loss = 0.0
    forEachBlock(at: point) { rows in
      loss += residuals(rows, scale: 1 / total, gradient: &gradient)
      addWeightGradient(rows, to: &gradient)
    }
    var squares = 0.0
    for index in 0..<classes * inputs {
      squares += point[index] * point[index]
      gradient[index] += penalty * point[index]
    }
    return loss / total + penalty / 2 * squares
  }

  /// Summed loss of the samples for which `isIncluded`, each counting 1.
  func loss(at point: [Double], where isIncluded: (Int) -> Bool) -> Double {
    var loss = 0.0
    forEachBlock(at: point) { rows in
      for sample in rows where isIncluded(sample) {
        let row = row(sample - rows.lowerBound)
        if let targets {
          for index in row.indices {
            loss += term(row[index], targets, sample, index, isWeighted: false)?.loss ?? 0
          }
          continue
        }
        let (maximum, sum) = UnsafeBufferPointer(row).softmaxDenominator
        loss += log(sum) + maximum - Double(row[labels[sample]])
      }
    }
    return loss
  }

  /// Computes the logits of each block of rows, then calls `body` with the rows.
  private func forEachBlock(at point: [Double], _ body: (Range<Int>) -> Void) {
    guard let x = features.elements.baseAddress, let w = weights.elements.baseAddress,
      let z = logits.elements.baseAddress
    else { return }
    for index in 0..<classes * inputs { weights.elements[index] = Float(point[index]) }
    for start in stride(from: 0, to: samples, by: block) {
      let rows = start..<min(start + block, samples)
      LinearAlgebra.multiply(
        MatrixView(UnsafePointer(x + start * inputs), rows: rows.count, columns: inputs),
        MatrixView(UnsafePointer(w), rows: inputs, columns: classes, transposed: true), into: z)
      for local in 0..<rows.count {
        for index in 0..<classes {
          z[local * classes + index] += Float(point[classes * inputs + index])
        }
      }
      body(rows)
    }
  }

  private func row(_ local: Int) -> UnsafeMutableBufferPointer<Float> {
    UnsafeMutableBufferPointer(
      rebasing: logits.elements[local * classes..<(local + 1) * classes])
  }

  /// Replaces logits by s[i] * scale * (p - y), adds their sums to the bias gradient and returns the
  /// weighted loss.
  private func residuals(
    _ rows: Range<Int>, scale: Double, gradient: inout [Double]
  ) -> Double {
    var loss = 0.0
    for sample in rows {
      let row = row(sample - rows.lowerBound)
      let weight = sampleWeights[sample]
      guard weight != 0 else {
        row.update(repeating: 0)
        continue
      }
      if let targets {
        for index in row.indices {
          let term = term(row[index], targets, sample, index, isWeighted: true)
          loss += weight * (term?.loss ?? 0)
          let residual = weight * scale * (term?.slope ?? 0)
          gradient[classes * inputs + index] += residual
          row[index] = Float(residual)
        }
        continue
      }
      let (maximum, sum) = UnsafeBufferPointer(row).softmaxDenominator
      loss += weight * (log(sum) + maximum - Double(row[labels[sample]]))
      for index in row.indices {
        let probability = exp(Double(row[index]) - maximum) / sum
        let residual = weight * scale * (probability - (index == labels[sample] ? 1 : 0))
        gradient[classes * inputs + index] += residual
        row[index] = Float(residual)
      }
    }
    return loss
  }

  /// Loss and slope of one logit; nil where nobody knows the label.
  private func term(
    _ logit: Float, _ targets: TargetRows, _ sample: Int, _ index: Int, isWeighted: Bool
  ) -> (loss: Double, slope: Double)? {
    guard let label = targets.label(sample, index) else { return nil }
    let weight =
      isWeighted && label && !positiveWeights.isEmpty ? Double(positiveWeights[index]) : 1
    return SigmoidCrossEntropy.term(Double(logit), target: label ? 1 : 0, weight: weight)
  }

  /// Adds residuals^T [classes, rows] * features [rows, inputs].
  private func addWeightGradient(_ rows: Range<Int>, to gradient: inout [Double]) {
    guard let x = features.elements.baseAddress, let g = blockGradient.elements.baseAddress,
      let residuals = logits.elements.baseAddress
    else { return }
    LinearAlgebra.multiply(
      MatrixView(UnsafePointer(residuals), rows: classes, columns: rows.count, transposed: true),
      MatrixView(UnsafePointer(x + rows.lowerBound * inputs), rows: rows.count, columns: inputs),
      into: g)
    for index in 0..<classes * inputs { gradient[index] += Double(g[index]) }
  }
}
