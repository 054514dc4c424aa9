// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing
import ThawReports

/// How tags are counted and ranked.
struct ErrorAnalysisTests {
  /// 100 photos: the first 20 are mistakes.
  private let isWrong = (0..<100).map { $0 < 20 }

  private func tag(_ has: (Int) -> Bool) -> [Bool] { (0..<100).map(has) }

  @Test func theTagThatCostsMostComesFirst() throws {
    let analysis = ErrorAnalysis(
      split: "valid", key: nil, isWrong: isWrong,
      tags: [
        ("everywhere", nil, tag { _ in true }), ("blurred", "b", tag { $0 < 12 || $0 > 95 }),
        ("rare", nil, tag { $0 < 2 }), ("chance", nil, tag { $0 % 5 == 0 }),
        ("none", nil, tag { _ in false }),
      ])
    #expect(analysis.tags.first?.name == "blurred" && analysis.absent == ["none"])
    let blurred = analysis.tags[0]
    #expect(blurred.isClear && blurred.ofMistakes.count == 12 && blurred.ofMistakes.of == 20)
    #expect(blurred.ofSuccesses.count == 4 && blurred.ofSuccesses.of == 80)
    #expect(blurred.error.of == 16 && blurred.errorOfOthers.count == 8)
    #expect(abs(blurred.ceiling - 0.92) < 1e-12)
    // 8 mistakes in 84 others, so 16 * 8 / 84 of these.
    #expect(abs(blurred.accuracyIfLikeOthers - (1 - (8 + 16 * 8.0 / 84) / 100)) < 1e-12)
    for name in ["everywhere", "rare", "chance"] {
      #expect(analysis.tags.first { $0.name == name }?.isClear == false, "\(name)")
    }
    #expect(
      analysis.verdict.contains("'blurred' explains most: 12 of 20 mistakes have it")
        && analysis.verdict.contains("if none of them did, 92.0"))
  }

  @Test func nothingIsMadeUpOfFewMistakes() {
    let few = ErrorAnalysis(
      split: "valid", key: nil, isWrong: (0..<30).map { $0 < 2 },
      tags: [("dark", nil, (0..<30).map { $0 < 2 || $0 > 20 })])
    #expect(few.tags[0].isClear == false && few.verdict.contains("nothing that was looked at"))
    let none = ErrorAnalysis(
      split: "valid", key: nil, isWrong: [false, false], tags: [("dark", nil, [true, false])])
    #expect(none.verdict.contains("No mistake in 2 photos"))
  }
}
