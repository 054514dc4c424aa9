// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import Testing
import ThawFiles
import ThawImages
import ThawTestSupport
import ThawTinyBackbone

/// `thaw diagnose errors` and `thaw diagnose shortcuts`, as commands.
struct DiagnoseErrorsTests {
  /// Every sample times `factor`.
  private static func darkened(kind: Int, number: Int, by factor: Double) throws -> [UInt8] {
    let image = TinyPhotos.image(kind: kind, number: number)
    return try PNGEncoder.encode(
      RGBImage(size: image.size, pixels: image.pixels.map { UInt8(Double($0) * factor) }))
  }

  /// Photos that the model has not seen: of "red" half are dark, and answered blue.
  private func judged(_ workspace: Workspace) throws {
    for (name, kind) in [("blue", 0), ("red", 1)] {
      try FileSystem.createDirectory(workspace.file("judged/\(name)"))
      for number in 100..<112 {
        try AtomicFile.write(
          workspace.file("judged/\(name)/\(number).png"),
          bytes: try Workspace.photo(kind: kind, number: number))
      }
    }
    for number in 200..<212 {
      try AtomicFile.write(
        workspace.file("judged/red/dark-\(number).png"),
        bytes: try Self.darkened(kind: 1, number: number, by: 0.4))
    }
  }

