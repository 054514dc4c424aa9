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
    let manifest = try data.manifest { $0.policy = .skip }
    let path = data.run.appending("manifest.json")
    try manifest.write(to: path)
    let read = try Manifest(contentsOf: path)
    #expect(read == manifest)
    #expect(read.records.map(\.path.bytes) == manifest.records.map(\.path.bytes))
    #expect(try read.json == FileSystem.read(path))
    #expect(read.bad.count == 1 && read.duplicates.count == 1 && read.notes.count == 1)
    let again = try data.manifest { $0.policy = .skip }
    #expect(try again.json == manifest.json)
  }

  @Test func addingPhotosMovesNone() throws {
    let data = try sample()
    let before = splits(try data.manifest())
    try data.addPhotos("a", 60..<110)
    try data.addPhotos("c", 60..<63)
    let after = splits(try data.manifest())
    #expect(before.count == 180 && after.count == 233)
    #expect(before.allSatisfy { after[$0.key] == $0.value })
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

  @Test func everyClassGetsAboutItsFraction() throws {
    let data = try sample(200)
    let manifest = try data.manifest {
      $0.fractions = SplitFractions(valid: 0.2, test: 0.1)
      $0.seed = 7
    }
    // Four standard deviations: sqrt(200 * 0.2 * 0.8) = 5.7 and sqrt(200 * 0.1 * 0.9) = 4.2.
    for count in manifest.counts(in: .valid) { #expect(abs(count - 40) <= 23) }
    for count in manifest.counts(in: .test) { #expect(abs(count - 20) <= 17) }
    let other = try data.manifest { $0.seed = 8 }
    #expect(splits(other) != splits(try data.manifest { $0.seed = 7 }))
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
    let second = try data.manifest(existing: first) {
      $0.seed = 99
      $0.fractions = SplitFractions(valid: 0.6)
    }
    let after = splits(second)
    #expect(splits(first).allSatisfy { after[$0.key] == $0.value })
    #expect(second.seed == seed && second.records.count == 90)
  }

  @Test func aClassWithOnePhotoCannotBeSplit() throws {
    let data = try sample(3)
    try data.addPhoto("d/1.pnm", payload: "same")
    try data.addPhoto("d/2.pnm", payload: "same")
    #expect(throws: DatasetError.tooFewImages(className: "d", count: 1, needed: 2)) {
      try data.manifest()
    }
  }

  @Test func copiesStayTogetherAndAreReported() throws {
    let data = try sample(20)
    for number in 0..<10 {
      try data.addPhoto("a/copy \(number).pnm", payload: "a/\(number).pnm")
      try data.addPhoto("b/copy \(number).pnm", payload: "c/\(number).pnm")
    }
    let manifest = try data.manifest()
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
    #expect(manifest.warnings.contains { $0.contains("1 photos in several splits") })
  }

  @Test func aMissingValidationFolderIsSplitFromTraining() throws {
    let data = try PhotoFolder()
    for name in ["a", "b"] {
      try data.addPhotos(name, 0..<30, split: "train")
      try data.addPhotos(name, 0..<3, split: "test")
    }
    let manifest = try data.manifest { $0.fractions = SplitFractions(valid: 0.3, test: 0.3) }
    #expect(manifest.counts(in: .test) == [3, 3])
    #expect(manifest.counts(in: .valid).allSatisfy { (2...18).contains($0) })
  }

  @Test func aClassMissingInValidationIsAWarning() throws {
    let data = try PhotoFolder()
    for name in ["a", "b"] { try data.addPhotos(name, 0..<3, split: "train") }
    try data.addPhotos("a", 0..<3, split: "valid")
    try data.addFolder("valid/b")
    let manifest = try data.manifest()
    #expect(manifest.warnings.contains { $0 == "no valid photos of 1 classes: 'b'" })
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

  @Test func skippingNeverEmptiesAClass() throws {
    let data = try sample(10)
    for number in 0..<2 { try data.add(BytePath("d/\(number).pnm"), []) }
    #expect(throws: DatasetError.emptyClass("d", bad: 2)) {
      try data.manifest { $0.policy = .skip }
    }
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
    ("\"version\" : 1", "\"version\" : 2", "version"),
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
