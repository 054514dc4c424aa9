// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import Testing
import ThawDatasets
import ThawFiles
import ThawTestSupport

@Suite struct ManifestTests {
  private func sample(_ count: Int = 60) throws -> PhotoFolder {
    let data = try PhotoFolder()
    for name in ["a", "b", "c"] { try data.addPhotos(name, 0..<count) }
    return data
  }

  private func splits(_ manifest: Manifest) -> [BytePath: Split] {
    Dictionary(uniqueKeysWithValues: manifest.records.map { ($0.path, $0.split) })
  }

  @Test func aManifestReadsBackAsItWasWritten() throws {
    let data = try sample(4)
    try data.add(
      BytePath(bytes: Array("a/".utf8) + [0xFF] + Array("%.pnm".utf8)), Array("FAKE 9 8 odd".utf8))
    try data.addPhoto("a/cafe\u{301}/.hidden")
    try data.addPhoto("b/cafe\u{301}.pnm", payload: "x")
    try data.addPhoto("c/caf\u{E9}\n\\/x.pnm", payload: "x")
    try data.add(BytePath("c/bad.pnm"), [])
    let change: (inout ManifestBuilder) -> Void = {
      $0.policy = .skip
      $0.conflicts = .keep
    }
    let manifest = try data.manifest(existing: nil, change)
    let path = data.run.appending("manifest.json")
    try AtomicFile.write(path, bytes: manifest.json)
    let read = try Manifest(contentsOf: path)
    #expect(read == manifest)
    #expect(read.records.map(\.path.bytes) == manifest.records.map(\.path.bytes))
    #expect(try read.json == FileSystem.read(path))
    #expect(read.bad.count == 1 && read.duplicates.count == 1 && read.notes.count == 1)
    let again = try data.manifest(existing: nil, change)
    #expect(try again.json == manifest.json)
  }

  @Test func addingPhotosMovesNone() throws {
    let data = try sample()
    let first = try data.manifest()
    let before = splits(first)
    try data.addPhotos("a", 60..<110)
    try data.addPhotos("c", 60..<63)
    let second = try data.manifest(existing: first)
    let after = splits(second)
    #expect(before.count == 180 && after.count == 233)
    #expect(before.allSatisfy { after[$0.key] == $0.value })
    #expect(second.counts(in: .valid) == [22, 12, 13])
  }

  @Test func theNamesOfPhotosAndOtherClassesDecideNothing() throws {
    let before = splits(try sample().manifest())
    let moved = try PhotoFolder()
    for number in 0..<60 {
      try moved.addPhoto("a/renamed \(number).png", payload: "a/\(number).pnm")
      try moved.addPhoto("b/\(number).pnm", payload: "other \(number)")
    }
    for (path, split) in splits(try moved.manifest()) where path.description.hasPrefix("a/") {
      let number = path.description.split(separator: " ")[1].dropLast(4)
      #expect(before[BytePath("a/\(number).pnm")] == split)
    }
  }

  @Test(arguments: [
    (12, 0.2, 0.0, [10, 2, 0]), (5, 0.2, 0, [4, 1, 0]), (24, 0.5, 0, [12, 12, 0]),
    (200, 0.2, 0.1, [140, 40, 20]), (7, 0.01, 0.01, [5, 1, 1]), (2, 0.9, 0, [1, 1, 0]),
    (3, 0.45, 0.45, [1, 1, 1]), (10, 0.33, 0.33, [4, 3, 3]), (100, 0.29, 0, [71, 29, 0]),
    (2, 0.2, 0.2, [1, 1, 0]),
  ])
  func everyClassGetsItsExactShare(
    count: Int, valid: Double, test: Double, expected: [Int]
  ) throws {
    for seed in 0..<3 as Range<UInt64> {
      let manifest = try sample(count).manifest {
        $0.fractions = SplitFractions(valid: valid, test: test)
        $0.seed = seed
      }
      for (split, number) in zip(Split.allCases, expected) {
        #expect(manifest.counts(in: split) == [number, number, number], "seed \(seed)")
      }
    }
  }

  @Test func theSeedDecidesWhichPhotosAreHeldOut() throws {
    let data = try sample()
    let other = try data.manifest { $0.seed = 8 }
    #expect(splits(other) != splits(try data.manifest { $0.seed = 7 }))
  }

