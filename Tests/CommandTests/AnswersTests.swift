// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import Testing
import ThawCheckpoints
import ThawFiles
import ThawTensors
import ThawTestSupport

/// Calibration, sets, unknown photos, vectors and explanations through the command.
struct AnswersTests {
  private let fitted: Workspace
  private let workspace: Workspace
  private let model: String

  init() throws {
    fitted = try Workspace.fitted.get().workspace
    workspace = try Workspace(count: 3)
    model = fitted.file("run/model.safetensors").string
  }

  /// What was said, whatever lines it was broken into.
  private func words(_ outcome: Outcome) -> String {
    outcome.stderr.split(whereSeparator: \.isWhitespace).joined(separator: " ")
  }

  private func predict(_ more: String...) throws -> Outcome {
    try workspace.start(["predict", "--model", model] + more).wait()
  }

  /// The model with another temperature, one that nobody can overlook.
  private func withTemperature(_ value: Double) throws -> String {
    let (record, parameters) = try ModelFile.read(fitted.file("run/model.safetensors"))
    let former = try #require(record.temperature)
    var changed = record
    changed.calibration = record.calibration?.replacingOccurrences(
      of: "\"value\":\(former)", with: "\"value\":\(value)")
    #expect(changed.temperature == value)
    try ModelFile.write(workspace.file("other.safetensors"), changed, parameters)
    return "other.safetensors"
  }

  /// A photo of noise, unlike the workspaces' stripes.
  private func writeNoise() throws {
    try workspace.addPhoto("noise", kind: 7, number: 3, named: "strange.png")
  }

  // MARK: Photos to label

  /// A planted photo, unlike the classes' stripes, is among the first; a copy is not named again.
  @Test(arguments: ["uncertainty", "diversity"])
  func photosToLabelAreNamed(order: String) throws {
    try workspace.addPhoto("more", kind: 0, number: 50, named: "one.png")
    try FileSystem.createDirectory(workspace.file("copies"))
    try AtomicFile.write(
      workspace.file("copies/two.png"), bytes: try workspace.read("photos/more/one.png"))
    let outcome = try predict("photos", "copies", "--rank", order, "--json")
    let ranked = try outcome.json().array
    #expect(outcome.status == 0 && ranked.count >= 2, "\(outcome.stderr)")
    #expect(ranked.map { $0["rank"].int } == (1...ranked.count).map { $0 })
    let named = ranked.compactMap { $0["path"].string }
    let copies = ranked.flatMap { $0["copies"].array.compactMap(\.string) }
    #expect(Set(named).isDisjoint(with: copies) && Set(named).count == named.count)
    #expect([named, copies].contains { $0.contains("copies/two.png") })
    #expect(!(named.contains("photos/more/one.png") && named.contains("copies/two.png")))
    if order == "uncertainty" {
      let values = ranked.compactMap { $0["uncertainty"].double }
      #expect(values == values.sorted(by: >))
    }
    let again = try predict("photos", "copies", "--rank", order, "--json")
    #expect(again.stdout == outcome.stdout)
    let table = try predict("photos", "--rank", order, "--count", "2", "--format", "csv")
    #expect(table.stdout.split(whereSeparator: \.isNewline).count == 3, "\(table.stdout)")
  }

  @Test(arguments: [
    (["--rank", "diversity", "--top", "3"], "--top has no effect"),
    (["--count", "3"], "--count has no effect without --rank"),
    (["--rank", "uncertainty", "--coverage", "0.9"], "--coverage has no effect"),
  ])
  func whatSaysNothingOfARankIsRefused(options: [String], reason: String) throws {
    let outcome = try workspace.start(["predict", "--model", model, "photos"] + options).wait()
    #expect(outcome.status == 64 && outcome.stderr.contains(reason), "\(outcome.stderr)")
  }

  // MARK: Calibration

