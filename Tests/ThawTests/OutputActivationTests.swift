// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import Testing
import Thaw
import ThawBackbones
import ThawCheckpoints
import ThawConsole
import ThawExports
import ThawInference
import ThawNetwork
import ThawRuns
import ThawTensors
import ThawTestSupport
import ThawTinyBackbone

/// Models whose outputs are no softmax, made of one that has a softmax: in the library, by `predict`, as
/// an ONNX file and in a diagnosis.
struct OutputActivationTests {
  private let directory: TemporaryDirectory
  private let tiny: TinyModel
  private let context: StageContext

  init() async throws {
    directory = try TemporaryDirectory()
    tiny = try await TinyModel.shared
    context = StageContext(
      console: Console(isQuiet: true), threads: 1,
      pretrained: PretrainedStore(directory: TinyBackbone.directory))
  }

  /// The model of two classes with the same logits under independent sigmoids.
  private func several(thresholds: [Float]) throws -> FilePath {
    var (record, parameters) = try ModelFile.read(tiny.model)
    record.outputActivation = .independentSigmoids
    record.thresholds = thresholds
    let path = directory.path.appending("several.safetensors")
    try ModelFile.write(path, record, parameters)
    return path
  }

  /// The same model with one output, the difference of its two.
  private func single() throws -> FilePath {
    var (record, parameters) = try ModelFile.read(tiny.model)
    record.outputActivation = .singleSigmoid
    for path in parameters.paths where path.description.hasPrefix("classifier.") {
      guard let two = parameters[path] else { continue }
      let width = two.count / 2
      parameters[path] = Tensor(
        (0..<width).map { two[width + $0] - two[$0] },
        shape: two.shape.rank == 1 ? [1] : [1, width])
    }
    let path = directory.path.appending("single.safetensors")
    try ModelFile.write(path, record, parameters)
    return path
  }

  private func predict(_ model: FilePath) throws -> [PredictStage.Prediction] {
    try PredictStage(context: context).predict(
      [tiny.photos], model: ModelReference(model.string), options: .withLogits(top: 2)
    ).predictions
  }

  private func exported(_ model: FilePath) throws -> FilePath {
    let output = directory.path.appending("model.onnx")
    let result = try ExportStage(context: context).export(
      ModelReference(model.string), to: .onnx, output: output)
    #expect(result.outputActivation != .softmax)
    return output
  }

  @Test func oneSigmoidAnswersAsTheSoftmaxOfTwoOutputs() async throws {
    let model = try single()
    let expected = try predict(tiny.model)
    for file in [model, try exported(model)] {
      let classifier = try tiny.classifier(workers: 1, model: file)
      #expect(classifier.classNames == ["blue", "red"])
      for (one, two) in zip(try predict(file), expected) {
        #expect(one.label == two.label && one.labels == nil)
        let (found, wanted) = (try #require(one.probability), try #require(two.probability))
        #expect(abs(found - wanted) < 1e-5)
        let logits = try #require(one.logits)
        #expect(logits.count == 2 && logits[0] == 0)
        let answer = try await classifier.classify(contentsOf: one.path)
        #expect(answer.logits == logits && answer.probability == one.probability)
        #expect(answer.labelIndices == [answer.index] && !answer.allowsSeveralLabels)
      }
    }
  }

  @Test func independentSigmoidsGiveAListByTheirThresholds() async throws {
    let model = try several(thresholds: [0.25, 0.75])
    for file in [model, try exported(model)] {
      let classifier = try tiny.classifier(workers: 1, model: file)
      for one in try predict(file) {
        #expect(one.label == nil && one.probability == nil)
        let logits = try #require(one.logits)
        let sigmoids = logits.map { Float(1 / (1 + exp(-Double($0)))) }
        let wanted = zip(["blue", "red"], zip(sigmoids, [Float(0.25), 0.75])).filter {
          $1.0 >= $1.1
        }
        let labels = try #require(one.labels)
        #expect(Set(labels.map(\.label)) == Set(wanted.map(\.0)))
        let answer = try await classifier.classify(contentsOf: one.path)
        #expect(answer.allowsSeveralLabels && answer.logits == logits)
        #expect(answer.probabilities == sigmoids)
        #expect(answer.labels.map(\.label) == labels.map(\.label))
        #expect(answer.labels.map(\.probability) == labels.map(\.probability))
      }
    }
  }

  /// Thresholds of one label hold in the library as they do in the command, from an exported file too.
  @Test func thresholdsOfOneLabelDecide() async throws {
    let (original, parameters) = try ModelFile.read(tiny.model)
    var record = original
    for (thresholds, wanted) in [([1, 0], "undecided"), ([0, 1e-30], "red")] as [([Float], String)]
    {
      record.thresholds = thresholds
      let model = directory.path.appending("decided.safetensors")
      try ModelFile.write(model, record, parameters)
      let output = directory.path.appending("decided.onnx")
      _ = try ExportStage(context: context).export(
        ModelReference(model.string), to: .onnx, output: output)
      for file in [model, output] {
        let classifier = try tiny.classifier(workers: 1, model: file)
        let answers = try predict(file)
        #expect(answers.contains { $0.label == wanted && $0.top[0].label == "blue" })
        for one in answers {
          let answer = try await classifier.classify(contentsOf: one.path)
          #expect(answer.label == one.label && answer.isUndecided == one.undecided)
          #expect(answer.labels.isEmpty == answer.isUndecided)
          #expect(answer.isUndecided || answer.probability == one.probability)
        }
      }
    }
  }

  /// With thresholds that nothing and everything reaches.
  @Test func aPhotoMayHaveNoLabelOrAll() throws {
    #expect(try predict(several(thresholds: [1, 1])).allSatisfy { $0.labels?.isEmpty == true })
    for one in try predict(several(thresholds: [0, 0])) {
      let labels = try #require(one.labels)
      #expect(labels.count == 2 && labels[0].probability >= labels[1].probability)
    }
  }

  /// A diagnosis compares classes of which a photo has one.
  @Test func aDiagnosisSeesTwoOutputsOrRefuses() throws {
    let classifier = try ModelReference(single().string).load(context: context)
    let two = try classifier.withSoftmax(context: context)
    let photo = tiny.photos.appending("red").appending("0.jpg")
    let (one, other) = (try classifier.classify([photo]), try two.classify([photo]))
    guard case .logits(let left) = one[0], case .logits(let right) = other[0] else {
      Issue.record("The photo must be readable.")
      return
    }
    expectClose(left, right, relative: 1e-5, absolute: 1e-5)
    #expect(two.outputActivation == .softmax && right.shape == [1, 2])
    let error = #expect(throws: PipelineError.self) {
      try ModelReference(several(thresholds: []).string).load(context: context)
        .withSoftmax(context: context)
    }
    #expect(error.map { "\($0)".contains("several labels a photo") } == true)
  }
}
