// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing
import ThawReports
import ThawTraining

@Suite struct ResultWordsTests {
  private static func words(
    _ counts: [[Int]], split: String = "valid", chose: Bool = true,
    untouched: ResultWords.Untouched = .share
  ) throws -> ResultWords {
    let names = ["ants", "bees", "cats", "dogs"].prefix(counts.count)
    return ResultWords(
      try SampleReport.evaluation(Array(names), counts, split: split), validationChose: chose,
      untouched: untouched)
  }

  @Test func validationPhotosAreNotSaidToBeUntouched() throws {
    let valid = try Self.words([[65, 5], [3, 80]])
    #expect(valid.figure == "94.8\u{A0}%")
    #expect(valid.plain == "About 19 of 20 photos are named correctly.")
    #expect(
      valid.basis
        == "145 of 153 validation photos right; they also chose the weights, so expect slightly less"
        + " on new photos; for an untouched number train with --test 0.2.")
    #expect(
      valid.interval
        == "Going by chance alone, the true accuracy lies between 90\u{A0}% and 97\u{A0}% (95\u{A0}%"
        + " confidence).")
    #expect(
      try Self.words([[65, 5], [3, 80]], untouched: .evaluate).basis.hasSuffix(
        "for an untouched number evaluate with --split test."))
    #expect(
      try Self.words([[65, 5], [3, 80]], untouched: .folder).basis.hasSuffix(
        "for an untouched number put photos aside in a folder 'test' and train again."))
    let untouched = "145 of 153 validation photos right, which nothing was chosen by."
    #expect(try Self.words([[65, 5], [3, 80]], chose: false).basis == untouched)
    #expect(
      try Self.words([[65, 5], [3, 80]], split: "test").basis
        == "145 of 153 test photos right, which nothing was chosen by.")
    #expect(
      try Self.words([[65, 5], [3, 80]], split: "train").basis.contains(
        "learnt from these very photos"))
    #expect(try Self.words([[1]], split: "test").basis.hasPrefix("1 of 1 test photo right,"))
  }

  @Test func whatSpeaksAgainstANumberIsSaidOnlyWhenItDoes() throws {
    #expect(
      try Self.words([[65, 5], [3, 80]]).caution
        == "These are validation photos: they also chose the weights, so expect slightly less on new"
        + " photos; for an untouched number train with --test 0.2.")
    #expect(try Self.words([[65, 5], [3, 80]], chose: false).caution == nil)
    #expect(try Self.words([[65, 5], [3, 80]], split: "test").caution == nil)
    let few = try Self.words([[3, 0], [0, 3]], split: "test")
    #expect(few.caution == few.plain)
  }

  @Test func fewPhotosAreNoHeadline() throws {
    let few = try Self.words([[3, 0], [0, 3]])
    #expect(few.isFew && few.figure == "6 of 6" && few.interval == nil && few.smallClasses == nil)
    #expect(
      few.plain
        == "Too few photos to say much: with 6 photos for 2 classes the true accuracy may be anywhere"
        + " between 61\u{A0}% and 100\u{A0}%.")
    #expect(few.mistakes == "No mistake among them.")
    #expect(try Self.words([[1]]).plain.contains("with 1 photo for 1 class the"))
    let many = (0..<45).map { row in (0..<45).map { $0 == row ? 4 : 0 } }
    #expect(
      ResultWords(try SampleReport.evaluation((0..<45).map { "c\($0)" }, many)).plain
        == "Few photos: 180 photos for 45 classes put the true accuracy between 98\u{A0}% and"
        + " 100\u{A0}%, and say next to nothing of a single class.")
    #expect(try Self.words([[9, 0], [0, 10]]).isFew && !Self.words([[10, 0], [0, 10]]).isFew)
    #expect(
      try Self.words([[30, 0], [0, 1]]).smallClasses
        == "Little can be said of 'bees' by itself: 1 photo.")
    #expect(
      try Self.words([[50, 0, 0], [0, 9, 0], [0, 0, 2]]).smallClasses?.hasPrefix(
        "Little can be said of 2 classes by themselves") == true)
  }

  /// Ten frames of one second are one picture: a percentage of them is no headline either.
  @Test func fewPicturesAreFewPhotos() throws {
    var evaluation = try SampleReport.evaluation(["ants", "bees"], [[30, 0], [1, 29]])
    #expect(!ResultWords(evaluation).isFew)
    evaluation.independent = 12
    let words = ResultWords(evaluation)
    #expect(words.isFew && words.figure == "59 of 60")
    #expect(words.plain.contains("with 60 photos of 12 pictures for 2 classes"), "\(words.plain)")
    #expect(words.pictures == "The photos show 12 different pictures; chance goes by those.")
    evaluation.independent = 1
    #expect(ResultWords(evaluation).pictures?.contains("one picture") == true)
  }

  @Test func crossValidationStandsBesideTheNumberItQualifies() throws {
    var evaluation = try SampleReport.evaluation(
      ["ants", "bees"], [[65, 5], [3, 80]], split: "valid")
    #expect(ResultWords(evaluation).crossValidation == nil)
    evaluation.crossValidation = .init(count: 571, correct: 520)
    let words = ResultWords(evaluation)
    #expect(
      words.crossValidation
        == "In cross-validation 91.1\u{A0}% (88\u{A0}% to 93\u{A0}% by chance alone): of 571 photos,"
        + " each judged by a new head that was solved without it, 520 were right.")
    #expect(words.caution?.hasSuffix("520 were right.") == true)
    // Photos of one picture count once: chance reaches further.
    evaluation.crossValidation = .init(count: 571, correct: 520, independent: 57)
    #expect(
      ResultWords(evaluation).crossValidation?.contains("(81\u{A0}% to 96\u{A0}% by chance") == true
    )
    let copy = try JSONDecoder().decode(
      Evaluation.self, from: try JSONEncoder().encode(evaluation))
    #expect(copy == evaluation)
  }

  @Test func oneSentenceSaysHowManyOfWhat() throws {
    #expect(
      try Self.words([[65, 5], [3, 80]]).sentence
        == "145 of 153 validation photos right, 94.8\u{A0}%")
    #expect(try Self.words([[1]], split: "all").sentence.hasPrefix("1 of 1 photo right,"))
    #expect(
      try Self.words([[1]]).subject == "1 validation photo that it has not learned from")
    #expect(
      try Self.words([[9]], split: "train").subject == "9 training photos that it has learned from")
  }

  @Test func aConfusionIsNamedOnlyIfItStandsOut() throws {
    func mistakes(_ counts: [[Int]]) throws -> String { try Self.words(counts).mistakes }
    #expect(try mistakes([[20, 0], [0, 20]]) == "No mistakes among 40 photos.")
    #expect(try mistakes([[20, 1], [0, 20]]) == "1 mistake: 'ants' was taken for 'bees'.")
    #expect(try mistakes([[20, 4], [0, 20]]) == "4 mistakes: 'ants' was taken for 'bees'.")
    #expect(
      try mistakes([[20, 5], [3, 20]])
        == "8 mistakes: 5 of 'ants' taken for 'bees' and 3 of 'bees' taken for 'ants'.")
    #expect(
      try mistakes([[20, 1, 0], [0, 20, 1], [1, 0, 20]]) == "3 mistakes, no two alike.")
    #expect(
      try mistakes([[20, 2, 2], [2, 20, 0], [0, 2, 20]])
        == "8 mistakes of 4 kinds, none of which stands out.")
    #expect(
      try mistakes([[20, 6, 1], [3, 20, 0], [0, 0, 20]])
        == "10 mistakes; most often 'ants' was taken for 'bees' (6 photos).")
    #expect(
      try mistakes([[20, 6, 1], [4, 20, 0], [0, 0, 20]])
        == "11 mistakes of 3 kinds, none of which stands out.")
  }

  @Test(arguments: [
    (0, 100, "No photo was named correctly."), (100, 100, "Every photo was named correctly."),
    (50, 100, "About 1 of 2 photos are named correctly."),
    (87, 100, "About 17 of 20 photos are named correctly."),
    (97, 100, "About 97 of 100 photos are named correctly."),
    (99, 100, "About 99 of 100 photos are named correctly."),
    (9_999, 10_000, "About 999 of 1000 photos are named correctly."),
  ])
  func theAccuracyIsToldAsAFraction(right: Int, count: Int, text: String) throws {
    #expect(try Self.words([[right, count - right], [0, 0]]).plain == text)
  }
}
