// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import Testing
import ThawFiles
import ThawTinyBackbone

/// Bad input ends in one clear error, the documented exit code, and nothing half done.
struct FailureTests {
  // MARK: Photos

  @Test func badPhotosStopBeforeTrainingAndAreAllNamed() throws {
    let workspace = try Workspace()
    try AtomicFile.write(workspace.file("photos/red/empty.jpg"), bytes: [])
    try AtomicFile.write(workspace.file("photos/blue/page.jpg"), text: "<!DOCTYPE html>")
    let outcome = try workspace.fit("--json")
    #expect(outcome.status == 65)
    #expect(outcome.stdout.isEmpty)
    #expect(outcome.errors.count == 1)
    for text in ["blue/page.jpg: not an image", "red/empty.jpg: ", "--on-bad-image skip"] {
      #expect(outcome.stderr.contains(text), "\(text)")
    }
    #expect(try workspace.text("run/bad_files.tsv").split(separator: "\n").count == 3)
    let skipped = try workspace.fit("--json", "--on-bad-image", "skip").json()
    #expect(skipped["prepare"]["count"].int == 24)
    #expect(
      skipped["prepare"]["bad"].array.map { $0["path"].string } == [
        "blue/page.jpg", "red/empty.jpg",
      ])
  }

  /// What is read is never written over, and what cannot be written is refused before anything is computed.
  @Test func predictionsAreNotWrittenOverTheModelOrAPhoto() throws {
    let workspace = try Workspace(classes: ["red"], count: 1)
    let fitted = try Workspace.fitted.get().workspace
    let model = try FileSystem.read(fitted.file("run/model.safetensors"), limit: 1 << 28)
    try AtomicFile.write(workspace.file("m.safetensors"), bytes: model)
    let photo = "photos/red/0.png"
    for (output, message) in [
      ("m.safetensors", "which would be lost"), (photo, "which would be lost"),
      ("nowhere/p.txt", "there is no folder nowhere"), ("photos", "is a folder"),
    ] {
      let outcome = try workspace.start([
        "predict", "--model", "m.safetensors", photo, "--output", output,
      ]).wait()
      #expect(outcome.status == 64 && outcome.stderr.contains(message), "\(outcome.stderr)")
    }
    #expect(try FileSystem.read(workspace.file("m.safetensors"), limit: 1 << 28) == model)
    let written = try workspace.start([
      "predict", "--model", "m.safetensors", photo, "--output", "p.txt",
    ]).wait()
    #expect(written.status == 0, "\(written.stderr)")
    let logits = try workspace.start(["predict", "--model", "m.safetensors", photo, "--logits"])
      .wait()
    #expect(logits.status == 64 && logits.stderr.contains("--logits has no effect without --json"))
  }

  @Test func oneCorruptPhotoDoesNotStopPredictions() throws {
    let fitted = try Workspace.fitted.get().workspace
    let workspace = try Workspace(classes: ["mixed"], count: 3)
    let photo = try workspace.read("photos/mixed/1.png")
    try AtomicFile.write(workspace.file("photos/mixed/1.png"), bytes: Array(photo.prefix(900)))
    let outcome = try workspace.thaw(
      "predict", "--model", fitted.file("run/model.safetensors").string, "photos", "gone.jpg",
      "--json")
    #expect(outcome.status == 65)
    #expect(
      try JSON(outcome.stdout).array.map { $0["path"].string } == [
        "photos/mixed/0.png", "photos/mixed/2.png",
      ])
    #expect(outcome.errors.count == 2)
    #expect(outcome.errors.contains { $0.hasPrefix("error: photos/mixed/1.png: ") })
    #expect(outcome.errors.contains { $0.hasPrefix("error: gone.jpg: ") })
  }

  @Test func oddNamesAreKeptApartAndShownOnOneLine() throws {
    let workspace = try Workspace(classes: ["a b", "🌿"], count: 6)
    let names = ["new\nline.png", "=cmd|x.png", "-rf.png", "tab\t\u{1B}[31m.png"]
    for (index, name) in names.enumerated() {
      try workspace.addPhoto("a b", kind: 0, number: 50 + index, named: name)
    }
    let raw = FilePath(workspace.file("photos/🌿").string + "/")
    let bytes: [CChar] = [0x78, -1, 0x2E, 0x70, 0x6E, 0x67, 0]  // x, a byte that is not UTF-8, .png
    let component = bytes.withUnsafeBufferPointer { pointer in
      pointer.baseAddress.flatMap { FilePath.Component(platformString: $0) }
    }
    try AtomicFile.write(
      raw.appending(try #require(component)), bytes: try Workspace.photo(kind: 1, number: 99))
    let json = try workspace.fit("--json").json()
    #expect(json["prepare"]["count"].int == 17)
    let predicted = try workspace.thaw(
      "predict", "--model", "run/model.safetensors", "photos", "--json"
    ).json().array
    #expect(predicted.count == 17)
    let paths = predicted.compactMap { $0["path"].string }
    // For programs a path is what opens the file; a byte that is no text has no such form.
    #expect(paths.contains("photos/a b/new\nline.png"))
    #expect(paths.contains("photos/🌿/x\\xff.png"))
    let shown = try workspace.thaw("predict", "--model", "run/model.safetensors", "photos").stdout
    #expect(shown.contains("photos/a b/new\\nline.png") && !shown.contains("\u{1B}"))
    #expect(shown.split(separator: "\n").count == 17)
  }

  @Test func aFolderThatIsNoDatasetIsRefused() throws {
    let workspace = try Workspace(classes: ["only"], count: 3)
    let cases = [
      ("gone", "gone: cannot look at"), ("photos", "only one class, 'only'"),
      ("photos/only/0.png", "a file, not a folder"), ("photos/only", "no class folders"),
    ]
    for (data, text) in cases {
      let outcome = try workspace.thaw("fit", data, "--run", "run", "--backbone", "tiny")
      #expect(outcome.status == 65)
      #expect(outcome.errors.count == 1 && outcome.stderr.contains(text), "\(outcome.stderr)")
    }
    let inside = try workspace.thaw(
      "fit", "photos", "--run", "photos/only/run", "--backbone", "tiny")
    #expect(inside.status == 65)
    #expect(inside.stderr.contains("lies inside the dataset"))
    #expect(!FileSystem.exists(workspace.file("photos/only/run")))
  }

  @Test func theClassThatLacksPhotosOfItsOwnIsNamed() throws {
    let workspace = try Workspace(count: 8)
    // Whichever photo of the larger class it is: for some, both classes come out short.
    for number in 0..<8 {
      try workspace.addPhoto("zz copy", kind: 0, number: number, named: "copy.png")
      let stopped = try workspace.prepare()
      #expect(stopped.status == 65 && stopped.stderr.contains("contradict"), "\(stopped.stderr)")
      let outcome = try workspace.prepare("--conflicting-labels", "keep")
      #expect(outcome.status == 65)
      #expect(outcome.stderr.contains("class 'zz copy' has 1 different"), "\(outcome.stderr)")
    }
  }

  // MARK: Recipes and runs

  @Test func aMistakeInARecipeIsFoundByLine() throws {
    let workspace = try Workspace(count: 2)
    let cases = [
      ("name: x\ntrain:\n  epoch: 3\n", "r.yml:3: unknown key 'epoch' in 'train'"),
      ("train:\n  epochs: 0\n", "r.yml:2: 'train.epochs' is '0', expected"),
      ("train: [\n", "r.yml:2: not readable as YAML"),
      ("seed: 1\nseed: 2\n", "r.yml:1: not readable as YAML: 'seed' is there twice"),
    ]
    for (text, expected) in cases {
      try AtomicFile.write(workspace.file("r.yml"), text: text)
      let outcome = try workspace.thaw("fit", "photos", "--run", "run", "--recipe", "r.yml")
      #expect(outcome.status == 65)
      #expect(outcome.stderr.hasPrefix("error: \(expected)"), "\(outcome.stderr)")
      #expect(!FileSystem.exists(workspace.file("run")))
    }
    let gone = try workspace.thaw("fit", "photos", "--run", "run", "--recipe", "gone.yml")
    #expect(gone.status == 64 && gone.stderr.contains("there is no file gone.yml"))
    let near = try workspace.thaw("fit", "photos", "--run", "run", "--recipe", "stamp")
    #expect(near.status == 64 && near.stderr.contains("Did you mean 'stamps'?"), "\(near.stderr)")
  }

  @Test(arguments: ["cache", "train", "evaluate", "report"])
  func aStageBeforePrepareSaysWhatToRunAndCreatesNothing(command: String) throws {
    let workspace = try Workspace(classes: [])
    let outcome = try workspace.thaw(command, "--run", "nowhere")
    #expect(outcome.status == 65)
    #expect(outcome.stderr.contains("Run first: thaw prepare DATA --run nowhere"))
    #expect(!FileSystem.exists(workspace.file("nowhere")))
  }

  @Test func aRunInUseIsLeftAlone() throws {
    let workspace = try Workspace(count: 4)
    try workspace.fit().succeeded()
    let lock = try DirectoryLock(workspace.file("run"))
    for arguments in [
      ["fit", "photos"], ["prepare", "photos"], ["cache"], ["train"], ["evaluate"], ["report"],
    ] {
      let outcome = try workspace.start(arguments + ["--run", "run"]).wait()
      #expect(outcome.status == 75, "\(arguments)")
      #expect(
        outcome.errors == [
          "error: run: in use by process \(getpid())."
            + " Wait for it or use another run directory."
        ])
    }
    let predicted = try workspace.thaw(
      "predict", "--model", "run/model.safetensors", "photos/red/0.png")
    #expect(predicted.status == 0, "predicting needs nothing but the model")
    withExtendedLifetime(lock) {}
  }

  @Test func leftoversOfKilledProcessesAreRemovedAndOthersFilesKept() throws {
    let workspace = try Workspace(count: 4)
    try workspace.prepare().succeeded()
    let names = ["model.safetensors.tmp.12.ab", "model.safetensors.tmp", "mine.tmp.12.ab"]
    for name in names { try AtomicFile.write(workspace.file("run/\(name)"), text: "x") }
    try workspace.thaw("cache", "--run", "run").succeeded()
    #expect(names.map { FileSystem.exists(workspace.file("run/\($0)")) } == [false, true, true])
  }

  // MARK: Weights and models

  @Test func weightsWithAnotherHashAreRefused() throws {
    let workspace = try Workspace(count: 4)
    try TinyBackbone.write(to: workspace.file("cards"))
    var weights = try workspace.read("cards/tiny.safetensors")
    weights[weights.count - 1] ^= 1
    try AtomicFile.write(workspace.file("cards/tiny.safetensors"), bytes: weights)
    let outcome = try workspace.fit()
    #expect(outcome.status == 65)
    #expect(outcome.errors.count == 1)
    #expect(outcome.stderr.contains("tiny.safetensors: the contents have sha256 "))
    #expect(!FileSystem.exists(workspace.file("run/model.safetensors")))
  }

  @Test func aDamagedModelIsRefused() throws {
    let fitted = try Workspace.fitted.get().workspace
    let workspace = try Workspace(classes: ["red"], count: 1)
    let model = try fitted.read("run/model.safetensors")
    var flipped = model
    flipped[model.count / 2] ^= 0x10
    let cases = [
      Array(model.prefix(7)), Array(model.prefix(model.count / 2)), Array(model.dropLast()),
      flipped, [], Array("hello".utf8),
    ]
    for bytes in cases {
      try AtomicFile.write(workspace.file("m.safetensors"), bytes: bytes)
      let outcome = try workspace.thaw(
        "predict", "--model", "m.safetensors", "photos", "--format", "csv", "--output", "out.csv")
      #expect(outcome.status == 65)
      #expect(outcome.stdout.isEmpty && !FileSystem.exists(workspace.file("out.csv")))
      #expect(outcome.errors.count == 1 && outcome.stderr.hasPrefix("error: m.safetensors: "))
    }
  }

  @Test func aModelIsOnlyJudgedOnClassesItKnows() throws {
    let fitted = try Workspace.fitted.get().workspace
    let workspace = try Workspace(classes: ["blue", "rouge"], count: 3)
    let command = [
      "evaluate", "--model", fitted.file("run/model.safetensors").string, "--data", "photos",
      "--json",
    ]
    let outcome = try workspace.start(command).wait()
    #expect(outcome.status == 65)
    #expect(outcome.stderr.contains("does not know 'rouge'"))
    let astray = try workspace.start(command + ["--rename", "rouge=crimson"]).wait()
    #expect(
      astray.status == 65 && astray.stderr.contains("--rename rouge=crimson: the model"),
      "\(astray.stderr)")
    let renamed = try workspace.start(command + ["--rename", "rouge=red"]).wait().json()
    #expect(renamed["count"].int == 6)
    #expect(renamed["confusion"].array.count == 3)
  }

  // MARK: Output

  @Test func resultsThatCannotBeWrittenAreAnError() throws {
    let workspace = try Workspace.fitted.get().workspace
    let predict = ["predict", "--model", "run/model.safetensors", "photos/red/0.png"]
    for shell in [#"exec "$@" > /dev/full"#, #"exec "$@" >&-"#] {
      let outcome = try workspace.start(predict, shell: shell).wait()
      #expect(outcome.status == 74)
      #expect(outcome.errors.count == 1 && outcome.stderr.contains("error: stdout: cannot write"))
      #expect(try workspace.start(["--help"], shell: shell).wait().status == 74)
    }
    let gone = try workspace.start(predict + ["--output", "no/such/folder"]).wait()
    #expect(gone.status == 64)
    #expect(
      gone.stderr.contains("error: no/such/folder: there is no folder no/such. Make it first."))
  }

  @Test func aDeviceNamedAsOutputStaysADevice() throws {
    let workspace = try Workspace(classes: ["red"], count: 1)
    let model = try Workspace.fitted.get().workspace.file("run/model.safetensors").string
    try FileManager.default.createSymbolicLink(
      atPath: workspace.file("null").string, withDestinationPath: "/dev/null")
    let outcome = try workspace.thaw("predict", "--model", model, "photos", "--output", "null")
    #expect(outcome.status == 0)
    #expect(try FileStatus(of: workspace.file("null"), followingLinks: false).kind == .symbolicLink)
    #expect(try FileStatus(of: workspace.file("null")).kind == .other)
  }

  @Test func closedStreamsDoNotEndUpInTheCache() throws {
    let workspace = try Workspace(count: 6)
    try workspace.prepare().succeeded()
    let outcome = try workspace.thaw("cache", "--run", "run", shell: #"exec "$@" <&- >&- 2>&-"#)
    #expect(outcome.status == 74, "the result had nowhere to go")
    let again = try workspace.thaw("cache", "--run", "run", "--json")
    #expect(try again.json()["computed"].int == 0)
    #expect(!again.stderr.contains("damaged"))
  }

  @Test func noReaderIsNoError() throws {
    let workspace = try Workspace.fitted.get().workspace
    let outcome = try workspace.thaw(
      "predict", "--model", "run/model.safetensors", "photos", "--quiet", shell: #""$@" | true"#)
    #expect(outcome.stderr.isEmpty)
  }

  @Test func theLanguageOfTheMachineDoesNotChangeNumbers() throws {
    let workspace = try Workspace.fitted.get().workspace
    let command = ["predict", "--model", "run/model.safetensors", "photos/red", "--format", "csv"]
    let plain = try workspace.start(command).wait().stdout
    let german = try workspace.start(command, shell: #"LC_ALL=de_DE.UTF-8 exec "$@""#).wait()
    #expect(!plain.isEmpty && german.stdout == plain)
  }
}
