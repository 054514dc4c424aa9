// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import Testing
import ThawDatasets
import ThawFiles

/// Photos that may have several labels, one or none: what a table says of them, and how they are split.
@Suite struct SeveralLabelsTests {
  /// Photo n has 'even' or not, 'third' or not, and 'rare' when n is 5.
  static func labels(_ number: Int) -> [String] {
    (number % 2 == 0 ? ["even"] : []) + (number == 5 ? ["rare"] : [])
      + (number % 3 == 0 ? ["third"] : [])
  }

  private func photos(_ count: Int = 12) throws -> PhotoFolder {
    let data = try PhotoFolder()
    for number in 0..<count { try data.addPhoto("images/\(number).jpg") }
    return data
  }

  private func scan(
    _ data: PhotoFolder, _ text: String, named name: String = "labels.csv",
    _ change: (inout LabelTable.Columns) -> Void = { _ in },
    options: FolderScanner.Options = .init()
  ) throws -> FolderScan {
    let file = data.run.pushing(FilePath(name))
    try AtomicFile.write(file, text: text)
    var columns = LabelTable.Columns()
    change(&columns)
    return try TableScanner.scan(
      data.root, table: LabelTable(contentsOf: file, columns: columns), options: options)
  }

  private func manifest(
    _ scan: FolderScan, existing: Manifest? = nil,
    _ change: (inout ManifestBuilder) -> Void = { _ in }
  ) throws -> Manifest {
    var builder = ManifestBuilder()
    change(&builder)
    return try builder.build(
      DatasetVerification.run(scan, with: FakeVerifier(), options: .init(threads: 2)),
      existing: existing)
  }

  private static func table(_ header: String, _ row: (Int) -> String) -> String {
    header + "\n" + (0..<12).map { row($0) + "\n" }.joined()
  }

  private static let columns = table("path,third,even,rare") { number in
    let own = labels(number)
    return "images/\(number).jpg,"
      + ["third", "even", "rare"].map { own.contains($0) ? "1" : "0" }.joined(separator: ",")
  }

  @Test func columnsListsAndRowsMeanTheSame() throws {
    let data = try photos()
    let expected = try manifest(scan(data, Self.columns))
    #expect(expected.severalLabels && expected.classes == ["even", "rare", "third"])
    #expect(expected.version == 2)
    for record in expected.records {
      let number = Int(record.path.description.dropFirst(7).dropLast(4)) ?? -1
      #expect(record.labels == LabelSet(present: Self.labels(number)))
    }
    func list(_ header: String, _ separator: String, _ around: (String, String) = ("", ""))
      -> String
    {
      Self.table(header) {
        "images/\($0).jpg,\(around.0)\(Self.labels($0).joined(separator: separator))\(around.1)"
      }
    }
    let json = (0..<12).map { number in
      let own = Self.labels(number).map { "\"\($0)\"" }.joined(separator: ", ")
      return "{\"path\": \"images/\(number).jpg\", \"labels\": [\(own)]}\n"
    }
    let rows =
      "path,label\n"
      + (0..<12).flatMap { number in
        let own = Self.labels(number)
        return (own.isEmpty ? [""] : own).map { "images/\(number).jpg,\($0)\n" }
      }.joined()
    let tables: [(String, String, (inout LabelTable.Columns) -> Void)] = [
      (list("path,label", "|"), "a.csv", { _ in }),
      (list("path,tags", " "), "b.csv", { _ in }),
      (list("path,labels", ",", ("\"", "\"")), "c.csv", { _ in }),
      (list("path,labels", "', '", ("\"['", "']\"")), "d.csv", { _ in }),
      (json.joined(), "e.jsonl", { _ in }),
      (rows, "f.csv", { $0.count = .several }),
      (list("path,label", "+"), "g.csv", { $0.separator = .init(option: "+") }),
      (Self.columns, "h.csv", { $0.labels = ["rare", "third", "even"] }),
    ]
    for (text, name, change) in tables {
      let found = try manifest(scan(data, text, named: name, change))
      #expect(found == expected, "\(name)")
    }
  }

