// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawBackbones
import ThawCheckpoints
import ThawInference
import ThawNetwork
import ThawTensors
import ThawTestSupport

/// What `config.json` says that a network computes with its tensors.
struct StatedArithmeticTests {
  private func contradictions(_ name: String, _ text: String) throws -> [String] {
    let graph = try Architecture(named: name).graph(Head(classes: 3))
    let checkpoint = Checkpoint(
      tensors: graph.parameters.map {
        StoredTensor($0.path.description, Tensor(zeros: $0.shape))
      }, metadata: [:], format: .safetensors, path: "m.safetensors")
    let fit = try #require(
      try CheckpointIdentity(checkpoint, cards: [], architecture: name).best)
    return try StatedArithmetic(JSONValue(parsing: text), fit).contradictions
  }

  @Test(arguments: [
    ("resnet18", #"{"model_args": {"drop_rate": 0.1, "act_layer": "relu", "num_classes": 3}}"#),
    ("resnet18", #"{"model_args": {"global_pool": "avg", "output_stride": 32, "bn_eps": 1e-5}}"#),
    ("resnet18", #"{"architecture": "resnet18", "num_classes": 3, "global_pool": "avg"}"#),
    (
      "resnet50",
      #"{"model_type": "resnet", "hidden_act": "relu", "downsample_in_bottleneck": false}"#
    ),
    (
      "convnext_tiny",
      #"{"model_type": "convnext", "hidden_act": "gelu", "layer_norm_eps": 1e-12}"#
    ),
    ("resnet18", #"{"model_type": "timm_wrapper", "hidden_act": "gelu"}"#),
  ])
  func theSameArithmeticIsNoContradiction(_ name: String, _ text: String) throws {
    #expect(try contradictions(name, text).isEmpty)
  }

  @Test(arguments: [
    ("resnet18", #"{"model_args": {"act_layer": "silu"}}"#, "act_layer \"silu\""),
    ("resnet18", #"{"model_args": {"act_layer": "leaky_relu"}}"#, "the activation is relu"),
    ("resnet18", #"{"model_args": {"global_pool": "avgmax"}}"#, "the features are a mean"),
    ("resnet18", #"{"model_args": {"output_stride": 8}}"#, "the stride is 32"),
    ("resnet18", #"{"model_args": {"bn_eps": 1e-3}}"#, "the epsilon is 1e-05"),
    ("resnet18", #"{"model_args": {"aa_layer": "blur"}}"#, "may change what is computed"),
    ("resnet18", #"{"model_type": "resnet", "hidden_act": "gelu"}"#, "resnet18 has relu"),
    (
      "resnet50", #"{"model_type": "resnet", "downsample_in_bottleneck": true}"#,
      "downsample_in_bottleneck is true, resnet50 has false"
    ),
    (
      "resnet18", #"{"model_type": "resnet", "downsample_in_first_stage": true}"#,
      "downsample_in_first_stage is true"
    ),
    ("convnext_tiny", #"{"model_type": "convnext", "layer_norm_eps": 0.01}"#, "has 1e-06"),
  ])
  func otherArithmeticIsNamedByItsKey(_ name: String, _ text: String, _ expected: String) throws {
    let found = try contradictions(name, text)
    #expect(found.count == 1 && found[0].contains(expected), "\(found)")
  }
}
