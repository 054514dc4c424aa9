// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import Testing
import ThawCheckpoints
import ThawFiles

/// How pixels are read belongs to the run and its model.
struct PixelTests {
  private func contract(_ workspace: Workspace, _ run: String) throws -> String {
    try ModelFile.read(workspace.file("\(run)/model.safetensors")).record.preprocessing
  }

  @Test func theModelKeepsHowPixelsAreRead() throws {
    let workspace = try Workspace()
    try workspace.fit().succeeded()
    #expect(try contract(workspace, "run").contains(#""color_profiles":"srgb""#))
    let other = try workspace.fit(
      "--color-profiles", "ignore", "--sixteen-bit", "stretch", "--max-pixels", "100000000")
    other.succeeded()
    #expect(other.stderr.contains("image.color_profiles was convert, is now ignore"))
    let json = try contract(workspace, "run")
    #expect(!json.contains("color_profiles") && json.contains(#""sixteen_bit":"stretch""#))
    #expect(json.contains(#""max_pixels":100000000"#))
    // A recipe of a version that knew nothing of profiles goes on as it was.
    let recipe = try workspace.text("run/recipe.yml")
    let old = recipe.split(separator: "\n").filter { !$0.contains("color_profiles") }
    try AtomicFile.write(workspace.file("run/recipe.yml"), text: old.joined(separator: "\n") + "\n")
    let again = try workspace.fit("--json")
    #expect(try again.json()["train"]["unchanged"].bool == true)
    #expect(try workspace.text("run/recipe.yml") == recipe)
  }

  @Test func aLimitOfPixelsBeyondTheMemoryIsRefused() throws {
    let workspace = try Workspace(count: 4)
    let outcome = try workspace.prepare("--max-pixels", "4000000000", "--threads", "64")
    #expect(outcome.status == 64 && outcome.stderr.contains("and there are"))
  }

  @Test func aLookAtThePhotosIsAPageOfItsOwn() throws {
    let workspace = try Workspace()
    for number in 0..<3 {
      try workspace.addPhoto("red", kind: 1, number: 5, named: "again \(number).png")
    }
    let outcome = try workspace.prepare("--json")
    let json = try outcome.json()
    #expect(json["page"].string == "run/photos.html")
    #expect(json["look"]["classes"][0]["formats"]["PNG"].int == 12)
    let page = try workspace.text("run/photos.html")
    #expect(page.contains("What each class is made of") && page.contains("default-src 'none'"))
    let shown = try workspace.prepare()
    #expect(shown.stdout.contains("A look at the photos: run/photos.html"))
  }
}