  @Test func evaluationSaysHowFarProbabilitiesCanBeBelieved() throws {
    let json = try Workspace.fitted.get().evaluation.json()
    let calibration = json["calibration"]
    let temperature = try #require(calibration["temperature"]["value"].double)
    let record = try ModelFile.read(fitted.file("run/model.safetensors")).record
    // The logits of training and those of evaluation are sums in two orders on some processors.
    let known = try #require(record.temperature)
    #expect(abs(known - temperature) < 1e-6, "\(known) in the file, \(temperature) now")
    // Where every photo is right by far, the bounds of what is believed.
    #expect(temperature >= 0.1 && temperature <= 10, "\(temperature)")
    #expect(json["split"].string == "test" && calibration["same_photos"].bool == false)
    for side in ["before", "after"] {
      let bins = calibration[side]["bins"].array
      #expect(bins.count == 15 && calibration[side]["ece"].double != nil)
      #expect(bins.reduce(0) { $0 + ($1["count"].int ?? 0) } == json["count"].int)
    }
    #expect(calibration["after"]["loss"].double == json["loss"].double)
    #expect(calibration["sets"].array.compactMap { $0["asked"].double } == [0.8, 0.9, 0.95])
    #expect(
      try fitted.text("run/report.html").contains("How far its probabilities can be believed"))
    let text = try workspace.thaw(
      "evaluate", "--model", model, "--data", fitted.file("photos").string)
    #expect(text.stdout.contains("expected calibration error"), "\(text.stdout)")
  }

  @Test func predictionsAreTheLogitsDividedByTheTemperature() throws {
    let hot = try withTemperature(2.5)
    let answers = try workspace.thaw("predict", "--model", hot, "photos", "--logits", "--json")
    for (one, other) in zip(
      try answers.json().array, try predict("photos", "--logits", "--json").json().array)
    {
      #expect(one["label"].string == other["label"].string)
      #expect(one["logits"].array.map(\.double) == other["logits"].array.map(\.double))
      let logits = one["logits"].array.compactMap(\.double).map { $0 / 2.5 }
      let largest = logits.max() ?? 0
      let sum = logits.reduce(0) { $0 + exp($1 - largest) }
      #expect(abs((one["probability"].double ?? 0) - 1 / sum) < 1e-5)
      #expect(abs((one["probability"].double ?? 0) - (other["probability"].double ?? 0)) > 1e-4)
    }
  }

  @Test(arguments: [[], ["--preprocessing"], ["--results", "probabilities"]])
  func anExportedGraphIsCalibratedToo(_ options: [String]) throws {
    let hot = try withTemperature(2.5)
    let exported = try workspace.start(
      ["export", "--model", hot, "--output", "out.onnx", "--json"] + options
    ).wait().json()
    #expect(exported["temperature"].double == 2.5)
    let graph = try ONNXReader.read(workspace.file("out.onnx"), externalData: .refused).graph
    let division = try #require(
      graph.nodes.first { $0.operation == "Div" && $0.inputs[0] == "logits" })
    let softmax = try #require(graph.nodes.last { $0.operation == "Softmax" })
    #expect(softmax.inputs == division.outputs && softmax.outputs == ["probabilities"])
    let divisor = graph.initializers.first { $0.name == division.inputs[1] }
    #expect(try divisor?.floats().elements == [2.5])
    let (expected, found) = (
      try workspace.thaw("predict", "--model", hot, "photos", "--json").json().array,
      try workspace.thaw("predict", "--model", "out.onnx", "photos", "--json").json().array
    )
    #expect(expected.count == 6 && found.count == 6)
    for (one, other) in zip(expected, found) {
      #expect(one["label"].string == other["label"].string)
      #expect(abs((one["probability"].double ?? 0) - (other["probability"].double ?? 1)) < 1e-4)
      #expect(one["unknown"].bool == other["unknown"].bool)
    }
  }

  @Test func aModelOfAnEarlierVersionAnswersAsItDid() throws {
    let (record, parameters) = try ModelFile.read(fitted.file("run/model.safetensors"))
    var former = record
    (former.calibration, former.unknown) = (nil, nil)
    try ModelFile.write(workspace.file("former.safetensors"), former, parameters)
    let expected = try predict("photos", "--logits", "--json").json().array
    let found = try workspace.thaw(
      "predict", "--model", "former.safetensors", "photos", "--logits", "--json"
    ).json().array
    for (one, other) in zip(expected, found) {
      #expect(one["label"].string == other["label"].string)
      #expect(other["logits"].array.map(\.double) == one["logits"].array.map(\.double))
      let logits = other["logits"].array.compactMap(\.double)
      let largest = logits.max() ?? 0
      let sum = logits.reduce(0) { $0 + exp($1 - largest) }
      #expect(abs((other["probability"].double ?? 0) - 1 / sum) < 1e-5)
      #expect(!other["unknown"].isThere && !other["set"].isThere)
    }
    for option in [["--coverage", "0.9"], ["--unknown", "flag"], ["--unknown", "label"]] {
      let refused = try workspace.start(
        ["predict", "--model", "former.safetensors", "photos"] + option
      ).wait()
      #expect(refused.status == 64 && refused.errors.count == 1, "\(refused.stderr)")
    }
  }

  // MARK: Sets

  @Test func aSetBeginsWithTheLabelAndGrows() throws {
    func sets(_ coverage: String) throws -> [[String]] {
      try predict("photos", "--coverage", coverage, "--json").json().array.map {
        let set = $0["set"].array.compactMap(\.string)
        #expect(set.first == $0["label"].string)
        return set
      }
    }
    let (small, large) = (try sets("0.5"), try sets("0.999"))
    for (one, other) in zip(small, large) {
      #expect(one.count >= 1 && other.starts(with: one))
      // So few validation photos promise no 0.999.
      #expect(other.count == 3)
    }
    #expect(
      try predict("photos", "--coverage", "0.999").stderr.contains("promise a coverage of at most"))
    #expect(try predict("photos", "--coverage", "0.5").stdout.contains("set: "))
    #expect(
      try predict("photos", "--coverage", "0.5", "--format", "csv").stdout.contains(",set\r\n"))
    for wrong in ["0", "1", "90"] {
      #expect(try predict("photos", "--coverage", wrong).status == 64)
    }
  }

  @Test func aSetForEachClassBeginsWithTheLabelAndNamesClassesWithFewPhotos() throws {
    let outcome = try predict("photos", "--coverage", "0.5", "--coverage-per-class", "--json")
    for one in try outcome.json().array {
      #expect(one["set"].array.first?.string == one["label"].string)
    }
    #expect(!words(outcome).contains("too few validation photos"), "\(outcome.stderr)")
    let much = try predict("photos", "--coverage", "0.999", "--coverage-per-class")
    #expect(words(much).contains("too few validation photos to promise 99.9"), "\(much.stderr)")
    let alone = try predict("photos", "--coverage-per-class")
    #expect(alone.status == 64 && words(alone).contains("without --coverage"), "\(alone.stderr)")
    let judged = try Workspace.fitted.get().evaluation.json()["calibration"]["class_sets"].array
    #expect(judged.compactMap { $0["asked"].double } == [0.8, 0.9, 0.95])
    let classes = judged.first?["per_class"].array ?? []
    #expect(classes.reduce(0) { $0 + ($1["count"].int ?? 0) } == judged.first?["photos"].int)
    // A model of an earlier version has no scores for each class.
    let (record, parameters) = try ModelFile.read(fitted.file("run/model.safetensors"))
    var former = record
    let text = try #require(record.calibration)
    var document = try #require(
      try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
    var fits = try #require(document["fitted"] as? [[String: Any]])
    for index in fits.indices {
      var sets = try #require(fits[index]["sets"] as? [String: Any])
      #expect(sets.removeValue(forKey: "classes") != nil)
      fits[index]["sets"] = sets
    }
    document["fitted"] = fits
    former.calibration = String(
      decoding: try JSONSerialization.data(withJSONObject: document), as: UTF8.self)
    try ModelFile.write(workspace.file("former.safetensors"), former, parameters)
    let command = ["predict", "--model", "former.safetensors", "photos", "--coverage", "0.5"]
    #expect(try workspace.start(command).wait().status == 0)
    let refused = try workspace.start(command + ["--coverage-per-class"]).wait()
    #expect(
      refused.status == 64 && words(refused).contains("no scores for each class"),
      "\(refused.stderr)")
  }

  // MARK: Unknown photos

  @Test func unknownPhotosAreFlaggedLabelledOrLeft() throws {
    try writeNoise()
    let flagged = try predict("photos", "--json").json().array
    for one in flagged {
      let score = try #require(one["unknown_score"].double)
      let threshold = try #require(one["unknown_threshold"].double)
      #expect(one["unknown"].bool == (score > threshold) && one["label"].isThere)
    }
    let labelled = try predict("photos", "--unknown", "label", "--json").json().array
    for (one, other) in zip(flagged, labelled) {
      let isUnknown = one["unknown"].bool == true
      #expect(other["label"].string == (isUnknown ? "unknown" : one["label"].string))
      #expect(other["probability"].isThere != isUnknown)
    }
    let off = try predict("photos", "--unknown", "off", "--json").json().array
    #expect(off.allSatisfy { !$0["unknown"].isThere && !$0["unknown_score"].isThere })
    let csv = try predict("photos", "--unknown", "flag", "--format", "csv").stdout
    #expect(csv.hasPrefix("path,label,probability,unknown,unknown_score\r\n"))
    #expect(try predict("photos", "--format", "csv").stdout.hasPrefix("path,label,probability\r\n"))
  }

  @Test func manyPhotosLikeThoseOfTrainingPass() throws {
    let all = try workspace.thaw(
      "predict", "--model", model, fitted.file("photos").string, "--json"
    ).json().array
    #expect(all.count { $0["unknown"].bool == false } * 10 >= all.count * 7)
  }

  // MARK: Vectors

  @Test func vectorsAreTheSameInEveryFormatAndTheLibrarys() throws {
    let names = ["vectors.npy", "vectors.csv", "lines.jsonl"]
    for name in names {
      let json = try workspace.thaw(
        "embed", "--model", model, "photos", "--output", name, "--json"
      ).json()
      #expect(
        json["count"].int == 6 && json["length"].int == 1280 && json["failures"].array.isEmpty)
    }
    let array = try CheckpointReader.read(workspace.file("vectors.npy")).tensors[0].floats()
    #expect(array.shape == [6, 1280])
    let lines = try workspace.text("lines.jsonl").split(separator: "\n").map {
      try JSON(String($0))
    }
    let list = try workspace.text("vectors.jsonl").split(separator: "\n").map {
      try JSON(String($0))
    }
    let rows = try workspace.text("vectors.csv").split(separator: "\r\n").dropFirst()
    for (index, line) in lines.enumerated() {
      let own = Array(array.elements[(index * 1280)..<((index + 1) * 1280)])
      #expect(line["vector"].array.compactMap(\.double).map { Float($0) } == own)
      let cells = rows[rows.startIndex + index].split(separator: ",")
      #expect(cells.dropFirst(2).compactMap { Float($0) } == own)
      #expect(list[index]["sha256"].string == line["sha256"].string)
      let path = try #require(line["path"].string)
      #expect(
        line["sha256"].string == SHA256.hexadecimal(of: try workspace.read(path)))
    }
  }

  @Test func similarPhotosAreOfOneKindInFolderAndVectors() throws {
    try workspace.thaw("embed", "--model", model, "photos", "--output", "all.npy").succeeded()
    let arguments = ["similar", "photos/red/0.png", "--model", model, "--top", "2", "--json"]
    let folder = try workspace.start(arguments + ["--in", "photos", "--sheet", "sheet.jpg"]).wait()
    let file = try workspace.start(arguments + ["--in", "all.npy"]).wait()
    let (one, other) = (try folder.json(), try file.json())
    let matches = one["answers"][0]["matches"].array
    #expect(matches.count == 2 && one["searched"].int == 6)
    #expect(
      matches.map { $0["path"].string }
        == other["answers"][0]["matches"].array.map { $0["path"].string })
    for match in matches {
      #expect(match["path"].string?.contains("/red/") == true)
      #expect(match["path"].string != "photos/red/0.png")
    }
    #expect(try workspace.read("sheet.jpg").starts(with: [0xFF, 0xD8]))
    // Vectors of another layer have another length.
    try workspace.thaw(
      "embed", "--model", model, "photos", "--output", "early.npy", "--layer", "bn1"
    ).succeeded()
    let refused = try workspace.start(arguments + ["--in", "early.npy"]).wait()
    #expect(refused.status == 65 && refused.stderr.contains("another --layer"), "\(refused.stderr)")
    let wrong = try workspace.thaw(
      "embed", "--model", model, "photos", "--output", "x.npy", "--layer", "nowhere")
    #expect(wrong.status == 64 && wrong.stderr.contains("has no layer 'nowhere'"))
  }

  /// Of the same width, and not of the same network.
  @Test func vectorsOfAnotherModelAreRefused() throws {
    let (record, parameters) = try ModelFile.read(fitted.file("run/model.safetensors"))
    var other = parameters
    for path in parameters.paths where path.description.hasSuffix("conv_pw.weight") {
      guard let tensor = parameters[path] else { continue }
      other[path] = Tensor(Array(tensor.elements.reversed()), shape: tensor.shape)
    }
    #expect(other != parameters)
    var changed = record
    changed.unknown = nil
    try ModelFile.write(workspace.file("other.safetensors"), changed, other)
    try workspace.thaw("embed", "--model", "other.safetensors", "photos", "--output", "o.npy")
      .succeeded()
    let refused = try workspace.thaw(
      "similar", "photos/red/0.png", "--model", model, "--in", "o.npy")
    #expect(
      refused.status == 65 && refused.stderr.contains("are of another model"), "\(refused.stderr)")
  }

  @Test func copiesOfAPhotoTakeNoPlaces() throws {
    let bytes = try workspace.read("photos/red/0.png")
    for name in ["a", "b", "c", "d"] {
      try AtomicFile.write(workspace.file("photos/red/copy-\(name).png"), bytes: bytes)
    }
    let found = try workspace.thaw(
      "similar", "photos/red/0.png", "--model", model, "--in", "photos", "--top", "3", "--json"
    ).json()
    #expect(found["answers"][0]["matches"].array.count == 3)
  }

  /// What is written goes neither over photos nor among them, nor over another file.
  @Test func resultsAreNotWrittenOverWhatIsRead() throws {
    let before = try workspace.read("photos/red/0.png")
    for arguments in [
      ["similar", "photos/red/1.png", "--in", "photos", "--sheet", "photos/red/0.png"],
      ["similar", "photos/red/0.png", "--in", "photos", "--sheet", "photos/sheet.png"],
      ["explain", "photos/red", "--output", "photos/red"],
      ["explain", "photos/red/0.png", "--output", "photos/red"],
      ["embed", "photos", "--output", "photos.npy"],
    ] {
      try AtomicFile.write(workspace.file("photos.jsonl"), text: "precious\n")
      let outcome = try workspace.start(arguments + ["--model", model]).wait()
      #expect(outcome.status == 64, "\(arguments): \(outcome.stderr)")
    }
    #expect(try workspace.read("photos/red/0.png") == before)
    #expect(try workspace.text("photos.jsonl") == "precious\n")
  }

  // MARK: Explanations

  @Test(arguments: ["hirescam", "gradcam", "occlusion"])
  func explanationsAreOverlaysASheetAndNumbers(_ method: String) throws {
    let json = try workspace.thaw(
      "explain", "--model", model, "photos/red", "--output", "why", "--method", method, "--json"
    ).json()
    #expect(json["method"].string == method && json["explanations"].array.count == 3)
    let predicted = try predict("photos/red", "--json").json().array
    for (one, other) in zip(json["explanations"].array, predicted) {
      #expect(one["label"].string == other["label"].string)
      #expect(abs((one["probability"].double ?? 0) - (other["probability"].double ?? 1)) < 1e-4)
      let overlay = try FileSystem.read(workspace.file(one["overlay"].string ?? ""))
      #expect(overlay.starts(with: [0x89, 0x50, 0x4E, 0x47]))
      let rows = one["map"].array
      #expect(rows.count > 1 && rows.allSatisfy { $0.array.count == rows.count })
    }
    #expect(try workspace.read("why/sheet.jpg").starts(with: [0xFF, 0xD8]))
    #expect(try JSON(workspace.text("why/explanations.json"))["explanations"].array.count == 3)
  }

  @Test func anotherClassCanBeExplainedAndAWrongOneIsNamed() throws {
    let json = try workspace.thaw(
      "explain", "--model", model, "photos/red", "--output", "why", "--class", "blue", "--check",
      "--json"
    ).json()
    for one in json["explanations"].array {
      #expect(one["label"].string == "blue" && one["occlusion_correlation"].double != nil)
    }
    let wrong = try workspace.thaw(
      "explain", "--model", model, "photos/red", "--output", "why", "--class", "pink")
    #expect(wrong.status == 64 && wrong.stderr.contains("has no class 'pink'"))
  }
}
