// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawTestSupport
import ThawTraining

private struct LossCase: Decodable {
  let classes: Int
  let smoothing: Double
  let weights: [Float]
  let logits: [Float]
  let labels: [Int32]
  let targets: [Float]
  let loss: Double
  let gradient: [Double]
}

/// Mean loss and its gradient.
private func evaluate(
  _ loss: SoftmaxCrossEntropy, _ logits: [Float], classes: Int, labels: [Int32] = [],
  targets: [Float] = []
) -> (mean: Double, gradient: [Float]) {
  var gradient = [Float](repeating: .nan, count: logits.count)
  let mean = logits.withUnsafeBufferPointer { logits in
    labels.withUnsafeBufferPointer { labels in
      targets.withUnsafeBufferPointer { targets in
        gradient.withUnsafeMutableBufferPointer { gradient in
          let goal: BatchTargets = labels.isEmpty ? .probabilities(targets) : .labels(labels)
          return loss.evaluate(
            logits, classes: classes, targets: goal,
            divisor: loss.weight(of: goal, classes: classes), gradient: gradient
          ).mean
        }
      }
    }
  }
  return (mean, gradient)
}

@Suite struct LossTests {
  /// PyTorch 2.15 `CrossEntropyLoss` in Double: weights, smoothing, labels and distributions.
  @Test func agreesWithPyTorchInEveryCombination() throws {
    let cases = try golden("losses", as: [LossCase].self)
    #expect(cases.count == 8)
    for test in cases {
      let loss = SoftmaxCrossEntropy(labelSmoothing: test.smoothing, classWeights: test.weights)
      let (mean, gradient) = evaluate(
        loss, test.logits, classes: test.classes, labels: test.labels, targets: test.targets)
      #expect(abs(mean - test.loss) < 1e-6 * (1 + abs(test.loss)))
      expectClose(gradient.map(Double.init), test.gradient, absolute: 1e-7, "gradient")
    }
  }

  @Test func hugeLogitsStayFinite() {
    let (mean, gradient) = evaluate(
      SoftmaxCrossEntropy(), [1e30, -1e30, 1e4, 1e4 - 1], classes: 2, labels: [0, 1])
    #expect(abs(mean - (0 + 1.3132616875) / 2) < 1e-6)
    expectClose(gradient, [0, 0, 0.3655293, -0.3655293])
  }

  @Test func partsOfABatchAddUpToTheWhole() {
    let loss = SoftmaxCrossEntropy(labelSmoothing: 0.2, classWeights: [1, 3, 0.5])
    let logits: [Float] = [1, 2, 3, -1, 0, 1, 0.5, 0.2, 0.1]
    let labels: [Int32] = [2, 1, 0]
    let whole = evaluate(loss, logits, classes: 3, labels: labels)
    var (parts, total) = ([Float](), LossTotal())
    for sample in 0..<3 {
      var gradient = [Float](repeating: 0, count: 3)
      total += gradient.withUnsafeMutableBufferPointer { gradient in
        Array(logits[sample * 3..<sample * 3 + 3]).withUnsafeBufferPointer { row in
          [labels[sample]].withUnsafeBufferPointer {
            loss.evaluate(
              row, classes: 3, targets: .labels($0), divisor: 4.5, gradient: gradient)
          }
        }
      }
      parts += gradient
    }
    #expect(parts == whole.gradient)
    #expect(abs(total.mean - whole.mean) < 1e-12)
  }

  @Test func aBatchOfWeightlessClassesHasNoLossAndNoGradient() {
    let (mean, gradient) = evaluate(
      SoftmaxCrossEntropy(classWeights: [0, 1]), [3, 1], classes: 2, labels: [0])
    #expect(mean == 0)
    #expect(gradient == [0, 0])
  }

  @Test func nanLogitsGiveANaNLoss() {
    #expect(
      evaluate(SoftmaxCrossEntropy(), [0, .nan], classes: 2, labels: [0]).mean.isNaN)
  }
}

@Suite struct ClassBalanceTests {
  /// scikit-learn `compute_class_weight("balanced")` of 6, 3, 1 samples: 10 / (3 * count).
  @Test func balancedWeightsAreInverseToTheCounts() {
    let balance = ClassBalance(labels: [0, 0, 0, 0, 0, 0, 1, 1, 1, 3], classes: 4)
    #expect(balance.counts == [6, 3, 0, 1])
    expectClose(balance.weights(.balanced), [10.0 / 18, 10.0 / 9, 1, 10.0 / 3])
    expectClose(
      balance.weights(.squareRoot), [0.745356, 1.0540926, 1, 1.8257419])
    #expect(balance.weights(.none) == [1, 1, 1, 1])
  }

  @Test func absentClassesDoNotMakeTheOthersUneven() {
    #expect(ClassBalance(counts: [90, 30, 0]).ratio == 3)
    #expect(ClassBalance(counts: [0, 0]).ratio == 1)
  }
}
