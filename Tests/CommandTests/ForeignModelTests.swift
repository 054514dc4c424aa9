// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing
import ThawBackbones
import ThawCheckpoints
import ThawFiles
import ThawNetwork
import ThawTensors
import ThawTinyBackbone

/// Checkpoints that another program trained, given as `--model`.
struct ForeignModelTests {
  private let workspace: Workspace

  /// `foreign.safetensors`: an EfficientNet-Lite0 with two classes and nothing said about it.
  init() throws {
    workspace = try Workspace(count: 3)
    try write("efficientnet_lite0", to: "foreign.safetensors")
  }

  private func write(_ architecture: String, to file: String) throws {
    let graph = try Architecture(named: architecture).graph(Head(classes: 2))
    let parameters = Parameters.procedural(for: graph)
    let tensors = parameters.paths.compactMap { path in
      parameters[path].map { StoredTensor(path.description, $0) }
    }
    try SafetensorsWriter.write(workspace.file(file), tensors)
  }

  private func json(_ text: String) throws -> [String: Any] {
    try #require(
      try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
  }

  /// Where tensors fit two networks the advice names both, and each name can be given.
  @Test func aNetworkThatHasNoCardIsNamedByItself() throws {
    let names = ["mobilenetv3_small_075", "tf_mobilenetv3_small_075"]
    try write(names[1], to: "twins.safetensors")
    func predict(_ more: String...) throws -> Outcome {
      let command = ["predict", "--model", "twins.safetensors", "photos", "--logits", "--json"]
      return try workspace.start(command + more).wait()
    }
    let refused = try predict()
    #expect(refused.status == 65)
    #expect(refused.stderr.contains("\(names.joined(separator: ", ")) alike"))
    let answers = try names.map { name in
      let outcome = try predict("--card", name)
      outcome.succeeded()
      #expect(outcome.stderr.contains(name))
      return outcome.stdout
    }
    #expect(answers[0] != answers[1])
    #expect(try predict("--card", "tf_mobilenetv3_small_076").status != 0)
    let imported = [
      "pretrained", "import", "twins.safetensors", "--name", "mine", "--card", names[1], "--json",
    ]
    let card = try json(workspace.start(imported).wait().stdout)
    #expect(card["architecture"] as? String == names[1])
  }

  /// timm calls by our name a network of the same tensors that pads otherwise.
  @Test(arguments: [
    ("efficientnet_lite0", "efficientnet_lite0_timm"),
    ("tf_efficientnet_lite0", "efficientnet_lite0"),
  ])
  func whatTimmsFolderSaysOfItsNetworkIsFollowed(stated: String, own: String) throws {
    try FileSystem.createDirectory(workspace.file("hub"))
    try FileSystem.copy(
      workspace.file("foreign.safetensors"), to: workspace.file("hub/model.safetensors"))
    let contract = """
      {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "input_size": [3, 224, 224],
       "interpolation": "bicubic", "crop_pct": 0.875}
      """
    let configuration = """
      {"architecture": "\(stated)", "num_classes": 2, "pretrained_cfg": \(contract)}
      """
    try AtomicFile.write(workspace.file("hub/config.json"), text: configuration)
    let inspected = try workspace.thaw("pretrained", "inspect", "hub", "--json")
    let contents = try json(inspected.stdout)
    #expect(contents["architecture"] as? String == own)
    #expect(contents["certainty"] as? String == "sure")
    #expect(contents["rivals"] as? [String] == [])
    let outcome = try workspace.start(["predict", "--model", "hub", "photos"]).wait()
    outcome.succeeded()
    #expect(outcome.stderr.contains("\(own) (all "), "\(outcome.stderr)")
    #expect(!outcome.stderr.contains("is assumed: the same tensors"))
  }

  /// No tensor of CLIP's towers shows which GELU they have.
  @Test func theActivationOfATowerIsAssumedAndCanBeSaid() throws {
    try write("vit_p32_g7x7_w64_d1_h1_m256_eps1e-05_pre", to: "tower.safetensors")
    func predict(_ more: String...) throws -> Outcome {
      let command = ["predict", "--model", "tower.safetensors", "photos", "--logits", "--json"]
      return try workspace.start(command + more).wait()
    }
    let assumed = try predict()
    assumed.succeeded()
    #expect(assumed.stderr.contains("GELU is assumed, which no tensor shows"))
    #expect(assumed.stderr.contains("x / 255 - [0.481"), "\(assumed.stderr)")
    let words = assumed.stderr.split { " ;\n".contains($0) }
    let place = try #require(words.firstIndex(of: "--card"))
    let said = try predict("--card", String(words[place + 1]))
    said.succeeded()
    #expect(said.stdout != assumed.stdout)
  }

