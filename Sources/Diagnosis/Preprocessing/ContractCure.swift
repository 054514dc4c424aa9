// SPDX-License-Identifier: Apache-2.0

import ThawInference
import ThawTensors

/// What the better contract does for a network as it stands, on photos with known classes.
///
/// A head that was trained on wrongly prepared photos has learned to live with them: for it the right
/// contract is no cure but a loss, until it is trained again. So the cure is tried before it is
/// recommended.
package struct ContractCure: Sendable, Equatable, Codable {
  /// Share of right photos as declared.
  package var before: Double
  /// Share of right photos under the better contract.
  package var accuracy: Double
  /// Where that share of as many other photos lies, 95 times in 100, if the network was not trained on
  /// these.
  package var interval: [Double]
  /// Photos that only the better contract gets right, and only the declared one.
  package var gained: Int
  package var lost: Int
  /// See ``PairedLosses/sigma``.
  package var sigma: Double
  /// Number of photos.
  package var photos: Int

  /// Compares results of the same photos; nil for none.
  package init?(declared: PhotoResults, better: PhotoResults) {
    guard !declared.isRight.isEmpty else { return nil }
    let pair = PairedLosses(first: declared, second: better)
    (before, accuracy) = (declared.accuracy, better.accuracy)
    (gained, lost, sigma, photos) = (pair.gained, pair.lost, pair.sigma, pair.count)
    let range = BatchNormFixes.newPhotos(accuracy, photos)
    interval = [range.lowerBound, range.upperBound]
  }

  /// Whether the better contract does worse, beyond chance.
  package var isHarmful: Bool { sigma < -2 }

  /// Whether it does better, beyond chance.
  package var isHelpful: Bool { sigma > 2 }
}

extension ContractTrial {
  /// Tries the better contract on those photos whose folders are classes of the network; nil when there
  /// are fewer than eight, or when the contract is not wrong.
  func cure() throws -> ContractCure? {
    guard judgement.status == .wrong else { return nil }
    var columns: [String: Int] = [:]
    for (index, name) in classifier.classNames.enumerated() { columns[name] = index }
    let labelled = (0..<photos.count).compactMap { index in
      photos.className(index).flatMap { columns[$0] }.map { (index, $0) }
    }
    guard labelled.count >= ContractJudgement.fewestPhotos else { return nil }
    func results(_ logits: Tensor<Float>) -> PhotoResults {
      PhotoResults(logits.rows(labelled.map(\.0)), labelled.map(\.1))
    }
    let best = candidates[judgement.best].preprocessing
    return ContractCure(
      declared: results(
        try photos.logits(classifier, as: classifier.preprocessing, first: photos.count)),
      better: results(try photos.logits(classifier, as: best, first: photos.count)))
  }
}
