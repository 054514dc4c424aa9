// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import Testing
import ThawFiles

/// Labels from a table, and photos that belong together, through the command.
struct LabelTests {
  @Test func aTableOfLabelsGivesTheModelOfFolders() throws {
    let workspace = try Workspace()
    try workspace.fit().succeeded()
    let rows = (0..<12).flatMap { number in ["red", "blue"].map { "\($0)/\(number).png,\($0)" } }
    try AtomicFile.write(
      workspace.file("labels.csv"), text: "image,label\n" + rows.joined(separator: "\n"))
    let before = try workspace.read("run/manifest.json")
    let model = try workspace.read("run/model.safetensors")
    let json = try workspace.fit("--labels", "labels.csv", "--json").json()
    #expect(json["prepare"]["unchanged"].bool == true && json["train"]["unchanged"].bool == true)
    #expect(try workspace.read("run/manifest.json") == before)
    #expect(try workspace.read("run/model.safetensors") == model)
  }

  @Test func tableOptionsWithoutATableAreErrors() throws {
    let workspace = try Workspace(count: 4)
    let columns = try workspace.prepare("--table-columns", "path=a")
    #expect(columns.status == 64 && columns.stderr.contains("there is no table of labels"))
    let group = try workspace.prepare("--group-by", "patient")
    #expect(group.status == 64 && group.stderr.contains("needs a table of labels"))
  }

  @Test func metadataBesideThePhotosIsUsedWhenItHasLabels() throws {
    let workspace = try Workspace(count: 6)
    try AtomicFile.write(
      workspace.file("photos/metadata.csv"), text: "file_name,width\nred/0.png,40\n")
    let folders = try workspace.prepare("--json")
    #expect(try folders.json()["count"].int == 12)
    #expect(folders.stderr.contains("The folders are the labels"), "\(folders.stderr)")
    let rows = (0..<6).flatMap { ["red/\($0).png,\($0 % 2)", "blue/\($0).png,\($0 % 2)"] }
    try AtomicFile.write(
      workspace.file("photos/metadata.csv"),
      text: "file_name,label\n" + rows.joined(separator: "\n"))
    let table = try workspace.start(
      ["prepare", "photos", "--run", "other", "--json"] + Workspace.recipe
    ).wait()
    #expect(try table.json()["classes"][0]["name"].string == "0")
  }

  @Test func aChangedGroupingIsANewSplit() throws {
    let workspace = try Workspace()
    try workspace.prepare().succeeded()
    let outcome = try workspace.prepare("--group-by", "(\\d)\\d*\\.png", "--json")
    let json = try outcome.json()
    #expect(json["new_split"]["now"].string?.contains("group by") == true, "\(outcome.stderr)")
  }
}