  @Test func inspectSaysWhatItIsAndWhy() throws {
    let outcome = try workspace.thaw("pretrained", "inspect", "foreign.safetensors", "--json")
    #expect(outcome.status == 0)
    let contents = try json(outcome.stdout)
    #expect(contents["architecture"] as? String == "efficientnet_lite0")
    #expect(contents["certainty"] as? String == "sure")
    #expect(contents["classes"] as? Int == 2)
    #expect(contents["card"] as? String == "tiny")
    #expect((contents["preprocessing"] as? String)?.contains("(x - 127) / 128") == true)
    #expect((contents["missing"] as? [String])?.isEmpty == true)
    let text = try workspace.thaw("pretrained", "inspect", "foreign.safetensors").stdout
    #expect(text.contains("efficientnet_lite0 is assumed: the same tensors are those of timm's"))
    #expect(text.contains("classes: 2"))
    #expect(!text.contains("bn1.running_mean"), "The verdict first; tensors when asked for.")
    #expect(
      try workspace.thaw("pretrained", "inspect", "foreign.safetensors", "--tensors").stdout
        .contains("bn1.running_mean"))
  }

  @Test func sortedFoldersNameTheClassesAndItIsSaid() throws {
    let outcome = try workspace.thaw(
      "evaluate", "--model", "foreign.safetensors", "--data", "photos", "--json")
    #expect(outcome.status == 0, "\(outcome.stderr)")
    #expect(outcome.stderr.contains("taken for the class folders in sorted order: blue, red"))
    let metrics = try json(outcome.stdout)
    #expect(metrics["count"] as? Int == 6)
    // Neither the document nor silence hides it.
    let remarks = try #require(metrics["remarks"] as? [String])
    #expect(remarks.contains { $0.contains("is assumed (class folders, sorted)") })
    let quiet = try workspace.thaw(
      "evaluate", "--model", "foreign.safetensors", "--data", "photos", "--quiet")
    #expect(quiet.stderr.contains("taken for the class folders in sorted order"))
  }

  /// The file again with texts in its header, or under other names.
  private func write(
    _ name: String, metadata: [String: String] = [:], renaming: (String) -> String = { $0 }
  ) throws {
    let whole = try CheckpointReader.read(workspace.file("foreign.safetensors"))
    try SafetensorsWriter.write(
      workspace.file(name), whole.tensors.map { $0.renamed(renaming($0.name)) },
      metadata: metadata)
  }

  /// A name of a network with the same tensors that pools otherwise is no detail.
  @Test func aFileThatNamesAnotherNetworkOfTheseTensorsIsRefused() throws {
    try FileSystem.createDirectory(workspace.file("twin"))
    try write("twin/model.safetensors")
    for (name, isRefused) in [("resnetaa50.a1h_in1k", true), ("tf_efficientnet_lite0", false)] {
      try AtomicFile.write(
        workspace.file("twin/config.json"), text: #"{"architecture": "\#(name)"}"#)
      let outcome = try workspace.thaw("predict", "--model", "twin", "photos/red/0.png")
      #expect((outcome.status == 65) == isRefused, "\(outcome.stderr)")
      #expect(outcome.stderr.contains("which computes something else with them") == isRefused)
    }
  }

  /// Several labels a photo, as the configuration says: in predictions, and in a card made of it.
  @Test func severalLabelsAreKept() throws {
    let folder = workspace.file("several")
    try FileSystem.createDirectory(folder)
    try write("several/model.safetensors")
    try AtomicFile.write(
      folder.appending("config.json"),
      text: #"{"problem_type": "multi_label_classification", "id2label": {"0": "a", "1": "b"}}"#)
    try TinyBackbone.write(to: workspace.file("cards"))
    try workspace.thaw("pretrained", "import", "several", "--name", "several-card").succeeded()
    for model in ["several", "several-card"] {
      let outcome = try workspace.thaw("predict", "--model", model, "photos/red/0.png", "--json")
      let list =
        try JSONSerialization.jsonObject(with: Data(outcome.stdout.utf8)) as? [[String: Any]]
      #expect(list?.first?["labels"] is [Any], "\(outcome.stdout) \(outcome.stderr)")
    }
  }

  /// Weights that overflow: no document with numbers that are none, and no success.
  @Test func logitsThatAreNotFiniteAreAnError() throws {
    let whole = try CheckpointReader.read(workspace.file("foreign.safetensors"))
    try SafetensorsWriter.write(
      workspace.file("huge.safetensors"),
      whole.tensors.map { tensor in
        guard tensor.name == "classifier.weight" else { return tensor }
        return StoredTensor(
          tensor.name,
          Tensor([Float](repeating: 3e38, count: tensor.shape.count), shape: tensor.shape))
      })
    for format in ["text", "json"] {
      let outcome = try workspace.thaw(
        "predict", "--model", "huge.safetensors", "photos/red/0.png", "--format", format)
      #expect(outcome.status == 65)
      #expect(outcome.stderr.contains("the network's logits for it are not finite"))
      #expect(!outcome.stdout.lowercased().contains("nan"), "\(outcome.stdout)")
    }
    let judged = try workspace.thaw(
      "evaluate", "--model", "huge.safetensors", "--data", "photos")
    #expect(judged.status == 65 && judged.stderr.contains("are not finite"), "\(judged.stderr)")
  }

  @Test func theFilesOwnOrderOfClassesIsUsed() throws {
    try write("named.safetensors", metadata: ["class_to_idx": #"{"red": 0, "blue": 1}"#])
    let outcome = try workspace.thaw(
      "evaluate", "--model", "named.safetensors", "--data", "photos", "--json")
    #expect(outcome.status == 0, "\(outcome.stderr)")
    let said = "classes red, blue, from 'class_to_idx' in the file's metadata"
    #expect(outcome.stderr.contains(said))
    let classes = try #require(try json(outcome.stdout)["per_class"] as? [[String: Any]])
    #expect(classes.map { $0["name"] as? String } == ["red", "blue"])
    #expect(try json(outcome.stdout)["remarks"] == nil)
    try AtomicFile.write(workspace.file("labels.txt"), text: "0 blue\n1 red\n")
    let both = try workspace.thaw(
      "evaluate", "--model", "named.safetensors", "--data", "photos")
    #expect(both.status == 65 && both.stderr.contains("name its classes differently"))
    let beside = try workspace.thaw(
      "evaluate", "--model", "foreign.safetensors", "--data", "photos")
    #expect(beside.stderr.contains("classes blue, red, from labels.txt beside it"))
  }

  @Test func aFileWithAPrefixIsImportedWithoutACard() throws {
    try write("wrapped.safetensors") { name in
      name.hasPrefix("classifier") ? name.replacing("classifier", with: "head") : "net.base." + name
    }
    try TinyBackbone.write(to: workspace.file("cards"))
    let imported = try workspace.thaw(
      "pretrained", "import", "wrapped.safetensors", "--name", "mine")
    #expect(imported.status == 0, "\(imported.stderr)")
    #expect(imported.stderr.contains("begin with 'net.base.', which is taken off"))
    let predicted = try workspace.thaw("predict", "--model", "mine", "photos/red/0.png")
    #expect(predicted.status == 0, "\(predicted.stderr)")
    let direct = try workspace.thaw(
      "predict", "--model", "wrapped.safetensors", "photos/red/0.png", "--quiet")
    #expect(direct.stdout == predicted.stdout)
  }

  @Test func aFolderWithItsConfigurationIsAModel() throws {
    let folder = workspace.file("folder")
    try FileSystem.createDirectory(folder)
    try write("folder/model.safetensors")
    try AtomicFile.write(
      folder.appending("config.json"),
      text: """
        {"architecture": "tf_efficientnet_lite0", "num_classes": 2, "label_names": ["a", "b"],
         "pretrained_cfg": {"input_size": [3, 32, 32], "interpolation": "bicubic",
         "crop_pct": 1.0, "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}}
        """)
    let outcome = try workspace.thaw("predict", "--model", "folder", "photos/red/0.png")
    #expect(outcome.status == 0, "\(outcome.stderr)")
    #expect(outcome.stderr.contains("32 x 32 RGB, (x / 255 - 0.5) / 0.5, bicubic"))
    #expect(outcome.stderr.contains("as timm's config.json says"))
    #expect(outcome.stderr.contains("classes a, b, from 'label_names' in config.json beside it"))
    let inspected = try workspace.thaw("pretrained", "inspect", "folder").stdout
    for part in [
      "written by: timm", "classes: 2: a, b", "as timm's config.json says",
      "next: thaw predict --model folder PHOTO",
    ] { #expect(inspected.contains(part), "\(part) in \(inspected)") }
  }

  @Test func exchangedClassesAreNoticed() throws {
    let fitted = try Workspace.fitted.get()
    let model = try CheckpointReader.read(fitted.workspace.file("run/model.safetensors"))
    try SafetensorsWriter.write(
      fitted.workspace.file("exchanged.safetensors"), model.tensors,
      metadata: ["classes": #"["red", "green stripes 🌿", "blue"]"#])
    let outcome = try fitted.workspace.thaw(
      "evaluate", "--model", "exchanged.safetensors", "--data", "photos", "--json")
    #expect(outcome.status == 0, "\(outcome.stderr)")
    #expect(outcome.stderr.contains("seem to stand in another order than the outputs"))
    let remarks = try #require(try json(outcome.stdout)["remarks"] as? [String])
    #expect(remarks.contains { $0.contains("'red' is predicted as 'blue'") })
  }

  /// Three classes behind a head that is sure of nothing stand on the wrong sides by accident.
  @Test(arguments: [1, 0.01] as [Float])
  func exchangedClassesAreNamedOfAHeadThatKnowsThem(scale: Float) throws {
    let fitted = try Workspace.fitted.get()
    let model = try CheckpointReader.read(fitted.workspace.file("run/model.safetensors"))
    let name = "scaled-\(scale).safetensors"
    let tensors = try model.tensors.map { tensor in
      guard tensor.name.hasPrefix("classifier") else { return tensor }
      let elements = try tensor.floats().elements.map { $0 * scale }
      return StoredTensor(tensor.name, Tensor(elements, shape: tensor.shape))
    }
    try SafetensorsWriter.write(
      fitted.workspace.file(name), tensors,
      metadata: ["classes": #"["red", "green stripes 🌿", "blue"]"#])
    let evaluated = try fitted.workspace.thaw(
      "evaluate", "--model", name, "--data", "photos", "--json")
    #expect(evaluated.status == 0, "\(evaluated.stderr)")
    #expect(evaluated.stderr.contains("another order than the outputs") == (scale == 1))
    let diagnosed = try fitted.workspace.thaw(
      "diagnose", "batchnorm", "--model", name, "--data", "photos", "--quick", "--no-fixes",
      "--json")
    #expect(diagnosed.status == 0, "\(diagnosed.stderr)")
    let kind = try json(diagnosed.stdout)["kind"] as? String
    #expect((kind == "label_order") == (scale == 1), "\(kind ?? "")")
  }

  @Test func exchangedClassesArePutRightAndCountedAsTheyAre() throws {
    let fitted = try Workspace.fitted.get()
    let model = try CheckpointReader.read(fitted.workspace.file("run/model.safetensors"))
    try SafetensorsWriter.write(
      fitted.workspace.file("swapped.safetensors"), model.tensors,
      metadata: ["classes": #"["red", "green stripes 🌿", "blue"]"#])
    let diagnosis = try fitted.workspace.thaw(
      "diagnose", "batchnorm", "--model", "swapped.safetensors", "--data", "photos", "--quick",
      "--json", "--apply", "unswapped.safetensors"
    ).json()
    #expect(diagnosis["recommended_fix"].string == "names")
    let before = try #require(diagnosis["as_it_is"]["accuracy"].double)
    let after = try #require(diagnosis["fixes"][0]["accuracy"].double)
    for (file, expected) in [("swapped", before), ("unswapped", after)] {
      let judged = try fitted.workspace.thaw(
        "evaluate", "--model", "\(file).safetensors", "--data", "photos", "--json")
      let found = try #require(try judged.json()["accuracy"].double)
      #expect(abs(found - expected) < 0.02, "\(file)")
    }
    #expect(after > before + 0.3)
  }

  /// Statistics that overflowed in a training are refused by file and tensor, except by who can mend them.
  @Test(arguments: [Float.nan, -1]) func lostStatisticsAreDiagnosedAndNotComputedWith(value: Float)
    throws
  {
    let whole = try CheckpointReader.read(workspace.file("foreign.safetensors"))
    let tensors = whole.tensors.map { tensor in
      guard tensor.name.hasSuffix("running_var") else { return tensor }
      let lost = [Float](repeating: value, count: tensor.shape.count)
      return StoredTensor(tensor.name, Tensor(lost, shape: tensor.shape))
    }
    try SafetensorsWriter.write(workspace.file("lost.safetensors"), tensors)
    let refused = try workspace.thaw("predict", "--model", "lost.safetensors", "photos/red/0.png")
    #expect(refused.status == 65)
    #expect(refused.stderr.contains("lost.safetensors: tensor 'bn1.running_var'"))
    #expect(refused.stderr.contains("thaw diagnose batchnorm can put running statistics right"))
    let others = try Workspace(count: 8)
    let diagnosed = try withExtendedLifetime(others) {
      try workspace.thaw(
        "diagnose", "batchnorm", "--model", "lost.safetensors", "--data",
        others.file("photos").string, "--quick", "--no-fixes", "--json")
    }
    #expect(diagnosed.status == 0, "\(diagnosed.stderr)")
    #expect(diagnosed.stderr.contains("They are taken for lost"))
    #expect(try json(diagnosed.stdout)["kind"] as? String == "initial_statistics")
  }

  @Test func whatIsMissingIsDrawnOnlyWhenAsked() throws {
    let whole = try CheckpointReader.read(workspace.file("foreign.safetensors"))
    try SafetensorsWriter.write(
      workspace.file("less.safetensors"),
      whole.tensors.filter { $0.name != "blocks.2.0.bn1.running_mean" })
    let refused = try workspace.thaw("predict", "--model", "less.safetensors", "photos/red/0.png")
    #expect(refused.status == 65 && refused.stderr.contains("--allow-missing"))
    let drawn = try workspace.thaw(
      "predict", "--model", "less.safetensors", "photos/red/0.png", "--allow-missing", "--quiet")
    #expect(drawn.status == 0)
    #expect(drawn.stderr.contains("drawn at random (--allow-missing): blocks.2.0.bn1.running_mean"))
  }

  @Test func namesComeFromAFileOrAreNumbers() throws {
    try AtomicFile.write(workspace.file("names.txt"), text: "cat\ndog\n")
    let predict = [
      "predict", "--model", "foreign.safetensors", "photos/red/0.png", "--format", "csv",
    ]
    let named = try workspace.start(predict + ["--class-names", "names.txt"]).wait()
    #expect(named.status == 0, "\(named.stderr)")
    #expect(named.stdout.contains(",cat,") || named.stdout.contains(",dog,"))
    let numbered = try workspace.start(predict).wait()
    #expect(numbered.stdout.contains(",class 0,") || numbered.stdout.contains(",class 1,"))
    #expect(numbered.stderr.contains("does not name its 2 classes"))
    try AtomicFile.write(workspace.file("three.txt"), text: "a\nb\nc\n")
    let wrong = try workspace.start(predict + ["--class-names", "three.txt"]).wait()
    #expect(wrong.status == 65 && wrong.stderr.contains("three.txt: 3 class names"))
  }

  @Test func aCardSaysWhatTheFileCannot() throws {
    let outcome = try workspace.thaw(
      "predict", "--model", "foreign.safetensors", "--card", "tiny", "photos/red/0.png", "--json")
    #expect(outcome.status == 0, "\(outcome.stderr)")
    #expect(outcome.stderr.contains("as the card tiny says"))
    let useless = try workspace.thaw("predict", "--model", "tiny", "--card", "tiny", "photos")
    #expect(useless.status == 64 && useless.stderr.contains("--card, --class-names"))
  }

  @Test func whatDoesNotFitIsNamed() throws {
    let whole = try CheckpointReader.read(workspace.file("foreign.safetensors"))
    let damaged = whole.tensors.filter { $0.name != "blocks.2.0.bn1.running_mean" }
    try SafetensorsWriter.write(workspace.file("less.safetensors"), damaged)
    let less = try workspace.thaw("predict", "--model", "less.safetensors", "photos")
    #expect(less.status == 65)
    #expect(less.stderr.contains("1 missing: blocks.2.0.bn1.running_mean"))
    try SafetensorsWriter.write(
      workspace.file("trunk.safetensors"),
      whole.tensors.filter { !$0.name.hasPrefix("classifier") })
    let trunk = try workspace.thaw("predict", "--model", "trunk.safetensors", "photos")
    #expect(trunk.status == 65 && trunk.stderr.contains("they have no classifier"))
    try SafetensorsWriter.write(
      workspace.file("other.safetensors"), [whole.tensors[0].renamed("something")])
    let other = try workspace.thaw("predict", "--model", "other.safetensors", "photos")
    #expect(other.status == 65 && other.stderr.contains("hold no convolution ('something')"))
  }
}
