// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import Testing
import ThawDatasets
import ThawFiles

@Suite struct LabelTableTests {
  private func photos() throws -> PhotoFolder {
    let data = try PhotoFolder()
    for number in 0..<12 { try data.addPhoto("images/\(number).jpg") }
    return data
  }

  private func scan(
    _ data: PhotoFolder, _ text: String, named name: String = "labels.csv",
    columns: LabelTable.Columns = .init()
  ) throws -> FolderScan {
    let file = data.run.pushing(FilePath(name))
    try AtomicFile.write(file, text: text)
    return try TableScanner.scan(
      data.root, table: LabelTable(contentsOf: file, columns: columns), options: .init())
  }

  private func rows(_ separator: String = ",", ending: String = "\n") -> String {
    (["path", "label"].joined(separator: separator)) + ending
      + (0..<12).map { "images/\($0).jpg\(separator)\($0 % 2 == 0 ? "ant" : "bee")\(ending)" }
      .joined()
  }

  @Test(arguments: [(",", "\n"), (";", "\r\n"), ("\t", "\n"), (",", "\r")])
  func separatorsAndLineEndsAreFound(separator: String, ending: String) throws {
    let scan = try scan(photos(), "\u{FEFF}" + rows(separator, ending: ending))
    #expect(scan.classes == ["ant", "bee"] && scan.files.count == 12 && scan.layout == .classes)
    #expect(scan.files.first { $0.path == BytePath("images/3.jpg") }?.className == "bee")
  }

  @Test func aTableMeansWhatFoldersMean() throws {
    let folders = try PhotoFolder()
    for name in ["ant", "bee"] { try folders.addPhotos(name, 0..<12) }
    let table =
      "file_name,species\n"
      + ["bee", "ant"].flatMap { name in (0..<12).map { "\(name)/\($0).pnm,\(name)\n" } }.joined()
    func manifest(_ scan: FolderScan) throws -> Manifest {
      try ManifestBuilder().build(
        DatasetVerification.run(scan, with: FakeVerifier(), options: .init(threads: 2)))
    }
    #expect(try manifest(folders.scan()) == manifest(scan(folders, table)))
  }

  @Test func jsonLinesAndQuotesAreRead() throws {
    let data = try photos()
    let lines = (0..<12).map {
      #"{"file_name": "images/\#($0).jpg", "label": \#($0 % 2), "box": [1, 2]}"#
    }
    let json = try scan(data, lines.joined(separator: "\n") + "\n", named: "metadata.jsonl")
    #expect(json.classes == ["0", "1"] && json.files.count == 12)
    let quoted = try scan(
      data, "id,\"the label\"\n" + (0..<12).map { "\($0),\"a, \"\"\($0 % 2)\"\"\"\n" }.joined(),
      columns: .init(label: "the label"))
    #expect(quoted.classes == ["a, \"0\"", "a, \"1\""], "names without an ending are found too")
  }

