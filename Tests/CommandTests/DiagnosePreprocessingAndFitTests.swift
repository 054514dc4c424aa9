// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import Testing
import ThawCheckpoints
import ThawFiles
import ThawTensors
import ThawTinyBackbone

/// `thaw diagnose preprocessing` and `thaw diagnose fit`, as commands.
@Suite struct DiagnosePreprocessingAndFitTests {
  @Test func bothDiagnosesAreKeptInTheRunAndReported() throws {
    let workspace = try Workspace()
    try workspace.fit("--valid", "0.3").succeeded()
    let found = try workspace.thaw("diagnose", "preprocessing", "--run", "run", "--json").json()
    #expect(found["ranking"].array.count > 10)
    let distances = found["ranking"].array.compactMap { $0["divergence"].double }
    #expect(distances == distances.sorted() && distances.count == found["ranking"].array.count)
    #expect(found["ranking"].array.count { $0["is_declared"].bool == true } == 1)
    #expect(found["declared"].string == "efficientnet-lite")
    #expect(found["verdict"].string?.isEmpty == false)

    let fit = try workspace.thaw("diagnose", "fit", "--run", "run", "--json").json()
    #expect(fit["training_error"].double != nil)
    #expect(fit["validation_error"].double != nil)
    #expect(fit["overfit_test"]["passed"].bool == true)
    #expect(fit["overfit_test"]["loss"].double ?? 9 < fit["overfit_test"]["first_loss"].double ?? 0)
    let rows = try workspace.text("run/diagnosis_fit.csv").split(separator: "\r\n")
    #expect(rows.count == 25)
    #expect(try workspace.read("run/diagnosis_fit.png").starts(with: [0x89, 0x50, 0x4E, 0x47]))

    try workspace.thaw("report", "--run", "run").succeeded()
    let report = try workspace.text("run/report.html")
    #expect(report.contains("Preprocessing: ") && report.contains("Fit: "))
  }

  @Test func aSwappedLabelIsShown() throws {
    let workspace = try Workspace(classes: ["blue", "red"], count: 20)
    try workspace.addPhoto("blue", kind: 1, number: 77, named: "impostor.png")
    try workspace.fit().succeeded()
    let fit = try workspace.thaw("diagnose", "fit", "--run", "run", "--json").json()
    #expect(fit["labels"][0]["path"].string == "blue/impostor.png")
    #expect(fit["labels"][0]["suggestion"].string == "red")
    #expect(fit["labels"][0]["is_suspicious"].bool == true)
    #expect(fit["suspicious_count"].int == 1)
    try workspace.thaw("report", "--run", "run").succeeded()
    #expect(try workspace.text("run/report.html").contains("Suspicious labels"))
  }

  @Test func photosNeedNoLabels() throws {
    let workspace = try Workspace(count: 4)
    let flat = workspace.file("flat")
    try FileSystem.createDirectory(flat)
    for number in 0..<9 {
      try AtomicFile.write(
        flat.appending("\(number).png"), bytes: try Workspace.photo(kind: 0, number: number))
    }
    let found = try workspace.thaw(
      "diagnose", "preprocessing", "--model", TinyBackbone.name, "--data", "flat", "--json"
    ).json()
    #expect(found["photos"].int == 9)
    let fit = try workspace.thaw(
      "diagnose", "fit", "--model", TinyBackbone.name, "--data", "photos", "--json")
    #expect(fit.status == 65)
    #expect(fit.stderr.contains("does not know the class 'blue'"))
  }

  @Test func rangesAreToldAndTheContractIsCorrected() throws {
    let workspace = try Workspace()
    try workspace.fit().succeeded()
    // The same weights under a contract that leaves out the division.
    let (record, parameters) = try ModelFile.read(workspace.file("run/model.safetensors"))
    var wrong = record
    wrong.preprocessing = record.preprocessing.replacing(
      "\"std\":[128,128,128]", with: "\"std\":[1,1,1]")
    #expect(wrong.preprocessing != record.preprocessing)
    try ModelFile.write(workspace.file("wrong.safetensors"), wrong, parameters)
    let found = try workspace.thaw(
      "diagnose", "preprocessing", "--model", "wrong.safetensors", "--data", "photos", "--json"
    ).json()
    let names = found["ranking"].array.compactMap { $0["name"].string }
    #expect(names.firstIndex(of: "declared").map { $0 > 3 } == true)
    let own = found["ranking"].array.first { $0["is_declared"].bool == true }
    #expect(
      own?["divergence"].double ?? 0 > 8 * (found["ranking"][0]["divergence"].double ?? .infinity))
  }

  @Test func aNetworkThatWasNeverTrainedIsNotCalledRight() throws {
    let workspace = try Workspace()
    try workspace.fit().succeeded()
    let (record, parameters) = try ModelFile.read(workspace.file("run/model.safetensors"))
    var fresh = parameters
    for path in parameters.paths {
      guard let tensor = parameters[path] else { continue }
      let name = path.description
      guard name.hasSuffix("running_mean") || name.hasSuffix("running_var") else { continue }
      let start: Float = name.hasSuffix("running_var") ? 1 : 0
      fresh[path] = Tensor([Float](repeating: start, count: tensor.count), shape: tensor.shape)
    }
    try ModelFile.write(workspace.file("fresh.safetensors"), record, fresh)
    let found = try workspace.thaw(
      "diagnose", "preprocessing", "--model", "fresh.safetensors", "--data", "photos", "--json"
    ).json()
    #expect(found["status"].string == "undecided")
    #expect(found["verdict"].string?.contains("never trained, or they were not loaded") == true)
    // The note's advice is followed.
    let asked = try workspace.thaw(
      "diagnose", "batchnorm", "--model", "fresh.safetensors", "--data", "photos", "--quick",
      "--no-fixes", "--json"
    ).json()
    #expect(asked["kind"].string == "initial_statistics")
  }

  @Test func labelsThatAreNoiseAreNotTrainedHarder() throws {
    let workspace = try Workspace(classes: [])
    // What the photos show has nothing to do with their folder.
    for name in ["blue", "red"] {
      for number in 0..<60 {
        try workspace.addPhoto(
          name, kind: number % 2, number: name == "blue" ? number : 100 + number)
      }
    }
    try workspace.fit().succeeded()
    let found = try workspace.thaw("diagnose", "fit", "--run", "run", "--json").json()
    #expect(found["status"].string == "indistinct", "\(found["verdict"].string ?? "")")
    #expect(found["next"].array.last?.string?.contains("Do not train harder") == true)
    #expect(found["signal"]["baseline_error"].double == 0.5)
    let text = try workspace.thaw("diagnose", "fit", "--run", "run").stdout
    #expect(text.contains("Do not train harder") && !text.contains("work on it"))
  }

  @Test(arguments: [
    (["preprocessing"], "Give either --run RUN"),
    (["preprocessing", "--model", "tiny"], "belong together"),
    (["fit", "--run", "a", "--human-error", "2"], "expected 0 to 1"),
    (["preprocessing", "--run", "a", "--photos", "0"], "expected 1 to 10000"),
  ])
  func wrongOptionsAreRefused(options: [String], message: String) throws {
    let workspace = try Workspace(count: 2)
    let outcome = try workspace.start(["diagnose"] + options).wait()
    #expect(outcome.status == 64)
    #expect(outcome.stderr.contains(message), "\(outcome.stderr)")
  }
}