  @Test func whatMistakesHaveInCommonIsFoundAndRanked() throws {
    let fitted = try Workspace.fitted.get().workspace
    let workspace = try Workspace(count: 1)
    try judged(workspace)
    try AtomicFile.write(
      workspace.file("tags.csv"),
      text: "tag,path\nnight,red/dark-200.png\nnight,judged/red/dark-201.png\n"
        + "day,blue/100.png\nday,blue/nowhere.png\n")
    let outcome = try workspace.thaw(
      "diagnose", "errors", "--model", fitted.file("run/model.safetensors").string, "--data",
      "judged", "--tags", "tags.csv", "--sheets", "sheets", "--show", "5", "--json")
    let json = try outcome.json()
    let tags = json["tags"].array
    let dark = try #require(tags.first { $0["name"].string == "dark" })
    #expect(dark["is_clear"].bool == true)
    let wrong = try #require(dark["of_mistakes"]["count"].int)
    #expect(wrong >= 8 && dark["error"]["of"].int == 12)
    let (accuracy, ceiling) = (
      try #require(json["accuracy"]["share"].double), try #require(dark["ceiling"].double)
    )
    #expect(abs(ceiling - accuracy - Double(wrong) / 36) < 1e-9)
    #expect((dark["of_mistakes"]["lower"].double ?? 1) < (dark["of_mistakes"]["share"].double ?? 0))
    let night = try #require(tags.first { $0["name"].string == "night" })
    #expect(night["error"]["of"].int == 2)
    #expect(json["unknown_paths"].array.map(\.string) == ["blue/nowhere.png"])
    #expect(outcome.stderr.contains("1 path of none of the all photos: blue/nowhere.png"))
    let worst = json["most_confident_wrong"].array
    #expect(worst.count == 5)
    let probabilities = worst.compactMap { $0["probability"].double }
    #expect(probabilities == probabilities.sorted(by: >))
    #expect(worst.allSatisfy { $0["label"].string != $0["predicted"].string })
    #expect(
      json["most_confident_right"].array.allSatisfy { $0["label"].string == $0["predicted"].string }
    )
    #expect(json["most_ambiguous"].array.count == 5)
    let sheet = try #require(dark["sheet"].string)
    #expect(try workspace.read(sheet).starts(with: [0x89, 0x50, 0x4E, 0x47]))
  }

  @Test func theResultOfARunIsKeptAndReportedUntilItsModelChanges() throws {
    let workspace = try Workspace(count: 20)
    try workspace.addPhoto("blue", kind: 1, number: 77, named: "impostor.png")
    try workspace.fit("--valid", "0.4").succeeded()
    try workspace.thaw("diagnose", "errors", "--run", "run").succeeded()
    let rows = try workspace.text("run/diagnosis_errors.csv").split(separator: "\r\n")
    #expect(rows[0] == "path,split,label,predicted,probability,right,tags")
    #expect(rows.count == 17 || rows.count == 18)
    try workspace.thaw("report", "--run", "run").succeeded()
    #expect(try workspace.text("run/report.html").contains("id=\"errors\""))
    #expect(try workspace.text("run/report.html").contains("Precision, recall and thresholds"))
    try workspace.thaw("train", "--run", "run", "--epochs", "5").succeeded()
    try workspace.thaw("report", "--run", "run").succeeded()
    #expect(try !workspace.text("run/report.html").contains("id=\"errors\""))
  }

  @Test(arguments: [
    ("file,tag\na,b\n", ":1: has the columns 'file', 'tag'"), ("path,tag\na\n", ":2: has 1 cells"),
    ("path,tag\n", "has no row"), ("path,tag\na,\n", ":2: has an empty cell"),
  ])
  func aTableOfTagsThatIsNoneIsRefused(_ table: String, _ reason: String) throws {
    let fitted = try Workspace.fitted.get().workspace
    let workspace = try Workspace(count: 1)
    try AtomicFile.write(workspace.file("tags.csv"), text: table)
    let outcome = try workspace.thaw(
      "diagnose", "errors", "--model", fitted.file("run/model.safetensors").string, "--data",
      "photos", "--tags", "tags.csv")
    #expect(outcome.status == 65 && outcome.errors.count == 1)
    #expect(outcome.stderr.contains(reason), "\(outcome.stderr)")
  }

  // MARK: Shortcuts

  /// Photos of one look; those of "marked" have a white square in the lower right corner.
  private func planted() throws -> Workspace {
    let workspace = try Workspace(classes: [], count: 0)
    for (name, kind, first) in [("marked", 0, 0), ("plain", 0, 100), ("striped", 1, 200)] {
      try FileSystem.createDirectory(workspace.file("photos/\(name)"))
      for number in first..<(first + 30) {
        let image = TinyPhotos.image(kind: kind, number: number)
        var pixels = image.pixels
        if name == "marked" {
          for row in 32..<40 {
            for column in 32..<40 {
              for channel in 0..<3 { pixels[(row * 40 + column) * 3 + channel] = 255 }
            }
          }
        }
        try AtomicFile.write(
          workspace.file("photos/\(name)/\(number).png"),
          bytes: try PNGEncoder.encode(RGBImage(size: image.size, pixels: pixels)))
      }
    }
    return workspace
  }

  @Test func aPlantedMarkIsFound() throws {
    let workspace = try planted()
    try workspace.fit("--valid", "0.5").succeeded()
    let json = try workspace.thaw("diagnose", "shortcuts", "--run", "run", "--json").json()
    let classes = json["classes"].array
    #expect(classes.count == 3)
    let marked = try #require(classes.first { $0["name"].string == "marked" })
    #expect(marked["goes_by_border"].bool == true, "\(marked)")
    #expect((marked["border_decides"]["share"].double ?? 0) > 0.5)
    #expect(marked["excess"]["place"].string != nil)
    #expect(json["verdict"].string?.contains("goes by the border") == true)
    #expect(marked["border_heat"]["mean"].double != nil)
    #expect(json["grey_answer"].string != nil)
    #expect(FileSystem.exists(workspace.file("run/diagnosis_shortcuts.json")))
    let text = try workspace.thaw("diagnose", "shortcuts", "--run", "run", "--photos", "30")
    #expect(text.stdout.contains("marked *") && text.stdout.contains("Border decides"))
    // It is reported until the model changes.
    try workspace.thaw("report", "--run", "run").succeeded()
    #expect(try workspace.text("run/report.html").contains("<section id=\"shortcuts\""))
    try workspace.thaw("train", "--run", "run", "--epochs", "5").succeeded()
    try workspace.thaw("report", "--run", "run").succeeded()
    #expect(try !workspace.text("run/report.html").contains("<section id=\"shortcuts\""))
  }

  @Test func noShortcutIsSaidWhereThereIsNone() throws {
    // The classes differ by an image in the middle, on borders that are alike.
    let workspace = try Workspace(classes: [], count: 0)
    for (name, kind) in [("one", 0), ("two", 1)] {
      try FileSystem.createDirectory(workspace.file("photos/\(name)"))
      for number in 0..<30 {
        var pixels = TinyPhotos.image(kind: 2, number: number + 50 * kind).pixels
        let inner = TinyPhotos.image(kind: kind, number: number + 300).pixels
        for row in 8..<32 {
          for column in 8..<32 {
            for channel in 0..<3 {
              let at = (row * 40 + column) * 3 + channel
              pixels[at] = inner[at]
            }
          }
        }
        try AtomicFile.write(
          workspace.file("photos/\(name)/\(number).png"),
          bytes: try PNGEncoder.encode(
            RGBImage(size: PixelSize(width: 40, height: 40), pixels: pixels)))
      }
    }
    try workspace.fit("--valid", "0.5").succeeded()
    let json = try workspace.thaw("diagnose", "shortcuts", "--run", "run", "--json").json()
    #expect(json["classes"].array.allSatisfy { $0["goes_by_border"].bool == false })
    #expect(json["verdict"].string?.contains("No class goes by the border") == true)
    for one in json["classes"].array {
      #expect((one["centre_decides"]["share"].double ?? 0) > 0.8)
    }
  }
}
