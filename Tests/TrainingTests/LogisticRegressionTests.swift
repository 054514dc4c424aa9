// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawTensors
import ThawTestSupport
import ThawTraining

private struct Fit: Decodable {
  let c: Double
  let standardized: Bool
  let balanced: Bool
  let weight: [Float]
  let bias: [Float]
  let accuracy: Double
  let loss: Double
}

private struct LogisticCase: Decodable {
  let classes: Int
  let inputs: Int
  let features: [Float]
  let test: [Float]
  let labels: [Int]
  let fits: [Fit]

  func source(_ elements: [Float]) -> InMemoryFeatures {
    InMemoryFeatures(Tensor(elements, shape: [labels.count, inputs]), labels: labels)
  }
}

/// Logits of a model, computed plainly.
private func evaluate(
  _ model: LogisticModel, _ source: InMemoryFeatures
) throws -> Evaluation {
  let classes = model.bias.count
  let inputs = source.stride
  let logits = (0..<source.count).flatMap { sample in
    (0..<classes).map { row in
      (0..<inputs).reduce(model.bias[row]) {
        $0 + model.weight[row * inputs + $1] * source.features[sample * inputs + $1]
      }
    }
  }
  return try Evaluation(
    split: "test", classNames: (0..<classes).map(String.init),
    logits: Tensor(logits, shape: [source.count, classes]), labels: source.labels)
}

@Suite struct LogisticRegressionTests {
  @Test func aSolverThatDidNotConvergeSaysSoAndWhatToDo() throws {
    let test = try #require(try golden("logistic", as: [LogisticCase].self).first)
    var solver = LogisticRegression(regularization: .inverseStrength(10), maximumIterations: 2)
    let cut = try solver.fit(test.source(test.features), classes: test.classes)
    #expect(!cut.isConverged && cut.gradientMaximum > solver.tolerance)
    let complaint = try #require(cut.complaint)
    #expect(complaint.contains("did not converge in 2 iterations"))
    #expect(complaint.contains("\(Float(cut.gradientMaximum)), expected at most 1e-05"))
    #expect(complaint.contains("Set regularization below 10.0"))
    solver.maximumIterations = 500
    let whole = try solver.fit(test.source(test.features), classes: test.classes)
    #expect(whole.isConverged && whole.complaint == nil)
  }

  /// scikit-learn 1.9 `LogisticRegression(tol=1e-10)`: three and two classes, two C, with and
  /// without standardisation and balanced class weights.
  @Test func agreesWithScikitLearn() throws {
    for test in try golden("logistic", as: [LogisticCase].self) {
      #expect(test.fits.count == 8)
      let balance = ClassBalance(labels: test.labels, classes: test.classes)
      for fit in test.fits {
        let solver = LogisticRegression(
          regularization: .inverseStrength(fit.c), standardizes: fit.standardized,
          classWeights: fit.balanced ? balance.weights(.balanced) : [], tolerance: 1e-6)
        let model = try solver.fit(test.source(test.features), classes: test.classes)
        #expect(model.isConverged)
        expectClose(model.weight.elements, fit.weight, relative: 1e-3, absolute: 1e-4, "weight")
        expectClose(model.bias.elements, fit.bias, relative: 1e-3, absolute: 1e-4, "bias")
        let result = try evaluate(model, test.source(test.test))
        #expect(abs(result.accuracy - fit.accuracy) < 1e-9)
        #expect(abs(result.loss - fit.loss) < 1e-4)
      }
    }
  }

  @Test func sameInputGivesTheSameBits() throws {
    let source = clouds(200, inputs: 20, classes: 4, seed: 5, spread: 2)
    let solver = LogisticRegression()
    #expect(try solver.fit(source, classes: 4) == solver.fit(source, classes: 4))
  }

  @Test func automaticStrengthHasTheLowestHeldOutLoss() throws {
    // Many noisy features and few samples: a weak penalty overfits.
    let source = clouds(60, inputs: 40, classes: 3, seed: 5, spread: 6)
    let model = try LogisticRegression().fit(source, classes: 3)
    let best = try #require(model.trials.min { $0.loss < $1.loss })
    #expect(model.inverseStrength == best.inverseStrength)
    #expect(model.inverseStrength <= 0.01)
    #expect(model.trials.count >= 3)
    let weak = try LogisticRegression(regularization: .inverseStrength(100))
      .fit(source, classes: 3)
    let fresh = clouds(300, inputs: 40, classes: 3, seed: 6, spread: 6)
    #expect(try evaluate(model, fresh).loss < evaluate(weak, fresh).loss)
  }

  @Test func constantFeaturesAndSingleSamplesAreSafe() throws {
    let features: [Float] = [5, 0, 5, 0.1, 5, 1, 5, 1.1, 5, 7]
    let source = InMemoryFeatures(Tensor(features, shape: [5, 2]), labels: [0, 0, 1, 1, 2])
    let model = try LogisticRegression().fit(source, classes: 3)
    #expect(model.weight.elements.allSatisfy { $0.isFinite })
    #expect(model.bias.elements.allSatisfy { $0.isFinite })
  }

  @Test func badInputsAreNamed() {
    let source = InMemoryFeatures(Tensor([1, 2, .nan, 4], shape: [2, 2]), labels: [0, 1])
    #expect(throws: TrainingError.nonFinite(what: "the features", sample: 1)) {
      try LogisticRegression().fit(source, classes: 2)
    }
    #expect(throws: TrainingError.emptyClass(2)) {
      try LogisticRegression().fit(source, classes: 3)
    }
    let empty = InMemoryFeatures(Tensor(zeros: [0, 2]), labels: [])
    #expect(throws: TrainingError.noSamples(split: "train")) {
      try LogisticRegression().fit(empty, classes: 2)
    }
  }
}
