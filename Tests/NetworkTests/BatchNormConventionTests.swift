// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawNetwork

@Suite struct BatchNormConventionTests {
  @Test(arguments: [
    ("keras-2.1.2", BatchNormMode.staleUpdate), ("keras-2.1.3", .batchStatistics),
    ("keras-3", .inference), ("pytorch", .staleUpdate), ("fastai-2", .training),
    ("timm", .inference), ("batchStatistics", .batchStatistics), ("training", .training),
  ])
  func aSystemsFrozenBatchNormIsWhatItReallyDoes(name: String, mode: BatchNormMode) {
    #expect(BatchNormMode(frozen: name) == mode)
  }

  @Test func batchNormsThatTrainAreTheSameInEverySystem() {
    for system in BatchNormConvention.allCases {
      #expect(BatchNormMode(trainable: system.rawValue) == .training)
    }
    #expect(BatchNormMode(trainable: "inference") == .inference)
  }

  @Test func unknownNamesHaveNoMode() {
    #expect(BatchNormMode(frozen: "keras") == nil)
    #expect(BatchNormMode(trainable: "") == nil)
    #expect(BatchNormMode.knownNames.count == 10)
  }

  @Test func theRunningVarianceIsCorrectedAsTheSystemDoes() {
    #expect(VarianceCorrection.bessel.factor(count: 5) == 1.25)
    #expect(VarianceCorrection.none.factor(count: 5) == 1)
    #expect(VarianceCorrection.besselTwice.factor(count: 5) == 1.5625)
    #expect(VarianceCorrection.bessel.factor(count: 1) == 1)
  }
}
