// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing
import ThawNetwork
import ThawTensors
import ThawTestSupport
import ThawTraining

/// What makes probabilities of logits.
@Suite struct OutputActivationTests {
  private let logits = Tensor<Float>([-2, 0, 3, 90, -90, 0.5], shape: [2, 3])

  @Test func softmaxIsWhatItWas() {
    #expect(Probabilities.of(logits, by: .softmax) == Probabilities.softmax(logits))
  }

  @Test func independentSigmoidsAreOneAClass() {
    let found = Probabilities.of(logits, by: .independentSigmoids)
    expectClose(
      found.elements.map(Double.init), logits.elements.map { 1 / (1 + exp(-Double($0))) },
      relative: 1e-6, absolute: 1e-30)
    #expect(found.shape == [2, 3])
  }

  /// The second class has the sigmoid, the first what is left of 1.
  @Test func aSingleSigmoidIsTwoClasses() {
    let one = Tensor<Float>([-2, 0, 30, -30], shape: [4, 1])
    let found = Probabilities.of(one, by: .singleSigmoid)
    #expect(found.shape == [4, 2])
    for (index, logit) in one.elements.enumerated() {
      let yes = 1 / (1 + exp(-Double(logit)))
      expectClose(
        [Double(found[2 * index]), Double(found[2 * index + 1])], [1 - yes, yes], relative: 1e-6,
        absolute: 1e-14)
    }
    #expect(Probabilities.predictions(found) == [0, 0, 1, 0])
  }

  @Test func numbersOfOutputsAndClassesGoTogether() {
    #expect(OutputActivation.singleSigmoid.outputs(classes: 2) == 1)
    #expect(OutputActivation.singleSigmoid.classes(outputs: 1) == 2)
    #expect(!OutputActivation.singleSigmoid.fits(classes: 3))
    for activation in [OutputActivation.softmax, .independentSigmoids] {
      #expect(activation.outputs(classes: 5) == 5 && activation.classes(outputs: 5) == 5)
      #expect(activation.fits(classes: 1) && !activation.fits(classes: 0))
    }
  }
}
