// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing
import ThawDiagnosis
import ThawTraining

/// A history with these losses; accuracies of `train` and `valid` throughout.
private func history(
  _ trainLosses: [Double], valid validLosses: [Double?]? = nil, train: Double = 0.97,
  validAccuracy: Double? = nil
) -> [EpochRecord] {
  trainLosses.enumerated().map { epoch, loss in
    EpochRecord(
      epoch: epoch, trainLoss: loss, trainAccuracy: train,
      validLoss: validLosses?[epoch], validAccuracy: validAccuracy, learningRates: [0.1],
      seconds: 1)
  }
}

@Suite struct FitDiagnosisTests {
  private func kinds(_ history: [EpochRecord]) -> [FitHint.Kind] {
    FitDiagnosis.hints(history).map(\.kind)
  }

  @Test func aHealthyRunHasNoHints() {
    let valid = [0.9, 0.7, 0.6, 0.55, 0.54, 0.545]
    #expect(
      kinds(history([1, 0.7, 0.5, 0.45, 0.42, 0.41], valid: valid, validAccuracy: 0.93)).isEmpty)
    #expect(kinds([]).isEmpty)
    #expect(kinds(history([1, 9])).isEmpty)
  }

  @Test func jumpsAndSwingsMeanTooHighARate() {
    #expect(kinds(history([1, 0.6, 0.91])) == [.learningRateTooHigh])
    #expect(kinds(history([1, 0.6, 0.89])).isEmpty)
    let hint = FitDiagnosis.hints(history([1, 0.6, 2, 0.5])).first
    #expect(hint?.epoch == 2)
    #expect(hint?.message.contains("0.6 to 2.0 in epoch 3") == true)
    #expect(kinds(history([1, 0.9, 1, 0.85, 0.95])) == [.learningRateTooHigh])
    #expect(kinds(history([1, 0.9, 0.93, 0.85, 0.88])).isEmpty)
  }

  @Test func restartsAndNoiseAreNoJumps() {
    var restarted = history([1, 0.6, 2, 0.5])
    for (epoch, rate) in [0.05, 0.01, 0.1, 0.05].enumerated() {
      restarted[epoch].learningRates = [rate / 10, rate]
    }
    #expect(kinds(restarted).isEmpty)
    restarted[3].trainLoss = 4
    #expect(kinds(restarted) == [.learningRateTooHigh])
    #expect(kinds(history([1, 0.002, 0.013, 0.001, 0.02, 0.002])).isEmpty)
    // A trained head whose photos are drawn anew begins so.
    #expect(kinds(history([0.03, 0.16, 0.04])).isEmpty)
    #expect(kinds(history([0.099, 0.17, 0.294, 0.16, 0.048, 0.02])).isEmpty)
    #expect(kinds(history([0.099, 0.17, 0.294, 0.16])) == [.learningRateTooHigh])
    #expect(kinds(history([1, 0.002, 0.22])) == [.learningRateTooHigh])
  }

  @Test func aValidationLossThatTurnsOrAGapMeansOverfitting() {
    let falling = [1, 0.7, 0.5, 0.3, 0.2]
    #expect(kinds(history(falling, valid: [0.9, 0.7, 0.65, 0.7, 0.72])) == [.overfitting])
    #expect(FitDiagnosis.hints(history(falling, valid: [0.9, 0.7, 0.65, 0.7, 0.72]))[0].epoch == 2)
    #expect(kinds(history(falling, valid: [0.9, 0.7, 0.65, 0.66, 0.7])).isEmpty)
    // A single bad last epoch is noise.
    #expect(kinds(history(falling, valid: [0.9, 0.7, 0.65, 0.6, 0.9])).isEmpty)
    #expect(kinds(history(falling, train: 0.97, validAccuracy: 0.86)) == [.overfitting])
    #expect(kinds(history(falling, train: 0.97, validAccuracy: 0.88)).isEmpty)
  }

  @Test func aLossThatStillFallsAtTheEndMeansUnderfitting() {
    let falling = [1, 0.9, 0.8]
    #expect(kinds(history(falling, valid: [1, 0.9, 0.8], train: 0.7)) == [.underfitting])
    #expect(kinds(history(falling, valid: [1, 0.9, 0.8], train: 0.96)).isEmpty)
    #expect(kinds(history(falling, valid: [1, 0.9, 0.89], train: 0.7)).isEmpty)
  }

  @Test func aStandstillBeforeThePhotosAreLearnedIsAPlateau() {
    let flat = [1, 0.601, 0.6, 0.6, 0.6, 0.6, 0.599]
    #expect(kinds(history(flat, train: 0.7)) == [.plateau])
    #expect(kinds(history(flat, train: 0.96)).isEmpty)
    #expect(kinds(history([1, 0.61, 0.6, 0.6, 0.6, 0.6, 0.59], train: 0.7)).isEmpty)
  }

  /// Where the head alone trained there is no thawed layer to have more or fewer of.
  @Test func adviceForAHeadSpeaksOfNoThawedLayers() {
    let histories = [
      history([1, 0.7, 0.5, 0.3, 0.2], valid: [0.9, 0.7, 0.65, 0.7, 0.72]),
      history([1, 0.9, 0.8], valid: [1, 0.9, 0.8], train: 0.7),
      history([1, 0.601, 0.6, 0.6, 0.6, 0.6, 0.599], train: 0.7),
    ]
    for history in histories {
      let head = FitDiagnosis.hints(history, isHeadAlone: true)
      #expect(head.map(\.kind) == kinds(history) && head.count == 1)
      #expect(!head[0].message.contains("thaw"), "\(head[0].message)")
      #expect(FitDiagnosis.hints(history)[0].message.contains("thaw"))
    }
  }

  @Test func hintsTravelAsJSON() throws {
    let hints = FitDiagnosis.hints(history([1, 0.6, 2, 0.5]))
    let json = try JSONEncoder().encode(hints)
    #expect(try JSONDecoder().decode([FitHint].self, from: json) == hints)
    #expect(String(decoding: json, as: UTF8.self).contains("learning_rate_too_high"))
  }
}
