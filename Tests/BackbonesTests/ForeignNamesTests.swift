// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawBackbones
import ThawCheckpoints
import ThawInference
import ThawNetwork
import ThawTensors

/// Names of other libraries (`Tools/foreign_names.py`), prefixes, and strangers beside a network.
struct ForeignNamesTests {
  @Test(arguments: [
    ("transformers_resnet18", "resnet18", "resnet."),
    ("transformers_convnext_tiny", "convnext_tiny", "convnext."),
    ("transformers_convnextv2_atto", "convnextv2_atto", "convnextv2."),
    ("transformers_dinov3_convnext_tiny", "convnext_tiny", "backbone."),
    ("transformers_mobilenet_v2", "mobilenet_v2_keras", "mobilenet_v2."),
    ("transformers_efficientnet_b0", "tf_efficientnet_b0", "efficientnet."),
    ("efficientnet_pytorch_b0", "tf_efficientnet_b0", ""),
    ("sequential_resnet18", "resnet18", ""),
  ])
  func everyTensorOfAnotherLibraryHasItsPlace(
    _ list: String, _ architecture: String, _ prefix: String
  ) throws {
    let checkpoint = try NameMappingTests.checkpoint(list, format: .torchZip)
    let identity = try CheckpointIdentity(checkpoint, cards: [])
    let fit = try #require(identity.best)
    #expect(fit.architecture == architecture && fit.prefix == prefix)
    #expect(fit.complaint == nil && fit.ignored.isEmpty)
    #expect(identity.certainty == .sure)
    #expect(fit.head == Head(classes: 3))
  }

  /// torchvision's resnet18 after a change of its names.
  private func residual(
    format: CheckpointFormat = .safetensors, key: String? = nil,
    _ change: ([(String, Shape)]) -> [(String, Shape)]
  ) throws -> CheckpointIdentity {
    try CheckpointIdentity(
      NameMappingTests.checkpoint("torchvision_resnet18", format: format, change: change),
      cards: [], key: key)
  }

  @Test(arguments: [
    "module.", "model.", "_orig_mod.", "backbone.", "net.", "encoder.", "ema_model.", "student.",
    "module._orig_mod.", "model.backbone.encoder.", "some.thing.of.its.own.",
  ])
  func anyPrefixIsFoundInAnyFormat(_ prefix: String) throws {
    for format in [CheckpointFormat.safetensors, .torchZip, .numPy] {
      let identity = try residual(format: format) { rows in
        rows.map { (prefix + $0.0, $0.1) } + [("criterion.weight", [3]), ("n_averaged", [])]
      }
      #expect(identity.certainty == .sure && identity.best?.architecture == "resnet18")
      #expect(identity.best?.head == Head(classes: 10))
      #expect(identity.best?.ignored.sorted() == ["criterion.weight", "n_averaged"])
    }
  }

  @Test func aClassifierBesideItsBackboneIsFound() throws {
    for name in ["head", "classifier", "fc", "linear_head"] {
      let identity = try residual { rows in
        rows.map { row in
          let prefix = row.0.hasPrefix("fc.") ? "" : "backbone.net."
          return (prefix + row.0.replacing("fc.", with: name + "."), row.1)
        } + [("loss.pos_weight", [10])]
      }
      #expect(identity.certainty == .sure && identity.best?.head == Head(classes: 10))
      #expect(identity.best?.ignored == ["loss.pos_weight"])
    }
  }

  @Test func twoClassifiersAreNotChosenAmong() throws {
    let inside = try residual { $0 + [("fc2.weight", [4, 512]), ("fc2.bias", [4])] }
    #expect(inside.certainty == .partial && inside.best?.complaint?.contains("fc2") == true)
    let beside = try residual { rows in
      rows.map { ("backbone." + $0.0, $0.1) } + [("head.weight", [4, 512]), ("head.bias", [4])]
    }
    #expect(beside.certainty == .partial)
    #expect(beside.best?.complaint?.contains("head.weight") == true)
  }

  @Test func ofTwoNetworksTheKeyChooses() throws {
    func both(_ key: String?) throws -> CheckpointIdentity {
      try residual(key: key) { rows in
        rows.map { ("teacher." + $0.0, $0.1) } + rows.map { ("student." + $0.0, $0.1) }
      }
    }
    let usual = try both(nil)
    #expect(usual.best?.prefix == "student." && usual.otherParts == ["teacher."])
    #expect(usual.best?.source(of: "fc.bias") == "fc.bias")
    let teacher = try both("teacher")
    #expect(teacher.best?.prefix == "teacher." && teacher.certainty == .sure)
  }

  @Test func whatLiesInsideTheNetworkIsNotIgnored() throws {
    let identity = try residual { $0 + [("layer1.0.se.fc.weight", [4, 64, 1, 1])] }
    #expect(identity.certainty == .partial)
    #expect(identity.best?.unexpected == ["layer1.0.se.fc.weight"])
    let beside = try residual { $0 + [("mean", [3]), ("std", [3]), ("log_sigma", [1])] }
    #expect(beside.certainty == .sure && beside.best?.ignored == ["mean", "std", "log_sigma"])
  }