  /// As datasets on Hugging Face have them: a table in the folder of each split.
  @Test func tablesOfSplitsAreOneTable() throws {
    let data = try PhotoFolder()
    for split in ["train", "test"] {
      var text = "file_name,label\n"
      for number in 0..<6 {
        try data.addPhoto("\(split)/\(number).jpg")
        text += "\(number).jpg,\(number % 2 == 0 ? "ant" : "bee")\n"
      }
      try AtomicFile.write(data.root.pushing(FilePath("\(split)/metadata.csv")), text: text)
    }
    let table = try LabelTable(parts: SplitTables.parts(of: data.root), columns: .init())
    let scan = try TableScanner.scan(data.root, table: table, options: .init())
    #expect(scan.classes == ["ant", "bee"] && scan.layout == .splits && scan.bad.isEmpty)
    #expect(scan.notes.isEmpty, "the tables are no files that were left out")
    #expect(
      Dictionary(grouping: scan.files, by: \.split).mapValues(\.count) == [.train: 6, .test: 6])
    #expect(table.description.hasSuffix("splits by the folders 'test', 'train'"))
  }

  /// Whatever the column is called, and where no column is, by the folders of the paths.
  @Test(arguments: ["phase", "Usage", "dataset", "train_test", "is_train", ""])
  func splitsThatATableStatesAreHeeded(column: String) throws {
    let data = try PhotoFolder()
    var text = "path,label\(column.isEmpty ? "" : ",")\(column)\n"
    for number in 0..<12 {
      let split = number < 8 ? "train" : "test"
      let name = column.isEmpty ? "\(split)/\(number).jpg" : "\(number).jpg"
      try data.addPhoto(name)
      let cell = column == "is_train" ? ",\(number < 8 ? 1 : 0)" : column.isEmpty ? "" : ",\(split)"
      text += "\(name),\(number % 2 == 0 ? "ant" : "bee")\(cell)\n"
    }
    let scan = try scan(data, text)
    #expect(
      Dictionary(grouping: scan.files, by: \.split).mapValues(\.count) == [.train: 8, .test: 4])
  }

  @Test func columnsThatSayNothingOfSplitsAreNamedAsNotUsed() throws {
    let data = try photos()
    let text =
      "path,label,camera\n"
      + (0..<12).map { "images/\($0).jpg,\($0 % 2),\($0 < 6 ? "train" : "phone")\n" }.joined()
    #expect(try scan(data, text).files.allSatisfy { $0.split == nil })
    let file = data.run.pushing(FilePath("labels.csv"))
    #expect(try LabelTable(contentsOf: file).description.hasSuffix("not used: 'camera'"))
  }

  @Test func labelsThatDifferOnlyInBlanksAreNamed() throws {
    let table = rows().replacing("3.jpg,bee", with: "3.jpg,bee ")
    let scan = try scan(photos(), table)
    #expect(scan.classes == ["ant", "bee"])
    #expect(scan.notes.map(\.kind) == [.labelSpelling] && scan.notes[0].count == 1)
  }

  @Test func missingAndExtraFilesAreListed() throws {
    let data = try photos()
    try data.addPhoto("images/extra.jpg")
    let scan = try scan(data, rows() + "images/gone.jpg,ant\n")
    #expect(scan.bad.map(\.path) == [BytePath("images/gone.jpg")])
    #expect(scan.bad[0].reason.contains("line 14"))
    #expect(scan.notes.map(\.kind) == [.unlisted] && scan.notes[0].count == 1)
  }

  @Test func splitsAndGroupsOfATableAreUsed() throws {
    let table =
      "path,label,split,patient\n"
      + (0..<12).map {
        "images/\($0).jpg,\($0 % 2),\($0 < 8 ? "train" : $0 < 10 ? "dev" : "TEST"),P\($0 / 2)\n"
      }.joined()
    let scan = try scan(photos(), table, columns: .init(group: "patient"))
    #expect(scan.layout == .splits)
    #expect(
      Dictionary(grouping: scan.files, by: \.split).mapValues(\.count)
        == [.train: 8, .valid: 2, .test: 2])
    #expect(scan.files[0].group == "P0")
  }

  @Test(arguments: [
    ("", "it is empty"), ("path,label\n", "it has no rows"),
    ("path,label\nimages/1.jpg\n", "1 cell, the header has 2"),
    ("path,kind\nimages/1.jpg,a\n", "no column of the labels"),
    ("images/1.jpg,a\nimages/2.jpg,b\n", "Write the line path,label above it"),
    ("path,label\n\"images/1.jpg,a\n", "a quote is not closed"),
    ("path,label\nimages/1.jpg,\n", "no label"),
    (
      "path,label\nimages/1.jpg,a\nimages/1.jpg,b\n",
      "has another label than in line 2. Correct it, or leave such photos out"
    ),
    (
      "path,label,split\nimages/1.jpg,a,train\nimages/1.jpg,a,test\n",
      "has another split or group than in line 2"
    ),
    ("path,label,split\nimages/1.jpg,a,third\n", "'third' is no split"),
    ("path,path,label\nx,y,z\n", "several columns are called 'path'"),
    ("{\"path\": 1\n", "it is not one JSON object"),
  ])
  func flawsAreNamedWithTheirLine(text: String, problem: String) throws {
    let error = #expect(throws: DatasetError.self) { try scan(photos(), text) }
    #expect(error?.description.contains(problem) == true, "\(String(describing: error))")
  }

  /// Spreadsheets save in the encodings of their systems: which one, and what makes UTF-8 of it.
  @Test(
    arguments: [
      ([0xFF, 0xFE, 0x70, 0x00], "UTF-16 -t UTF-8"),
      ([0x66, 0x72, 0xFC, 0x0A], "WINDOWS-1252 -t UTF-8"),
    ] as [([UInt8], String)])
  func otherEncodingsAreNamed(bytes: [UInt8], advice: String) throws {
    let data = try photos()
    let file = data.run.pushing(FilePath("labels.csv"))
    try AtomicFile.write(file, bytes: bytes)
    let error = #expect(throws: DatasetError.self) { try LabelTable(contentsOf: file) }
    #expect(error?.description.contains("iconv -f \(advice)") == true)
  }

  @Test func aPhotoWithTwoLabelsIsLeftOutWhenAskedFor() throws {
    let data = try photos()
    let file = data.run.appending("labels.csv")
    try AtomicFile.write(file, text: rows() + "images/3.jpg,ant\nimages/3.jpg,bee\n")
    func scan(_ policy: ConflictPolicy) throws -> FolderScan {
      try TableScanner.scan(
        data.root, table: LabelTable(contentsOf: file), options: .init(), conflicts: policy)
    }
    let dropped = try scan(.drop)
    #expect(dropped.files.count == 11 && dropped.notes.map(\.kind) == [.contradictingLabel])
    #expect(!dropped.files.contains { $0.path == BytePath("images/3.jpg") })
    for policy in [ConflictPolicy.stop, .keep] {
      let error = #expect(throws: DatasetError.self) { try scan(policy) }
      #expect(error?.description.contains("--conflicting-labels drop") == true)
    }
  }

  @Test func groupsByFolderGoByTheClassAndNotByWhatLiesAround() throws {
    let data = try PhotoFolder()
    for (name, sites) in [("a", ["s1", "s2"]), ("b", ["s3", "s4"])] {
      for site in sites {
        for number in 0..<3 { try data.addPhoto("a/\(name)/\(site)/\(number).jpg") }
      }
    }
    let scan = try PhotoGrouping("folder").grouped(data.scan { $0.requiresAllClasses = true })
    #expect(
      scan.classes == ["a", "b"] && Set(scan.files.map(\.group)) == ["s1", "s2", "s3", "s4"])
  }

  @Test func groupsLieInOneSplitAndStayThere() throws {
    let data = try PhotoFolder()
    for name in ["a", "b"] {
      for patient in 0..<10 {
        for number in 0..<4 { try data.addPhoto("\(name)/P\(name)\(patient)_\(number).jpg") }
      }
    }
    func manifest(_ grouping: String, _ existing: Manifest? = nil) throws -> Manifest {
      var builder = ManifestBuilder()
      builder.grouping = grouping
      let scan = try PhotoGrouping(grouping).grouped(data.scan())
      return try builder.build(
        DatasetVerification.run(scan, with: FakeVerifier(), options: .init(threads: 2)),
        existing: existing)
    }
    func patients(_ manifest: Manifest) -> [String?: Set<Split>] {
      Dictionary(grouping: manifest.records, by: \.group).mapValues { Set($0.map(\.split)) }
    }
    let pattern = "(?<patient>P\\w\\d+)_"
    let first = try manifest(pattern)
    #expect(patients(first).count == 20 && patients(first).values.allSatisfy { $0.count == 1 })
    #expect(first.counts(in: .valid) == [8, 8])
    for patient in 0..<10 { try data.addPhoto("a/Pa\(patient)_9.jpg") }
    let second = try manifest(pattern, first)
    let before = Dictionary(uniqueKeysWithValues: first.records.map { ($0.path, $0.split) })
    #expect(second.records.allSatisfy { before[$0.path] == nil || before[$0.path] == $0.split })
    #expect(patients(second).values.allSatisfy { $0.count == 1 })
    let other = try manifest("(P\\w\\d)", second)
    #expect(other.isSplitAnew(from: second))
  }

  @Test func groupsByFolderAndPatternsThatMatchNothing() throws {
    let data = try PhotoFolder()
    for name in ["a", "b"] {
      for site in ["s1", "s2", "s3"] {
        for number in 0..<3 { try data.addPhoto("\(name)/\(site)/\(number).jpg") }
      }
    }
    try data.addPhoto("a/loose.jpg")
    let scan = try PhotoGrouping("folder").grouped(data.scan { $0.layout = .classes })
    #expect(Set(scan.files.map(\.group)) == ["s1", "s2", "s3", nil])
    #expect(scan.notes.map(\.kind) == [.ungrouped])
    #expect(throws: DatasetError.self) {
      try PhotoGrouping("(Q\\d)").grouped(data.scan { $0.layout = .classes })
    }
    #expect(throws: DatasetError.self) {
      try PhotoGrouping("(unclosed").grouped(data.scan { $0.layout = .classes })
    }
  }
}