  @Test func theManifestIsReadBackAndAnOlderThawRefusesIt() throws {
    let data = try photos()
    let written = try manifest(scan(data, Self.columns))
    let file = data.run.appending("manifest.json")
    try AtomicFile.write(file, bytes: written.json)
    #expect(try Manifest(contentsOf: file) == written)
    let text = String(decoding: try FileSystem.read(file), as: UTF8.self)
    #expect(text.contains("\"version\" : 2"))
    for (old, new, problem) in [
      ("\"version\" : 2", "\"version\" : 1", "unexpected in a manifest of one label"),
      ("\"third\"\n        ]", "\"other\"\n        ]", "'other' is not in the classes"),
    ] {
      try AtomicFile.write(file, text: text.replacing(old, with: new, maxReplacements: 1))
      let error = #expect(throws: DatasetError.self) { try Manifest(contentsOf: file) }
      #expect(error?.description.contains(problem) == true, "\(String(describing: error))")
    }
    let single = try manifest(
      scan(data, Self.table("path,label") { "images/\($0).jpg,\($0 % 2)" }))
    #expect(single.version == 1 && single.records.allSatisfy { $0.labels == nil })
  }

  @Test func unknownLabelsAndClassesWithoutPhotosAreSaid() throws {
    let values = ["", "nan", "?", "-1", "1", "1.0", "0"]
    let text = Self.table("path,a,b,never") { number in
      "images/\(number).jpg,\(values[number % values.count]),\(number % 2),\(number % 5 == 0 ? "" : "0")"
    }
    let found = try scan(photos(), text)
    #expect(found.classes == ["a", "b"])
    #expect(found.files.first { $0.path == BytePath("images/0.jpg") }?.labels?.unknown == ["a"])
    #expect(found.files.first { $0.path == BytePath("images/4.jpg") }?.labels?.present == ["a"])
    #expect(
      found.remarks.contains { $0.contains("8 of 24 labels are unknown") }, "\(found.remarks)")
    #expect(found.remarks.contains { $0.contains("No photo has 'never'") })
    // For judging, what is unknown stays unknown, whatever the photos at hand have.
    var judging = FolderScanner.Options()
    judging.requiresTraining = false
    let judged = try scan(photos(), text, options: judging)
    #expect(judged.columnClasses == ["a", "b", "never"])
    #expect(
      judged.files.first { $0.path == BytePath("images/0.jpg") }?.labels?.unknown == ["a", "never"])
  }

  @Test func oneLabelEachIsSaidAndSingleLabelWorks() throws {
    let data = try photos()
    let oneHot = Self.table("path,a,b") { "images/\($0).jpg,\($0 % 2),\(1 - $0 % 2)" }
    let several = try scan(data, oneHot)
    #expect(several.severalLabels)
    #expect(several.remarks.contains { $0.contains("--several-labels no") })
    // The advice, followed.
    let single = try scan(data, oneHot) { $0.count = .single }
    #expect(!single.severalLabels && single.classes == ["a", "b"] && single.remarks.isEmpty)
    let contradiction = #expect(throws: DatasetError.self) {
      try scan(data, Self.columns) { $0.count = .single }
    }
    #expect(contradiction?.description.contains("where each photo has exactly one") == true)
  }

  @Test func rowsOfOnePhotoAreAMistakeOrSeveralLabels() throws {
    let data = try photos()
    let ordinary = Self.table("path,label") { "images/\($0).jpg,\($0 % 2)" }
    let error = #expect(throws: DatasetError.self) {
      try scan(data, ordinary + "images/3.jpg,0\n")
    }
    #expect(error?.description.contains("say --several-labels yes") == true)
    let asked = try scan(data, ordinary + "images/3.jpg,0\n") { $0.count = .several }
    #expect(asked.files.first { $0.path == BytePath("images/3.jpg") }?.classNames == ["0", "1"])
    // Many such rows are how the table says it.
    let many = try scan(data, ordinary + "images/3.jpg,0\nimages/4.jpg,1\n")
    #expect(many.severalLabels)
    #expect(many.warnings.contains { $0.contains("2 of 12 photos are in rows of several labels") })
    #expect(throws: DatasetError.self) {
      try scan(data, ordinary + "images/3.jpg,0\nimages/4.jpg,1\n") { $0.count = .single }
    }
    // A list says all labels in one row.
    #expect(throws: DatasetError.self) {
      try scan(data, Self.columns + "images/3.jpg,1,1,1\n")
    }
  }

  @Test func namesWithBlanksAndCommasStayNames() throws {
    let names = ["golden retriever", "tabby cat, brown"]
    for header in ["path,labels", "path,breed"] {
      let found = try scan(
        photos(), Self.table(header) { "images/\($0).jpg,\"\(names[$0 % 2])\"" })
      guard header == "path,breed" else { continue }
      #expect(!found.severalLabels && found.classes == names)
    }
    let blanks = try scan(
      photos(), Self.table("path,labels") { "images/\($0).jpg,\(["red fox", "grey wolf"][$0 % 2])" }
    )
    #expect(!blanks.severalLabels && blanks.classes == ["grey wolf", "red fox"])
  }

  @Test func flagsOfASplitAreNoLabels() throws {
    let text = Self.table("fname,labels,is_valid") {
      "images/\($0).jpg,\($0 % 2 == 0 ? "a b" : $0 % 3 == 0 ? "a" : "b"),\($0 < 9 ? "False" : "True")"
    }
    let found = try scan(photos(), text)
    #expect(found.severalLabels && found.classes == ["a", "b"])
    #expect(found.files.count { $0.split == .valid } == 3 && found.layout == .splits)
    let columns = try scan(
      photos(),
      Self.table("path,a,b,is_valid") {
        "images/\($0).jpg,\($0 % 2),\($0 % 3 == 0 ? 1 : 0),\($0 < 9 ? 0 : 1)"
      })
    #expect(columns.classes == ["a", "b"] && columns.files.count { $0.split == .valid } == 3)
  }

  @Test(arguments: [
    ("path,a,b\nimages/1.jpg,1,2\n", "no column of the labels"),
    ("path,label\nimages/1.jpg,\n", "say --several-labels yes"),
    ("path,a,b\nimages/1.jpg,0,0\n", "no photo that it names has a label"),
  ])
  func flawsAreNamed(text: String, problem: String) throws {
    let error = #expect(throws: DatasetError.self) { try scan(photos(), text) }
    #expect(error?.description.contains(problem) == true, "\(String(describing: error))")
  }

  @Test func aNamedColumnSaysWhatItCannotRead() throws {
    let text = "path,a,b\nimages/1.jpg,yes,no\nimages/2.jpg,maybe,no\n"
    let error = #expect(throws: DatasetError.self) {
      try scan(photos(), text) { $0.labels = ["a", "b"] }
    }
    #expect(error?.description.contains(":3: 'maybe' in the column 'a' is neither 0 nor 1") == true)
  }

  // MARK: Splits

  /// A frequent class, a middling, a rare one, in all combinations, and photos without any.
  private func many(_ count: Int) throws -> (PhotoFolder, (Range<Int>) -> String) {
    let data = try photos(count)
    return (
      data,
      { numbers in
        "path,labels\n"
          + numbers.map { number in
            let own =
              (number % 2 == 0 ? ["common"] : []) + (number % 5 == 0 ? ["middling"] : [])
              + (number % 21 == 0 ? ["rare"] : []) + (number == 11 ? ["lone"] : [])
            return "images/\(number).jpg,\(own.joined(separator: "|"))\n"
          }.joined()
      }
    )
  }

  @Test func everyClassHasItsShareAndALoneOneIsTrainedOn() throws {
    let (data, table) = try many(210)
    let found = try manifest(scan(data, table(0..<210))) {
      $0.fractions = SplitFractions(valid: 0.2, test: 0.1)
    }
    for (split, share) in [(Split.valid, 0.2), (.test, 0.1)] {
      let counts = found.counts(in: split)
      let totals = Split.allCases.map(found.counts).reduce([0, 0, 0, 0]) { zip($0, $1).map(+) }
      for (index, name) in found.classes.enumerated() where name != "lone" {
        #expect(
          abs(Double(counts[index]) - share * Double(totals[index])) <= 1,
          "\(split) \(name): \(counts[index]) of \(totals[index])")
      }
      let whole = found.records(in: split).count
      #expect(abs(Double(whole) - share * 210) <= 4, "\(split): \(whole)")
      let bare = found.records(in: split).count { $0.classNames.isEmpty }
      #expect(abs(Double(bare) - share * 80) <= 3, "\(split): \(bare) without a label")
    }
    let lone = try #require(found.classes.firstIndex(of: "lone"))
    #expect(found.counts(in: .train)[lone] == 1 && found.counts(in: .valid)[lone] == 0)
  }

  @Test func photosStayWhereTheyAreAndGroupsTogether() throws {
    let (data, table) = try many(120)
    func build(_ numbers: Range<Int>, _ existing: Manifest? = nil) throws -> Manifest {
      let scan = try PhotoGrouping("/(\\d+)\\d\\.jpg").grouped(
        scan(data, table(numbers)))
      return try manifest(scan, existing: existing) { $0.grouping = "tens" }
    }
    let first = try build(0..<90)
    let second = try build(0..<120, first)
    let before = Dictionary(uniqueKeysWithValues: first.records.map { ($0.path, $0.split) })
    #expect(second.records.allSatisfy { before[$0.path] == nil || before[$0.path] == $0.split })
    let groups = Dictionary(grouping: second.records.filter { $0.group != nil }) { $0.group ?? "" }
    #expect(groups.count == 11 && groups.values.allSatisfy { Set($0.map(\.split)).count == 1 })
    #expect(second.records(in: .valid).count > 0)
  }

  @Test func contradictingCopiesStopAsEverywhere() throws {
    let data = try photos(10)
    try data.addPhoto("images/copy.jpg", payload: "images/0.jpg")
    let text =
      "path,labels\n" + (0..<10).map { "images/\($0).jpg,\($0 % 2 == 0 ? "a|b" : "b")\n" }.joined()
    let same = try manifest(scan(data, text + "images/copy.jpg,a|b\n"))
    #expect(same.duplicates.count == 1)
    let error = #expect(throws: DatasetError.self) {
      try manifest(scan(data, text + "images/copy.jpg,b\n"))
    }
    #expect(error?.description.contains("images/0.jpg = images/copy.jpg") == true)
  }

  /// As CelebA's attributes are written: where nothing is 0, -1 is no.
  @Test func minusOneIsNoWhereNothingIsZero() throws {
    let table = Self.table("path,third,even") { number in
      "images/\(number).jpg,\(number % 3 == 0 ? 1 : -1),\(number % 2 == 0 ? 1 : -1)"
    }
    let scan = try scan(photos(), table)
    #expect(scan.files.allSatisfy { $0.labels?.unknown.isEmpty == true })
    #expect(scan.files.count { $0.labels?.present.contains("third") == true } == 4)
  }

  /// With a 0 anywhere -1 is uncertain, as radiologists write it.
  @Test func minusOneIsUnknownBesideZero() throws {
    let table = Self.table("path,third,even") { number in
      "images/\(number).jpg,\(number % 3 - 1),\(number % 2)"
    }
    let scan = try scan(photos(), table)
    #expect(scan.files.count { $0.labels?.unknown == ["third"] } == 4)
  }

  /// A class that every labelled photo has cannot be learned, nor judged.
  @Test func aColumnThatNeverSaysNoIsRefused() throws {
    let table = Self.table("path,third,even") { number in
      "images/\(number).jpg,\(number % 3 == 0 ? "1" : ""),\(number % 2)"
    }
    let error = #expect(throws: DatasetError.self) { try scan(photos(), table) }
    #expect(error?.description.contains("the column 'third' says of no photo") == true)
  }
}
