// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import Testing
import ThawCheckpoints
import ThawFiles
import ThawInference
import ThawNetwork
import ThawTensors
import ThawTestSupport

/// What makes probabilities of the outputs of weights that say nothing of it themselves.
struct ForeignActivationTests {
  private func found(
    _ outputs: Int, _ data: String = "null", losses: [String] = []
  ) throws -> ForeignActivation {
    var around = CheckpointSurroundings()
    around.data = try JSONValue(parsing: data)
    around.losses = losses
    let checkpoint = Checkpoint(
      tensors: [], metadata: [:], format: .torchZip, path: "m.pth", surroundings: around)
    return ForeignActivation(ForeignFile(checkpoint), outputs: outputs)
  }

  @Test func oneClassAPhotoIsAssumedAndSaid() throws {
    let plain = try found(
      3, #"{"epoch": 3, "args": {"loss": "cross_entropy", "multilabel": false}}"#)
    #expect(plain.activation == .softmax)
    #expect(plain.reason.contains("is assumed; the file does not say it"))
    #expect(try found(3, losses: ["CrossEntropyLoss"]).activation == .softmax)
    // Of two losses neither is the classifier's for certain.
    #expect(try found(3, losses: ["CrossEntropyLoss", "BCEWithLogitsLoss"]).activation == .softmax)
  }

  /// A softmax of one number is always 1.
  @Test func aSingleOutputIsASigmoids() throws {
    #expect(try found(1).activation == .singleSigmoid)
    #expect(try found(1).reason.contains("its single output is taken for a logit"))
    #expect(try found(1, #"{"loss": "bce"}"#).activation == .singleSigmoid)
  }

  @Test(arguments: [
    (#"{"problem_type": "multi_label_classification"}"#, "'problem_type' in the file"),
    (#"{"hyper_parameters": {"multilabel": true}}"#, "'multilabel' in the file"),
    (#"{"a": {"b": {"criterion": "BCEWithLogitsLoss"}}}"#, "'criterion' in the file"),
    (#"{"config": {"task": "multi-label"}}"#, "'task' in the file"),
    (#"{"loss_fn": "binary_cross_entropy_with_logits"}"#, "'loss_fn' in the file"),
  ])
  func severalLabelsAreReadFromWhatIsBeside(_ data: String, _ origin: String) throws {
    let found = try found(3, data)
    #expect(found.activation == .independentSigmoids)
    #expect(found.reason.contains("as \(origin) says"), "\(found.reason)")
  }

  @Test func theLossOfTheTrainingSaysIt() throws {
    let found = try found(3, losses: ["BCEWithLogitsLossFlat"])
    #expect(found.activation == .independentSigmoids)
    #expect(found.reason.contains("the loss BCEWithLogitsLossFlat in the file"))
  }

  @Test func aModulesLastLayerSaysIt() throws {
    let checkpoint = Checkpoint(tensors: [], metadata: [:], format: .torchZip, path: "m.pth")
    let found = ForeignActivation(ForeignFile(checkpoint), outputs: 4, endsWithSigmoid: true)
    #expect(found.activation == .independentSigmoids)
    #expect(found.reason.contains("as the module's last layer says"))
  }

  @Test func theConfigurationBesideSaysIt() throws {
    let folder = try TemporaryDirectory()
    try SafetensorsWriter.write(
      folder.path.appending("model.safetensors"), [StoredTensor("a.weight", Tensor(zeros: [2]))])
    try AtomicFile.write(
      folder.path.appending("config.json"),
      text: #"{"problem_type": "multi_label_classification"}"#)
    let found = ForeignActivation(try ForeignFile(folder.path), outputs: 2)
    #expect(found.activation == .independentSigmoids)
    #expect(found.reason.contains("config.json beside it"))
  }
}
