// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import Testing
import ThawBackbones
import ThawCheckpoints
import ThawConsole
import ThawExports
import ThawImages
import ThawInference
import ThawNetwork
import ThawRecipes
import ThawRuns
import ThawTensors
import ThawTestSupport

/// Models that bring their own network, through the stages: predicting, diagnosing, exporting, becoming a
/// backbone. The files are those of Backbones' tests.
struct DescribedModelTests {
  private let directory: TemporaryDirectory
  private let context: StageContext

  init() throws {
    directory = try TemporaryDirectory()
    context = StageContext(
      console: Console(isQuiet: true), threads: 1,
      pretrained: PretrainedStore(directory: directory.path))
  }

  private static let fixtures: FilePath = {
    let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent()
    return FilePath(tests.appendingPathComponent("BackbonesTests/Fixtures").path)
  }()

  private static func file(_ name: String) -> String { fixtures.appending(name).string }

  private func predictions(_ model: ModelReference) throws -> [[Float]] {
    let photos = Self.fixtures.appending("keras/photos/a")
    return try PredictStage(context: context).predict(
      [photos], model: model, options: .withLogits(top: 3)
    ).predictions.map { $0.logits ?? [] }
  }

  @Test func theSpoiledLayerOfAKerasModelIsNamedFirst() throws {
    var options = DiagnoseBatchNormStage.Options()
    options.triesFixes = false
    let photos = Self.fixtures.appending("keras/photos")
    let stage = DiagnoseBatchNormStage(context: context)
    let broken = try stage.diagnose(
      ModelReference(Self.file("keras/broken.h5")), data: LabelledPhotos(photos),
      options: options)
    #expect(broken.suspects.first == "dw_bn", "\(broken.suspects): \(broken.verdict)")
    #expect(broken.kind == .corruptedStatistics, "\(broken.verdict)")
    let whole = try stage.diagnose(
      ModelReference(Self.file("keras/whole.h5")), data: LabelledPhotos(photos),
      options: options)
    #expect(whole.suspects.isEmpty, "\(whole.suspects)")
    #expect(whole.inference.accuracy == 1)
  }

  @Test(arguments: [
    ("keras/nested.keras", OutputActivation.softmax, 3),
    ("keras/single.keras", .singleSigmoid, 2), ("keras/flipped2.h5", .independentSigmoids, 3),
    ("exported/torch17.onnx", .softmax, 3), ("exported/program.pt2", .softmax, 3),
  ])
  func exportedAndReadAgainTheyPredictTheSame(
    _ name: String, _ activation: OutputActivation, _ classes: Int
  ) throws {
    let model = ModelReference(Self.file(name))
    let stored = try model.read(context: context)
    #expect(stored.record.outputActivation == activation)
    #expect(stored.record.classNames.count == classes)
    let before = try predictions(model)
    for format in [ExportStage.Format.onnx, .safetensors] {
      let output = directory.path.appending("again.\(format.rawValue)")
      _ = try ExportStage(context: context).export(model, to: format, output: output)
      let after = try predictions(ModelReference(output.string))
      expectClose(
        after.flatMap(\.self), before.flatMap(\.self), relative: 0, absolute: 1e-5,
        "\(name) as \(format)")
    }
  }

  @Test func aKerasModelBecomesABackboneWithItsContract() throws {
    let stored = try ModelReference(Self.file("keras/nested.keras")).read(context: context)
    let card = try context.pretrained.importDescribed(
      PretrainedStore.DescribedNetwork(
        name: "mine", graph: stored.graph, parameters: stored.parameters,
        preprocessing: stored.preprocessing, record: stored.record, origin: "nested.keras"))
    #expect(card.preprocessing == stored.preprocessing)
    let backbone = try PretrainedBackbone(card, from: context.pretrained)
    #expect(backbone.graph.groups == stored.graph.groups)
    let norms = backbone.graph.nodes.count {
      if case .batchNormalization = $0.operation { true } else { false }
    }
    #expect(norms == 3)
    // A head for other classes replaces the last dense layer.
    let other = try backbone.graph(head: Head(classes: 7))
    #expect(other.output.operation == .dense(Dense(inputs: 12, outputs: 7)))
  }

  @Test func whatAFileDoesNotSayIsAskedFor() throws {
    func complaint(_ name: String, _ model: (String) -> ModelReference) -> String {
      do {
        _ = try model(Self.file(name)).read(context: context)
        return "none"
      } catch { return "\(error)" }
    }
    let question = complaint("keras/trainer.h5") { ModelReference($0) }
    #expect(question.contains("--preprocessing unit"), "\(question)")
    let answered = complaint("keras/trainer.h5") {
      ModelReference($0, preprocessing: .tf(inputSize: 16))
    }
    #expect(answered == "none")
  }
}
