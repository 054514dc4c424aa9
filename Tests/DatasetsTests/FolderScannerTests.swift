// SPDX-License-Identifier: Apache-2.0

import Glibc
import SystemPackage
import Testing
import ThawDatasets
import ThawFiles
import ThawTestSupport

@Suite struct FolderScannerTests {
  private func count(_ kind: ScanNote.Kind, _ scan: FolderScan) -> Int {
    scan.notes.first { $0.kind == kind }?.count ?? 0
  }

  @Test func oneFolderPerClassAtAnyDepth() throws {
    let data = try PhotoFolder()
    try data.addPhoto("dog/b.jpg")
    try data.addPhoto("dog/2020/may/a.PNG")
    try data.addPhoto("cat/x.jpeg")
    let scan = try data.scan()
    #expect(scan.layout == .classes)
    #expect(scan.classes == ["cat", "dog"])
    #expect(
      scan.files.map(\.path.description) == ["cat/x.jpeg", "dog/2020/may/a.PNG", "dog/b.jpg"])
    #expect(scan.files.map(\.className) == ["cat", "dog", "dog"])
    #expect(scan.files.allSatisfy { $0.split == nil } && scan.bad.isEmpty && scan.notes.isEmpty)
  }

  @Test(arguments: [
    ("train", "valid", "test"), ("Training", "VAL", "Testing"), ("TRAIN", "Validation", "test"),
  ])
  func splitFoldersGiveTheSplit(names: (String, String, String)) throws {
    let data = try PhotoFolder()
    for split in [names.0, names.1, names.2] {
      for name in ["ant", "bee"] { try data.addPhotos(name, 0..<2, split: split) }
    }
    let scan = try data.scan()
    #expect(scan.layout == .splits)
    #expect(scan.classes == ["ant", "bee"])
    #expect(
      Dictionary(grouping: scan.files, by: \.split).mapValues(\.count)
        == [.train: 4, .valid: 4, .test: 4])
  }

  @Test func aClassMayBeCalledTrain() throws {
    let data = try PhotoFolder()
    try data.addPhoto("bus/1.jpg")
    try data.addPhoto("train/1.jpg")
    #expect(try data.scan().classes == ["bus", "train"])
    try data.addPhoto("train/steam/2.jpg")
    let scan = try data.scan()
    #expect(scan.layout == .classes && scan.files.count == 3)
  }

  @Test(arguments: [
    ["train", "test"], ["train", "val", "test"], ["train2017", "val2017"], ["train", "test1"],
    ["images/train", "images/val"],
  ])
  func splitFoldersOfLoosePhotosAreNoClasses(folders: [String]) throws {
    let data = try PhotoFolder()
    for folder in folders { try data.addPhoto("\(folder)/1.jpg") }
    let error = #expect(throws: DatasetError.self) { try data.scan() }
    guard case .splitsWithoutClasses = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(error?.description.contains("--labels TABLE") == true)
    guard folders[0].allSatisfy({ $0 != "/" }) else { return }
    #expect(try data.scan { $0.layout = .classes }.classes.count == folders.count)
  }

  @Test func aSplitAmongClassesIsRefused() throws {
    let nested = try PhotoFolder()
    for path in ["ant/1.jpg", "bee/1.jpg", "test/ant/2.jpg", "test/bee/2.jpg"] {
      try nested.addPhoto(path)
    }
    #expect(
      throws: DatasetError.splitAmongClasses(
        nested.root, split: "test", classes: ["ant", "bee"], others: ["ant", "bee"])
    ) { try nested.scan() }
    #expect(try nested.scan { $0.layout = .classes }.classes == ["ant", "bee", "test"])
    let flat = try PhotoFolder()
    for path in ["ant/1.jpg", "bee/1.jpg", "test/2.jpg"] { try flat.addPhoto(path) }
    let error = #expect(throws: DatasetError.self) { try flat.scan() }
    #expect(
      error?.description.contains("stands beside the classes 'ant', 'bee'") == true
        || error?.description.contains("stands beside the classes ant, bee") == true)
  }

  @Test func photosToBeLabelledAreNoClass() throws {
    let data = try PhotoFolder()
    for path in ["ant/1.jpg", "bee/1.jpg", "unlabelled/2.jpg"] { try data.addPhoto(path) }
    let scan = try data.scan()
    #expect(scan.classes == ["ant", "bee"] && count(.unlabelledFolder, scan) == 1)
    #expect(try data.scan { $0.layout = .classes }.classes == ["ant", "bee", "unlabelled"])
  }

  @Test func splitFoldersBesideClassesAreAmbiguousUnlessTheLayoutIsGiven() throws {
    let data = try PhotoFolder()
    for path in ["train/a/1.jpg", "train/b/1.jpg", "valid/a/2.jpg", "valid/b/2.jpg", "more/3.jpg"] {
      try data.addPhoto(path)
    }
    let error = #expect(throws: DatasetError.self) { try data.scan() }
    #expect(error == .mixedLayout(data.root, splits: ["train", "valid"], others: ["more"]))
    let scan = try data.scan { $0.layout = .splits }
    #expect(scan.files.count == 4 && count(.leftOutFolder, scan) == 1)
    #expect(count(.otherFolder, scan) == 0)
    #expect(try data.scan { $0.layout = .classes }.classes == ["more", "train", "valid"])
  }

  @Test func foldersWithoutPhotosOrLabelsBesideSplitsAreNoted() throws {
    let data = try PhotoFolder()
    for name in ["a", "b"] { try data.addPhoto("train/\(name)/1.jpg") }
    try data.add(BytePath("labels/train.txt"), [0x61])
    try data.addPhoto("test/unlabelled.jpg")
    try data.addPhoto("train/loose.jpg")
    let scan = try data.scan()
    #expect(scan.layout == .splits && scan.files.count == 2)
    #expect(count(.otherFolder, scan) == 1 && count(.unlabelledFolder, scan) == 1)
    #expect(count(.looseImage, scan) == 1)
  }

  @Test func twoFoldersForOneSplitAreRefused() throws {
    let data = try PhotoFolder()
    for split in ["train", "val", "valid"] { try data.addPhotos("a", 0..<1, split: split) }
    let error = #expect(throws: DatasetError.self) { try data.scan() }
    #expect(error == .repeatedSplit(.valid, [BytePath("val"), BytePath("valid")]))
  }

  @Test func validationWithoutTrainingIsRefusedUnlessAsked() throws {
    let data = try PhotoFolder()
    for name in ["a", "b"] { try data.addPhotos(name, 0..<1, split: "test") }
    #expect(throws: DatasetError.noTrainingFolder(data.root)) { try data.scan() }
    let scan = try data.scan { $0.requiresTraining = false }
    #expect(scan.files.map(\.split) == [.test, .test])
  }

  @Test func hiddenAndSystemFilesAreNeverClassesOrPhotos() throws {
    let data = try PhotoFolder()
    for name in ["a", "b"] { try data.addPhoto("\(name)/1.jpg") }
    for path in [
      ".ipynb_checkpoints/x.jpg", "__MACOSX/._1.jpg", "a/._1.jpg", "a/.DS_Store", "b/Thumbs.db",
      "b/desktop.ini", ".git/config",
    ] { try data.addPhoto(path) }
    let scan = try data.scan()
    #expect(scan.classes == ["a", "b"] && scan.files.count == 2)
    #expect(scan.notes.map(\.kind) == [.ignored] && scan.notes[0].count == 7)
    #expect(scan.notes[0].examples.count == 5)
  }

  @Test func filesAreJudgedByContentNotByName() throws {
    let data = try PhotoFolder()
    for name in ["a", "b"] { try data.addPhoto("\(name)/1.jpg") }
    try data.add(BytePath("a/photo"), [0xFF, 0xD8, 0xFF, 0xE0])
    try data.add(BytePath("a/photo.txt"), [0x89, 0x50, 0x4E, 0x47, 0x0D])
    try data.add(BytePath("a/notes.md"), Array("hello".utf8))
    try data.add(BytePath("b/labels.csv"), [])
    let scan = try data.scan()
    #expect(scan.files.map(\.path.description) == ["a/1.jpg", "a/photo", "a/photo.txt", "b/1.jpg"])
    #expect(count(.otherFile, scan) == 2 && scan.bad.isEmpty)
  }

  @Test func linkLoopsEndAndAreNoted() throws {
    let data = try PhotoFolder()
    try data.addPhoto("a/deep/1.jpg")
    try data.addPhoto("b/1.jpg")
    try data.addLink("a/up", to: "..")
    try data.addLink("a/deep/root", to: "../../..")
    try data.addLink("a/deep/self", to: ".")
    try data.addLink("a/other", to: "../b")
    try data.addLink("a/again", to: "deep")
    try data.addLink("b/itself", to: "itself")
    try data.addLink("c", to: ".")
    let scan = try data.scan()
    #expect(scan.classes == ["a", "b"])
    #expect(scan.files.map(\.path.description) == ["a/deep/1.jpg", "b/1.jpg"])
    #expect(count(.linkLoop, scan) == 7 && scan.bad.isEmpty)
  }

  @Test func linksToFilesAndFoldersAreFollowedAndThoseThatLeaveAreNoted() throws {
    let data = try PhotoFolder()
    try data.addPhoto("a/1.jpg")
    try data.addPhoto("b/1.jpg")
    let elsewhere = try PhotoFolder()
    try elsewhere.addPhoto("photos/2.jpg")
    try data.addLink("b/linked", to: elsewhere.root.string + "/photos")
    try data.addLink("b/file.jpg", to: elsewhere.root.string + "/photos/2.jpg")
    try data.addLink("a/same.jpg", to: "1.jpg")
    let scan = try data.scan()
    #expect(
      scan.files.map(\.path.description)
        == ["a/1.jpg", "a/same.jpg", "b/1.jpg", "b/file.jpg", "b/linked/2.jpg"])
    #expect(count(.linkOutside, scan) == 2)
  }

  @Test func aLinkToNothingIsABadPhoto() throws {
    let data = try PhotoFolder()
    for name in ["a", "b"] { try data.addPhoto("\(name)/1.jpg") }
    try data.addLink("a/lost.jpg", to: "nowhere")
    #expect(
      try data.scan().bad
        == [BadFile(path: BytePath("a/lost.jpg"), reason: "gone, or a link to nothing")])
  }

  @Test func pipesAndDevicesAreSkippedWithoutWaiting() throws {
    let data = try PhotoFolder()
    for name in ["a", "b"] { try data.addPhoto("\(name)/1.jpg") }
    #expect(data.root.appending("a/pipe.jpg").withPlatformString { mkfifo($0, 0o600) } == 0)
    try data.addLink("b/zero.jpg", to: "/dev/zero")
    let scan = try data.scan()
    #expect(scan.files.count == 2 && count(.notRegular, scan) == 2)
  }

  @Test func strangeNamesAreKeptByteForByte() throws {
    let data = try PhotoFolder()
    try data.addPhoto("b/1.jpg")
    var names = [
      "new\nline.jpg", "tab\t.jpg", "\u{1B}[31m.jpg", "\u{202E}gpj.exe.jpg", "-rf.jpg", "=cmd.jpg",
      "<img src=x>.jpg", "quo\"te's, comma.jpg", "A.jpg", "a.jpg", "caf\u{E9}.jpg",
      "cafe\u{301}.jpg", String(repeating: "x", count: 251) + ".jpg",
    ].map { Array($0.utf8) }
    names.append([0xFF, 0xFE] + Array(".jpg".utf8))
    for name in names { try data.add(BytePath(bytes: Array("a/".utf8) + name), [1]) }
    let files = try data.scan().files.filter { $0.className == "a" }
    let expected = names.map { BytePath(bytes: Array("a/".utf8) + $0) }.sorted()
    #expect(files.map(\.path) == expected)
    #expect(Set(files.map(\.path)).count == 14)
    #expect(files.allSatisfy { !$0.path.description.contains { $0.isNewline || $0 == "\u{1B}" } })
  }

  @Test func classNamesMayBeAnythingThatCanBeToldApart() throws {
    let data = try PhotoFolder()
    for name in ["big cat", "🐕", "new\nline"] { try data.addPhoto("\(name)/1.jpg") }
    try data.add(BytePath(bytes: [0xFF, 0x2F, 0x61, 0x2E, 0x6A, 0x70, 0x67]), [1])
    #expect(try data.scan().classes == ["\\xff", "big cat", "new\\nline", "🐕"])
  }

  @Test(arguments: [("cat", "cat "), ("caf\u{E9}", "cafe\u{301}")])
  func classNamesThatLookAlikeAreRefused(names: (String, String)) throws {
    let data = try PhotoFolder()
    for name in [names.0, names.1, "dog"] { try data.addPhoto("\(name)/1.jpg") }
    let error = #expect(throws: DatasetError.self) { try data.scan() }
    guard case .ambiguousClasses(_, let paths) = error else {
      Issue.record("expected ambiguous classes, got \(String(describing: error))")
      return
    }
    #expect(paths == [BytePath(names.0), BytePath(names.1)].sorted())
  }

  @Test func unusableRootsHaveTheirOwnErrors() throws {
    let data = try PhotoFolder()
    #expect(throws: DatasetError.noClasses(data.root)) { try data.scan() }
    let missing = data.root.appending("missing")
    #expect(throws: DatasetError.notAFolder(missing, .system(ENOENT))) {
      try FolderScanner.scan(missing)
    }
    try data.addPhoto("file.jpg")
    let file = data.root.appending("file.jpg")
    #expect(throws: DatasetError.notAFolder(file, nil)) { try FolderScanner.scan(file) }
    try data.addPhoto("only/sub/1.jpg")
    #expect(throws: DatasetError.singleClass(data.root, name: "only", nested: ["sub"])) {
      try data.scan()
    }
    try data.addFolder("void")
    #expect(throws: DatasetError.emptyClass("void", bad: [])) { try data.scan() }
  }

  @Test func aPathBeyondTheSystemsLimitIsBadNotFatal() throws {
    let data = try PhotoFolder()
    for name in ["a", "b"] { try data.addPhoto("\(name)/1.jpg") }
    try data.addPhoto("a/" + String(repeating: "d/", count: 200) + "2.jpg")
    try data.addLink("a/long", to: String(repeating: "x", count: 300))
    let scan = try data.scan()
    #expect(scan.files.count == 3)
    #expect(scan.bad.map(\.path) == [BytePath("a/long")])
    #expect(scan.bad[0].reason.contains("File name too long"))
  }

  @Test func aClassThatCannotBeLearntIsRefused() throws {
    let data = try PhotoFolder()
    for name in ["a", "b"] { try data.addPhotos(name, 0..<1, split: "train") }
    try data.addPhotos("c", 0..<1, split: "valid")
    #expect(throws: DatasetError.classNotInTraining("c", .valid)) { try data.scan() }
  }

  @Test func outputInsideTheDatasetIsRefused() throws {
    let data = try PhotoFolder()
    for name in ["a", "b"] { try data.addPhoto("\(name)/1.jpg") }
    for place in [data.root, data.root.appending("a"), data.root.appending("runs").appending("x")] {
      #expect(throws: DatasetError.outputInDataset(root: data.root, output: place)) {
        try data.scan { $0.output = place }
      }
    }
    #expect(try data.scan { $0.output = data.run }.files.count == 2)
  }

  // MARK: Layouts as they are downloaded

  private func fill(_ data: PhotoFolder, _ folders: [String], _ classes: [String] = ["a", "b"])
    throws
  {
    for folder in folders {
      for name in classes {
        try data.addPhoto(folder == "." ? "\(name)/1.jpg" : "\(folder)/\(name)/1.jpg")
      }
    }
  }

  private func counts(_ scan: FolderScan) -> [Split?: Int] {
    Dictionary(grouping: scan.files, by: \.split).mapValues(\.count)
  }

  @Test(arguments: [
    ["training_set", "test_set"], ["seg_train", "seg_test"], ["train2017", "test2017"],
    ["TrainImages", "testImages"], ["flowers-training", "flowers_test"], ["trainset", "testset"],
    ["Train Data", "Test Data"],
  ])
  func namesOfSplitsAreRecognised(names: [String]) throws {
    let data = try PhotoFolder()
    try fill(data, names)
    let scan = try data.scan()
    #expect(scan.layout == .splits && scan.classes == ["a", "b"])
    #expect(counts(scan) == [.train: 2, .test: 2])
  }

  @Test(arguments: ["dev", "eval", "val", "dev_set"])
  func validationHasManyNames(name: String) throws {
    let data = try PhotoFolder()
    try fill(data, ["train", name])
    #expect(counts(try data.scan()) == [.train: 2, .valid: 2])
  }

  @Test func splitsMayBeNestedInFoldersOfTheirName() throws {
    let data = try PhotoFolder()
    try fill(data, ["seg_train/seg_train", "seg_test/seg_test"])
    try data.addPhoto("seg_pred/seg_pred/1.jpg")
    let scan = try data.scan()
    #expect(scan.classes == ["a", "b"] && counts(scan) == [.train: 2, .test: 2])
    #expect(count(.unlabelledFolder, scan) == 1)
    let other = try PhotoFolder()
    try fill(other, ["train/images", "val/images"])
    #expect(try other.scan().classes == ["a", "b"])
  }

  @Test func aFolderAroundAllOthersIsEntered() throws {
    let data = try PhotoFolder()
    try fill(data, ["archive/animals"])
    let scan = try data.scan()
    #expect(scan.classes == ["a", "b"] && count(.outerFolder, scan) == 2)
    #expect(scan.files[0].path == BytePath("archive/animals/a/1.jpg"))
    let splits = try PhotoFolder()
    try fill(splits, ["data/train", "data/valid"])
    try splits.add(BytePath("README.txt"), Array("hello".utf8))
    #expect(counts(try splits.scan()) == [.train: 2, .valid: 2])
    // A class with folders of its own, where one class is enough, stays a class.
    let single = try PhotoFolder()
    try fill(single, ["cat"], ["2020", "2021"])
    let judged = try single.scan {
      $0.requiresAllClasses = false
      $0.requiresTraining = false
    }
    #expect(judged.classes == ["cat"])
  }

  @Test(arguments: [
    (["fold1", "fold2"], ["a", "b"]), (["first half", "second half"], ["a", "b"]),
    (["fold_1", "fold_2", "fold_3"], ["a"]),
  ])
  func foldersThatHoldTheSameFoldersAreNotTakenForClasses(
    outer: [String], inner: [String]
  ) throws {
    let data = try PhotoFolder()
    try fill(data, outer, inner)
    let error = #expect(throws: DatasetError.self) { try data.scan() }
    #expect(error == .sharedFolders(data.root, outer: outer, inner: inner))
    #expect(error?.description.contains("probably the classes") == true)
    #expect(try data.scan { $0.layout = .classes }.classes == outer)
  }

  @Test func aSplitBelowTheClassesIsRefused() throws {
    let data = try PhotoFolder()
    try fill(data, ["cat", "dog"], ["train", "test"])
    let error = #expect(throws: DatasetError.self) { try data.scan() }
    #expect(error?.description.contains("Put it above: train/cat, test/cat") == true)
  }

  @Test func classesWithFoldersOfTheirOwnStayClasses() throws {
    let data = try PhotoFolder()
    try fill(data, ["cat", "dog"], ["images"])
    #expect(try data.scan().classes == ["cat", "dog"])
    try fill(data, ["cat"], ["2020"])
    try data.addPhoto("dog/loose.jpg")
    #expect(try data.scan().classes == ["cat", "dog"])
  }

  @Test func namesThatShareNoWordAreClasses() throws {
    let data = try PhotoFolder()
    for path in ["train station/x/1.jpg", "test pattern/y/1.jpg"] { try data.addPhoto(path) }
    #expect(try data.scan().classes == ["test pattern", "train station"])
  }

  @Test func aClassSpelledOtherwiseInTrainingIsNamed() throws {
    let data = try PhotoFolder()
    try fill(data, ["train"])
    try fill(data, ["test"], ["A", "b"])
    #expect(throws: DatasetError.spelledOtherwise("A", .test, training: "a")) { try data.scan() }
  }

  @Test func leftoversOfEditorsAndDownloadsAreIgnoredAndCounted() throws {
    let data = try PhotoFolder()
    try fill(data, ["."])
    for name in ["1.jpg~", "#2.jpg#", "3.jpg.part", "4.jpg.crdownload", "5.tmp"] {
      try data.add(BytePath("a/" + name), [0xFF, 0xD8, 0xFF])
    }
    let scan = try data.scan()
    #expect(scan.files.count == 2 && count(.ignored, scan) == 5)
  }

  @Test func everyImageIsAPhotoWhateverItsFormat() throws {
    let data = try PhotoFolder()
    for name in ["a", "b"] { try data.addPhoto("\(name)/1.jpg") }
    try data.add(BytePath("a/2.jxl"), [0xFF, 0x0A, 0, 0])
    try data.add(BytePath("a/nameless"), Array("BM".utf8) + [UInt8](repeating: 0, count: 30))
    try data.add(BytePath("b/page.pdf"), Array("%PDF-1.7".utf8))
    let scan = try data.scan()
    #expect(scan.files.count == 4 && count(.otherFile, scan) == 1)
  }
}