  @Test func sharesStayExactWhilePhotosAreAdded() throws {
    let data = try sample(10)
    var manifest = try data.manifest()
    for number in 10..<30 {
      for name in ["a", "b", "c"] { try data.addPhotos(name, number..<(number + 1)) }
      manifest = try data.manifest(existing: manifest)
      let quota = Int((Double(number + 1) * 0.2).rounded())
      #expect(manifest.counts(in: .valid).allSatisfy { abs($0 - quota) <= 1 })
    }
    #expect(
      manifest.counts(in: .valid) == [6, 6, 6] && manifest.counts(in: .train) == [24, 24, 24])
  }

  @Test(arguments: 0..<20)
  func theSmallestClassesHaveBothSplits(seed: UInt64) throws {
    let data = try sample(2)
    try data.addPhotos("b", 2..<4)
    let manifest = try data.manifest { $0.seed = seed }
    #expect(manifest.counts(in: .valid).allSatisfy { $0 >= 1 })
    #expect(manifest.counts(in: .train).allSatisfy { $0 >= 1 })
  }

  @Test(arguments: 0..<5)
  func aWrittenManifestKeepsEverySplit(seed: UInt64) throws {
    let data = try sample(2)
    let first = try data.manifest { $0.seed = seed }
    for name in ["a", "b", "c"] { try data.addPhotos(name, 2..<30) }
    let second = try data.manifest(existing: first) { $0.seed = seed }
    let after = splits(second)
    #expect(splits(first).allSatisfy { after[$0.key] == $0.value })
    #expect(!second.isSplitAnew(from: first) && second.records.count == 90)
  }

  @Test func otherFractionsOrAnotherSeedAreANewSplit() throws {
    let data = try sample(20)
    let first = try data.manifest { $0.fractions = SplitFractions(valid: 0) }
    #expect(first.counts(in: .valid) == [0, 0, 0])
    let second = try data.manifest(existing: first) { $0.fractions = SplitFractions(valid: 0.5) }
    #expect(second.counts(in: .valid) == [10, 10, 10] && second.isSplitAnew(from: first))
    #expect(second.fractions == SplitFractions(valid: 0.5))
    let third = try data.manifest(existing: second) {
      $0.fractions = SplitFractions(valid: 0.5)
      $0.seed = 3
    }
    #expect(third.isSplitAnew(from: second) && third.seed == 3)
    #expect(splits(third) != splits(second) && third.counts(in: .valid) == [10, 10, 10])
  }

  @Test func classesThatCannotBeSplitAreNamedAllAtOnce() throws {
    let data = try sample(3)
    try data.addPhoto("d/1.pnm", payload: "same")
    try data.addPhoto("d/2.pnm", payload: "same")
    try data.addPhoto("e/1.pnm")
    let error = #expect(throws: DatasetError.self) { try data.manifest() }
    let short = [
      DatasetError.Shortage(className: "d", count: 1),
      DatasetError.Shortage(className: "e", count: 1),
    ]
    #expect(error == .tooFewImages(short, needed: 2))
    #expect(error?.description.contains("'e' has 1") == true)
  }

  @Test func aPhotoInTwoClassesStopsUnlessItIsLeftOutOrKept() throws {
    let data = try sample(6)
    try data.addPhoto("b/copy.pnm", payload: "a/1.pnm")
    let paths = [BytePath("a/1.pnm"), BytePath("b/copy.pnm")]
    let error = #expect(throws: DatasetError.self) { try data.manifest() }
    #expect(error == .contradictingLabels([paths]))
    #expect(error?.description.contains("a/1.pnm = b/copy.pnm") == true)
    let kept = try data.manifest { $0.conflicts = .keep }
    #expect(kept.records.count == 19 && kept.warnings.contains { $0.contains("several classes") })
    let dropped = try data.manifest { $0.conflicts = .drop }
    #expect(dropped.records.count == 17 && !dropped.records.contains { paths.contains($0.path) })
    #expect(dropped.notes.map(\.kind) == [.contradictingLabel] && dropped.notes[0].count == 2)
  }

  @Test func copiesStayTogetherAndAreReported() throws {
    let data = try sample(20)
    for number in 0..<10 {
      try data.addPhoto("a/copy \(number).pnm", payload: "a/\(number).pnm")
      try data.addPhoto("b/copy \(number).pnm", payload: "c/\(number).pnm")
    }
    let manifest = try data.manifest { $0.conflicts = .keep }
    #expect(manifest.duplicates.count == 20)
    #expect(manifest.duplicates.count { $0.kinds == [.withinClass] } == 10)
    #expect(manifest.duplicates.count { $0.kinds == [.acrossClasses] } == 10)
    #expect(manifest.warnings.count == 2)
  }

  @Test func copiesAcrossGivenSplitsAreALeakageWarning() throws {
    let data = try PhotoFolder()
    for name in ["a", "b"] {
      try data.addPhotos(name, 0..<5, split: "train")
      try data.addPhotos(name, 0..<2, split: "valid")
    }
    try data.addPhoto("valid/a/leak.pnm", payload: "train/a/1.pnm")
    let manifest = try data.manifest()
    #expect(manifest.counts(in: .train) == [5, 5] && manifest.counts(in: .valid) == [3, 2])
    #expect(manifest.fractions == nil)
    #expect(manifest.duplicates.map(\.kinds) == [[.acrossSplits, .withinClass].reversed()])
    #expect(
      manifest.duplicates[0].paths == [BytePath("train/a/1.pnm"), BytePath("valid/a/leak.pnm")])
    #expect(manifest.warnings.contains { $0.contains("1 photo in several splits") })
  }

  @Test func aMissingValidationFolderIsSplitFromTraining() throws {
    let data = try PhotoFolder()
    for name in ["a", "b"] {
      try data.addPhotos(name, 0..<30, split: "train")
      try data.addPhotos(name, 0..<3, split: "test")
    }
    let manifest = try data.manifest { $0.fractions = SplitFractions(valid: 0.3, test: 0.3) }
    #expect(manifest.counts(in: .test) == [3, 3])
    #expect(manifest.counts(in: .valid) == [9, 9])
    #expect(manifest.fractions == SplitFractions(valid: 0.3))
  }

  @Test func aClassMissingInValidationIsAWarning() throws {
    let data = try PhotoFolder()
    for name in ["a", "b"] { try data.addPhotos(name, 0..<3, split: "train") }
    try data.addPhotos("a", 0..<3, split: "valid")
    try data.addFolder("valid/b")
    let manifest = try data.manifest()
    #expect(manifest.warnings.contains { $0 == "no valid photos of 1 class: 'b'" })
  }

  @Test func aFinishedModelMayBeEvaluatedOnAnyFolder() throws {
    let data = try PhotoFolder()
    try data.addPhoto("a/1.pnm")
    var builder = ManifestBuilder()
    builder.everythingIn = .test
    let scan = try data.scan {
      $0.requiresAllClasses = false
      $0.requiresTraining = false
    }
    let manifest = try builder.build(
      DatasetVerification.run(scan, with: FakeVerifier(), options: .init(threads: 1)))
    #expect(manifest.counts(in: .test) == [1] && manifest.records.count == 1)
  }

  @Test func badFilesStopOrAreSkippedUpToALimit() throws {
    let data = try sample(10)
    for number in 0..<3 { try data.add(BytePath("a/bad \(number).pnm"), []) }
    let error = #expect(throws: DatasetError.self) { try data.manifest() }
    guard case .badFiles(let bad, of: 33) = error else {
      Issue.record("expected the list of bad files, got \(String(describing: error))")
      return
    }
    #expect(bad.count == 3 && error?.description.contains("  a/bad 2.pnm: empty file\n") == true)
    let manifest = try data.manifest { $0.policy = .skip }
    #expect(manifest.records.count == 30 && manifest.bad == bad)
    #expect(throws: DatasetError.tooManyBadFiles(bad, of: 33, limit: 0.05)) {
      try data.manifest { $0.policy = .skip(limit: 0.05) }
    }
  }

  @Test func skippingIsAdvisedOnlyWhereItWouldHelp() throws {
    let data = try sample(10)
    for number in 0..<4 { try data.add(BytePath("a/bad \(number).pnm"), []) }
    let many = #expect(throws: DatasetError.self) { try data.manifest() }
    #expect(many?.description.contains("would not leave them out either") == true)
    #expect(throws: DatasetError.self) { try data.manifest { $0.policy = .skip } }
    try data.remove("a/bad 0.pnm")
    let few = #expect(throws: DatasetError.self) { try data.manifest() }
    #expect(few?.description.contains("leave them out with --on-bad-image skip") == true)
    #expect(throws: Never.self) { try data.manifest { $0.policy = .skip } }
  }

  @Test func namesThatDifferInCapitalsOrSpellingAreNamed() throws {
    let data = try sample(3)
    try data.addPhoto("a/X.JPG")
    try data.addPhoto("a/x.jpg")
    try data.addPhoto("b/caf\u{E9}.pnm")
    try data.addPhoto("b/cafe\u{301}.pnm")
    let warnings = try data.manifest().warnings
    #expect(
      warnings.contains { $0.hasPrefix("2 names of photos that differ only in capitals") },
      "\(warnings)")
    #expect(warnings.contains { $0.contains("a/X.JPG and a/x.jpg") })
  }

  @Test func everyFormatThatANamePromisesIsComparedWithTheContent() throws {
    let data = try sample(3)
    for ending in ["jpg", "png", "gif", "webp", "bmp", "tif", "heic", "avif"] {
      try data.addPhoto("a/x.\(ending)")
    }
    let warnings = try data.manifest().warnings
    #expect(warnings.contains { $0.hasPrefix("8 files named for another format") }, "\(warnings)")
  }

  @Test func skippingNeverEmptiesAClass() throws {
    let data = try sample(10)
    for number in 0..<2 { try data.add(BytePath("d/\(number).pnm"), []) }
    let error = #expect(throws: DatasetError.self) { try data.manifest { $0.policy = .skip } }
    guard case .emptyClass("d", let bad) = error else {
      Issue.record("expected an empty class, got \(String(describing: error))")
      return
    }
    #expect(bad.map(\.path) == [BytePath("d/0.pnm"), BytePath("d/1.pnm")])
    #expect(error?.description.contains("d/0.pnm: empty file") == true)
  }

  @Test func newClassesNeedPermissionAndComeLast() throws {
    let data = try sample(5)
    let first = try data.manifest()
    try data.addPhotos("aa", 0..<5)
    #expect(throws: DatasetError.newClasses(["aa"])) { try data.manifest(existing: first) }
    let second = try data.manifest(existing: first) { $0.allowsNewClasses = true }
    #expect(second.classes == ["a", "b", "c", "aa"] && second.classIndices["aa"] == 3)
  }

  @Test func differencesAreListedByPath() throws {
    let data = try sample(5)
    let first = try data.manifest()
    #expect(first.changedFiles().isEmpty)
    try data.addPhoto("a/new.pnm")
    try data.remove("b/1.pnm")
    try data.addPhoto("c/2.pnm", payload: "changed")
    let difference = first.difference(to: try data.manifest(existing: first))
    #expect(difference.added == [BytePath("a/new.pnm")])
    #expect(difference.removed == [BytePath("b/1.pnm")])
    #expect(difference.changed == [BytePath("c/2.pnm")])
    #expect(difference.classesAreEqual && !difference.isEmpty)
    #expect(first.changedFiles() == [BytePath("b/1.pnm"), BytePath("c/2.pnm")])
    #expect(first.difference(to: first).isEmpty)
  }

  @Test(arguments: [
    ("\"version\" : 1", "\"version\" : 3", "version"),
    ("\"class\" : \"b\"", "\"class\" : \"z\"", "records[3].class"),
    ("\"path\" : \"a/1.pnm\"", "\"path\" : \"../1.pnm\"", "records[1].path"),
    ("\"path\" : \"a/1.pnm\"", "\"path\" : \"/etc/passwd\"", "records[1].path"),
    ("\"path\" : \"a/1.pnm\"", "\"path\" : \"a/0.pnm\"", "records[1].path"),
    ("\"path\" : \"a/1.pnm\"", "\"path\" : {\"bytes\": \"%f\"}", "records[1].path.bytes"),
    ("\"split\" : \"train\"", "\"split\" : \"tran\"", "split"),
    ("\"width\" : 4", "\"width\" : 0", "records[0].width"),
    ("\"width\" : 4", "\"width\" : \"4\"", "records[0].width"),
    ("\"sha256\" : \"", "\"sha256\" : \"x", "records[0].sha256"),
    ("\"seed\" : 0", "\"seeds\" : 0", "seed"),
    ("\"records\" : [", "\"records\" : ", "JSON"),
  ])
  func aManifestThatDoesNotHoldTogetherIsRefusedByPlace(
    old: String, new: String, key: String
  ) throws {
    let data = try sample(3)
    let path = data.run.appending("manifest.json")
    let text = String(decoding: try data.manifest().json, as: UTF8.self)
    let range = try #require(text.firstRange(of: old))
    try AtomicFile.write(path, text: text.replacingCharacters(in: range, with: new))
    let error = #expect(throws: DatasetError.self) { try Manifest(contentsOf: path) }
    guard case .invalidManifest(path, let place, _) = error else {
      Issue.record("expected an invalid manifest, got \(String(describing: error))")
      return
    }
    #expect(place.hasSuffix(key), "\(place)")
  }
}

extension String {
  fileprivate func replacingCharacters(in range: Range<String.Index>, with new: String) -> String {
    self[..<range.lowerBound] + new + self[range.upperBound...]
  }
}
