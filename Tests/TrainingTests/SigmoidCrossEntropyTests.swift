// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawTensors
import ThawTestSupport
import ThawTraining

private struct SigmoidCase: Decodable {
  let classes: Int
  let weights: [Float]
  let logits: [Float]
  let targets: [Float]
  let loss: Double
  let gradient: [Float]
}

extension SigmoidCrossEntropy {
  fileprivate func run(
    _ logits: [Float], classes: Int, targets: [Float], divisor: Double? = nil
  ) -> (total: LossTotal, gradient: [Float]) {
    var gradient = [Float](repeating: .nan, count: logits.count)
    let total = logits.withUnsafeBufferPointer { logits in
      targets.withUnsafeBufferPointer { targets in
        gradient.withUnsafeMutableBufferPointer { gradient in
          evaluate(
            logits, classes: classes, targets: .probabilities(targets),
            divisor: divisor ?? Double(targets.count), gradient: gradient)
        }
      }
    }
    return (total, gradient)
  }
}

@Suite struct SigmoidCrossEntropyTests {
  /// PyTorch 2.15 `BCEWithLogitsLoss`, several labels a sample, one row of shares.
  @Test func agreesWithPyTorch() throws {
    let cases = try golden("sigmoid", as: [SigmoidCase].self)
    #expect(cases.map(\.weights.isEmpty) == [true, false])
    for test in cases {
      let loss = SigmoidCrossEntropy(positiveWeights: test.weights)
      let (total, gradient) = loss.run(
        test.logits, classes: test.classes, targets: test.targets)
      expectClose([total.mean], [test.loss], relative: 1e-12, absolute: 0)
      expectClose(gradient, test.gradient, relative: 1e-6, absolute: 1e-30)
    }
  }

  @Test func smoothingMovesTargetsTowardsAHalf() {
    let logits: [Float] = [1, -2, 0.5, 3]
    let smoothed = SigmoidCrossEntropy(labelSmoothing: 0.2).run(
      logits, classes: 2, targets: [1, 0, 0, 1])
    let plain = SigmoidCrossEntropy().run(logits, classes: 2, targets: [0.9, 0.1, 0.1, 0.9])
    expectClose([smoothed.total.mean], [plain.total.mean])
    expectClose(smoothed.gradient, plain.gradient)
  }

  @Test func partsAddUpToTheWholeAndHugeLogitsStayFinite() {
    let loss = SigmoidCrossEntropy(positiveWeights: [2, 3])
    let logits: [Float] = [1e30, -1e30, 0.5, 3]
    let whole = loss.run(logits, classes: 2, targets: [0, 1, 1, 0])
    #expect(whole.total.sum.isFinite)
    #expect(whole.gradient.allSatisfy { $0.isFinite })
    var sum = LossTotal()
    var gradient: [Float] = []
    for row in 0..<2 {
      let part = loss.run(
        Array(logits[row * 2..<row * 2 + 2]), classes: 2,
        targets: Array([0, 1, 1, 0][row * 2..<row * 2 + 2]), divisor: 4)
      sum += part.total
      gradient += part.gradient
    }
    #expect(sum == whole.total)
    #expect(gradient == whole.gradient)
    #expect(loss.run([.nan, 0], classes: 2, targets: [0, 1]).total.sum.isNaN)
  }

  @Test func labelsAreOneHotRows() {
    let logits: [Float] = [1, -2, 0.5, 3, 0, 1]
    let rows = SigmoidCrossEntropy().run(logits, classes: 3, targets: [0, 1, 0, 1, 0, 0])
    let labels: [Int32] = [1, 0]
    let total = logits.withUnsafeBufferPointer { logits in
      labels.withUnsafeBufferPointer {
        SigmoidCrossEntropy().evaluate(
          logits, classes: 3, targets: .labels($0), divisor: 6, gradient: nil)
      }
    }
    #expect(total == rows.total)
    #expect(total.weight == 6)
  }
}
