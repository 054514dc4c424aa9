// SPDX-License-Identifier: Apache-2.0

/// Two heads, the network's own and one solved anew, on the same photos.
package struct HeadPair: Sendable, Equatable {
  /// The network's own head.
  package let own: PhotoResults
  /// A head that has not seen the photos.
  package let solved: PhotoResults

  /// Collects results of the same photos.
  package init(own: PhotoResults, solved: PhotoResults) {
    (self.own, self.solved) = (own, solved)
  }
}

/// Which statistics a head was made for.
///
/// A fresh head says how much the features of one choice of statistics are worth against those of
/// another. The network's own head was made for one of the two, and does better there, and worse on
/// the other, than features alone explain. So, photo by photo,
///
///     (own on statistics of the data - own on running ones) - (fresh on the former - fresh on the latter)
///
/// is above 0 for a head that was trained on batch statistics and below 0 for one trained on running
/// ones, whether the photos are those of its training, new or unlike them. The same difference tells
/// whether a head belongs to the checkpoint's statistics or to those it was saved with.
package struct HeadPreference: Sendable, Equatable, Codable {
  /// How many standard errors the difference of differences is above 0, in right photos.
  package let accuracyScore: Double
  /// The same in losses, each of ``largestLoss`` at most.
  package let lossScore: Double
  /// What its own head gains by statistics of the data, in accuracy.
  package let gain: Double
  /// What its own head gains by them, in loss.
  package let lossGain: Double
  /// How many standard errors its own head is above guessing, in the better phase.
  package let skill: Double

  /// A loss that a confident mistake may have; beyond it a single photo would decide.
  private static let largestLoss = 6.0

  /// Compares heads on running statistics and on others (those of the data); several sets of photos
  /// count together.
  ///
  /// - Parameter chance: share of right photos that guessing reaches.
  package init(_ sets: [(running: HeadPair, anew: HeadPair)], chance: Double) {
    func all(_ value: (PhotoResults) -> [Double], _ solved: Bool) -> [Double] {
      sets.flatMap { set in
        zip(
          value(solved ? set.anew.solved : set.anew.own),
          value(solved ? set.running.solved : set.running.own)
        ).map { $0 - $1 }
      }
    }
    let right: (PhotoResults) -> [Double] = { $0.isRight.map { $0 ? 1 : 0 } }
    let loss: (PhotoResults) -> [Double] = {
      $0.losses.map { min($0, HeadPreference.largestLoss) }
    }
    let (rightOwn, lossOwn) = (all(right, false), all(loss, false))
    accuracyScore = HeadPreference.score(zip(rightOwn, all(right, true)).map { $0 - $1 })
    lossScore = HeadPreference.score(zip(lossOwn, all(loss, true)).map { $1 - $0 })
    let count = Double(max(rightOwn.count, 1))
    gain = rightOwn.reduce(0, +) / count
    lossGain = -lossOwn.reduce(0, +) / count
    let best =
      [sets.flatMap { right($0.running.own) }, sets.flatMap { right($0.anew.own) }]
      .map { $0.reduce(0, +) / count }.max() ?? 0
    skill = (best - chance) / (max(chance * (1 - chance), 1e-9) / count).squareRoot()
  }

  /// Whether it is better than guessing by enough to be made for anything. A head that knows little gains
  /// by whatever separates the classes better, and the data's own statistics often do.
  package var isSkilled: Bool { skill > 4 }

  /// Whether it was made for the other statistics: it knows something, does better by them (or, when that
  /// is very clear, hardly worse), and gains by them what no fresh head does.
  package var prefersOther: Bool {
    let sum = accuracyScore + lossScore
    guard isSkilled, min(accuracyScore, lossScore) > 0, sum > 3.5 else { return false }
    return gain > 0 || (gain > -0.005 && lossGain > 0) || (gain > -0.02 && sum > 4)
  }

  /// Whether it was made for running statistics.
  package var prefersRunning: Bool {
    accuracyScore + lossScore < -2 && max(accuracyScore, lossScore) < 0
  }

  /// The mean over its standard error; 0 when all differences are the same.
  private static func score(_ differences: [Double]) -> Double {
    let count = Double(max(differences.count, 1))
    let mean = differences.reduce(0, +) / count
    let squares = differences.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
    let error = (squares / max(count - 1, 1) / count).squareRoot()
    return error > 0 ? mean / error : 0
  }
}