  @Test(arguments: [
    ["module.encoder_k.conv1.weight", "module.queue"], ["projector.0.weight"],
    ["teacher_head.weight", "head.mlp.0.weight", "head.last_layer.weight"],
    ["prototypes.weight"], ["momentum_encoder.conv1.weight"],
  ])
  func weightsTrainedWithoutLabelsHaveNoClassifier(_ names: [String]) throws {
    let identity = try residual { rows in
      rows.map { ("module.encoder_q." + $0.0, $0.1) } + names.map { ($0, [128, 512]) }
    }
    #expect(identity.certainty == .sure && identity.best?.head == nil)
    #expect(identity.best?.notes.contains { $0.contains("without labels") } == true)
  }

  @Test func aClassifierThatIsNotUnderstoodIsSetAside() throws {
    let identity = try residual { rows in
      rows.filter { !$0.0.hasPrefix("fc.") } + [
        ("fc.0.weight", [256, 512]), ("fc.1.weight", [256]), ("fc.1.running_mean", [256]),
        ("fc.3.weight", [64, 256]), ("fc.6.weight", [5, 64]),
      ]
    }
    #expect(identity.certainty == .sure && identity.best?.head == nil)
    #expect(identity.best?.otherHead.count == 5)
  }

  @Test func namesAreTranslatedByTheirNumbers() throws {
    let identity = try residual { rows in
      rows.map { row in
        guard !row.0.hasPrefix("fc.") else { return ("roi." + row.0, row.1) }
        return ("backbone.bottom_up." + ForeignNamesTests.detectron(row.0), row.1)
      }
    }
    #expect(identity.best?.naming == "Detectron's names")
    #expect(identity.best?.source(of: "layer3.1.bn2.weight") == "res4.1.conv2.norm.weight")
    // Its own networks differ in a stride that no tensor shows.
    #expect(identity.certainty == .likely && identity.best?.openQuestion != nil)
  }

  private static func detectron(_ name: String) -> String {
    let parts = name.split(separator: ".").map(String.init)
    let leaf = parts[parts.count - 1]
    switch parts[0] {
    case "conv1": return "stem.conv1.\(leaf)"
    case "bn1": return "stem.conv1.norm.\(leaf)"
    default:
      let stage = "res\((Int(parts[0].dropFirst(5)) ?? 0) + 1).\(parts[1])"
      if parts[2] == "downsample" {
        return "\(stage).shortcut.\(parts[3] == "1" ? "norm." : "")\(leaf)"
      }
      let number = parts[2].last ?? "0"
      return "\(stage).conv\(number).\(parts[2].hasPrefix("bn") ? "norm." : "")\(leaf)"
    }
  }

  @Test func missingParametersAreDrawnWhenAsked() throws {
    let checkpoint = try NameMappingTests.checkpoint("torchvision_resnet18", format: .torchZip) {
      $0.filter { !["layer4.1.conv2.weight", "bn1.running_var"].contains($0.0) }
    }
    let fit = WeightFit(checkpoint, try Architecture(named: "resnet18"))
    #expect(fit.missing == ["bn1.running_var", "layer4.1.conv2.weight"])
    #expect(throws: CheckpointError.self) { try fit.parameters(of: checkpoint) }
    let parameters = try fit.parameters(of: checkpoint, drawingMissing: 0)
    try parameters.validate(for: fit.graph())
    #expect(try parameters.tensor("bn1.running_var").elements == [Float](repeating: 1, count: 64))
    let drawn = try parameters.tensor("layer4.1.conv2.weight").elements
    let variance = drawn.reduce(0) { $0 + Double($1) * Double($1) } / Double(drawn.count)
    #expect(abs(variance * 512 * 9 / 2 - 1) < 0.01)
  }

  @Test func theOrderOfTensorsNamesAWrappedNetwork() throws {
    let rows = try NameMappingTests.checkpoint("torchvision_resnet18", format: .torchZip)
    var number = 0
    let strange = Checkpoint(
      tensors: rows.tensors.map { tensor in
        number += 1
        return tensor.renamed("layer_\(number)." + (tensor.name.split(separator: ".").last ?? ""))
      }, metadata: [:], format: .torchZip, path: "net")
    let found = TensorOrder.all(strange)
    #expect(found.map(\.architecture) == ["resnet18"])
    let renamed = try #require(found.first).renamed(strange)
    let fit = WeightFit(renamed, try Architecture(named: "resnet18"))
    #expect(fit.complaint == nil && fit.head == Head(classes: 10))
    // The values are those of the same places, shortcuts among them.
    for path in ["layer2.0.downsample.0.weight", "layer2.0.conv2.weight", "layer4.1.bn1.bias"] {
      let own = try #require(renamed[path]).floats()
      #expect(try rows[path]?.floats() == own, "\(path)")
    }
  }
}
