// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing
import ThawBackbones
import ThawCheckpoints
import ThawNetwork
import ThawTensors
import ThawTestSupport

/// Names of the real libraries' weights, and where they go in our networks.
struct NameMappingTests {
  /// The weights listed in a fixture; each holds its own number.
  static func checkpoint(
    _ list: String, format: CheckpointFormat, metadata: [String: String] = [:],
    change: ([(String, Shape)]) -> [(String, Shape)] = { $0 }
  ) throws -> Checkpoint {
    let url = try #require(
      Bundle.module.url(forResource: "Fixtures/names/\(list)", withExtension: "txt"))
    let rows = try String(contentsOf: url, encoding: .utf8).split(separator: "\n").map { line in
      let parts = line.split(separator: " ")
      return (String(parts[0]), Shape(parts.dropFirst().compactMap { Int($0) }))
    }
    let tensors = change(rows).enumerated().map { number, row in
      StoredTensor(row.0, .float32, row.1) { body in
        [Float](repeating: Float(number), count: row.1.count).withUnsafeBytes { body($0, 0) }
      }
    }
    return Checkpoint(tensors: tensors, metadata: metadata, format: format, path: "net")
  }

  @Test(arguments: [
    ("keras_resnet50", CheckpointFormat.kerasWeights, "resnet50_keras"),
    ("keras_inception_v3", .kerasArchive, "inception_v3_keras"),
    ("keras_mobilenet_v2", .kerasWeights, "mobilenet_v2_keras"),
    ("keras_densenet121", .kerasArchive, "densenet121_keras"),
    ("keras_vgg16", .kerasWeights, "vgg16"),
    ("keras_efficientnet_b0", .kerasWeights, "efficientnet_b0_keras"),
    ("keras_convnext_tiny", .kerasWeights, "convnext_tiny"),
    ("timm_mobilenet_v2", .safetensors, "mobilenet_v2"),
    ("timm_convnext_tiny", .torchZip, "convnext_tiny"),
    ("timm_tf_efficientnet_lite0", .torchZip, "efficientnet_lite0"),
    ("torchvision_resnet18", .torchZip, "resnet18"),
    ("torchvision_mobilenet_v3_small", .torchZip, "mobilenet_v3_small"),
  ])
  func everyWeightFindsItsPlaceAndNoOtherNetworkFits(
    _ list: String, _ format: CheckpointFormat, _ architecture: String
  ) throws {
    let checkpoint = try NameMappingTests.checkpoint(list, format: format)
    let identity = try CheckpointIdentity(checkpoint, cards: [])
    #expect(identity.best?.architecture == architecture)
    #expect(identity.best?.complaint == nil)
    #expect(identity.certainty == .sure)
    let classes = ["torchvision_resnet18": 10, "torchvision_mobilenet_v3_small": 3]
    #expect(identity.best?.head == Head(classes: classes[list] ?? 1000))
  }

  /// timm's port of TensorFlow's weights pads otherwise and has another epsilon: no tensor shows which.
  @Test func timmsMobileNetV3IsTheOneThatItTrained() throws {
    let checkpoint = try Self.checkpoint("timm_mobilenetv3_large_100", format: .safetensors)
    let identity = try CheckpointIdentity(checkpoint, cards: [])
    #expect(identity.best?.architecture == "mobilenetv3_large_100")
    #expect(identity.best?.complaint == nil && identity.best?.head == Head(classes: 3))
    #expect(identity.rivals == ["tf_mobilenetv3_large_100"])
  }

  /// The stored name that each of some parameters is read from.
  private func expectSources(
    _ list: String, _ architecture: String, _ pairs: [(ours: ParameterPath, theirs: String)]
  ) throws {
    let checkpoint = try NameMappingTests.checkpoint(list, format: .kerasWeights)
    let fit = WeightFit(checkpoint, try Architecture(named: architecture))
    for pair in pairs {
      #expect(fit.source(of: pair.ours) == pair.theirs, "\(pair.ours)")
    }
  }

  @Test func residualBlocksAreNumberedAsInTorchvision() throws {
    try expectSources(
      "keras_resnet50", "resnet50_keras",
      [
        ("conv1.bias", "conv1_conv/bias"), ("bn1.running_var", "conv1_bn/moving_variance"),
        ("layer1.0.downsample.0.weight", "conv2_block1_0_conv/kernel"),
        ("layer3.5.bn3.weight", "conv4_block6_3_bn/gamma"),
        ("layer4.2.conv2.weight", "conv5_block3_2_conv/kernel"), ("fc.bias", "predictions/bias"),
      ])
  }

  @Test func inceptionsNumbersBecomeBranches() throws {
    try expectSources(
      "keras_inception_v3", "inception_v3_keras",
      [
        ("Conv2d_1a_3x3.conv.weight", "conv2d/kernel"),
        ("Mixed_5b.branch_pool.conv.weight", "conv2d_11/kernel"),
        ("Mixed_6a.branch3x3.conv.weight", "conv2d_26/kernel"),
        ("Mixed_6b.branch7x7dbl_3.conv.weight", "conv2d_36/kernel"),
        ("Mixed_6e.branch7x7_2.conv.weight", "conv2d_62/kernel"),
        ("Mixed_7a.branch7x7x3_4.conv.weight", "conv2d_75/kernel"),
        ("Mixed_7b.branch3x3_2b.bn.bias", "batch_normalization_79/beta"),
        ("Mixed_7c.branch3x3dbl_3a.conv.weight", "conv2d_91/kernel"),
        ("Mixed_7c.branch_pool.bn.running_mean", "batch_normalization_93/moving_mean"),
      ])
  }

  @Test func denseBlocksAndInvertedResidualsAreFound() throws {
    try expectSources(
      "keras_densenet121", "densenet121_keras",
      [
        ("features.denseblock4.denselayer16.norm2.weight", "conv5_block16_1_bn/gamma"),
        ("features.transition3.conv.weight", "pool4_conv/kernel"),
        ("features.norm5.bias", "bn/beta"),
      ])
    try expectSources(
      "keras_mobilenet_v2", "mobilenet_v2_keras",
      [
        ("features.1.conv.1.weight", "expanded_conv_project/kernel"),
        ("features.17.conv.1.0.weight", "block_16_depthwise/kernel"),
        ("features.18.1.weight", "Conv_1_bn/gamma"),
      ])
  }

  @Test func numbersThatKerasCountedOnBeginAtZeroAgain() throws {
    let checkpoint = try NameMappingTests.checkpoint("keras_inception_v3", format: .kerasWeights) {
      $0.map { row in
        let (layer, variable) = (row.0.split(separator: "/")[0], row.0.split(separator: "/")[1])
        guard layer != "predictions" else { return row }
        let parts = layer.split(separator: "_")
        let number = parts.last.flatMap { Int($0) }
        let stem = number == nil ? String(layer) : parts.dropLast().joined(separator: "_")
        return ("\(stem)_\((number ?? 0) + 188)/\(variable)", row.1)
      }
    }
    let fit = WeightFit(checkpoint, try Architecture(named: "inception_v3_keras"))
    #expect(fit.complaint == nil)
    #expect(fit.source(of: "Mixed_7c.branch3x3dbl_3a.conv.weight") == "conv2d_279/kernel")
  }

  @Test func namesOfKeras1AreKnown() throws {
    let checkpoint = try NameMappingTests.checkpoint("keras_resnet50", format: .kerasWeights) {
      $0.map { (NameMappingTests.keras1($0.0), $0.1) }
    }
    #expect(checkpoint.names.contains("res4f_branch2b/kernel"))
    let fit = WeightFit(checkpoint, try Architecture(named: "resnet50_keras"))
    #expect(fit.complaint == nil)
    #expect(fit.source(of: "layer3.5.conv2.weight") == "res4f_branch2b/kernel")
    #expect(fit.source(of: "layer1.0.downsample.1.bias") == "bn2a_branch1/beta")
  }

  /// `conv4_block6_2_bn/gamma` as `bn4f_branch2b/gamma`.
  private static func keras1(_ name: String) -> String {
    let parts = name.split(separator: "/")
    let layer = parts[0].split(separator: "_")
    switch parts[0] {
    case "conv1_conv": return "conv1/\(parts[1])"
    case "conv1_bn": return "bn_conv1/\(parts[1])"
    default: break
    }
    guard layer.count == 4, let block = Int(layer[1].dropFirst(5)), let index = Int(layer[2])
    else { return "fc1000/\(parts[1])" }
    let letter = ["a", "b", "c", "d", "e", "f"][block - 1]
    let branch = index == 0 ? "branch1" : "branch2" + ["a", "b", "c"][index - 1]
    return
      "\(layer[3] == "bn" ? "bn" : "res")\(layer[0].dropFirst(4))\(letter)_\(branch)/\(parts[1])"
  }

  // MARK: Values

  @Test func kernelsAreTurnedAndMissingScalesAreOne() throws {
    let graph = try Architecture(named: "mobilenet_v2_keras").graph(Head(classes: 1000))
    let checkpoint = try NameMappingTests.checkpoint("keras_mobilenet_v2", format: .kerasWeights)
    // Counting values show where each element goes.
    let counted = Checkpoint(
      tensors: checkpoint.tensors.filter { !$0.name.hasSuffix("/gamma") }.map { tensor in
        StoredTensor(
          tensor.name, Tensor((0..<tensor.shape.count).map(Float.init), shape: tensor.shape))
      }, metadata: [:], format: .kerasWeights, path: "net")
    let fit = WeightFit(counted, try Architecture(named: "mobilenet_v2_keras"))
    #expect(fit.complaint == nil)
    #expect(
      fit.notes.count == 1 && fit.notes[0].contains("no batch norm in the file has a scale (52"))
    let parameters = try fit.parameters(of: counted)
    try parameters.validate(for: graph)
    // Keras [row, column, input, output] = [3, 3, 3, 32].
    let stem = try parameters.tensor("features.0.0.weight")
    #expect(stem.shape == [32, 3, 3, 3])
    #expect(stem[((5 * 3 + 2) * 3 + 1) * 3 + 0] == Float(((1 * 3 + 0) * 3 + 2) * 32 + 5))
    // Depthwise [row, column, channel, 1] = [3, 3, 32, 1].
    let depthwise = try parameters.tensor("features.1.conv.0.0.weight")
    #expect(depthwise.shape == [32, 1, 3, 3])
    #expect(depthwise[7 * 9 + 2 * 3 + 1] == Float((2 * 3 + 1) * 32 + 7))
    // Dense [input, output] = [1280, 1000].
    let dense = try parameters.tensor("classifier.1.weight")
    #expect(dense.shape == [1000, 1280])
    #expect(dense[3 * 1280 + 11] == Float(11 * 1000 + 3))
    #expect(try parameters.tensor("features.0.1.weight").elements.allSatisfy { $0 == 1 })
  }

  // MARK: Heads, and what does not fit

  private func residual(
    _ change: ([(String, Shape)]) -> [(String, Shape)]
  ) throws -> CheckpointIdentity {
    try CheckpointIdentity(
      NameMappingTests.checkpoint("torchvision_resnet18", format: .torchZip, change: change),
      cards: [])
  }

  @Test func headsOfFineTunedNetworksAreFound() throws {
    let backbone = { (rows: [(String, Shape)]) in rows.filter { !$0.0.hasPrefix("fc.") } }
    let sequential = try residual {
      backbone($0) + [("fc.1.weight", [7, 512]), ("fc.1.bias", [7])]
    }
    #expect(sequential.certainty == .sure && sequential.best?.head == Head(classes: 7))
    let hidden = try residual {
      backbone($0).map { ("backbone." + $0.0, $0.1) } + [
        ("head.0.weight", [64, 512]), ("head.0.bias", [64]), ("head.3.weight", [5, 64]),
        ("head.3.bias", [5]),
      ]
    }
    #expect(hidden.certainty == .sure && hidden.best?.head == Head(classes: 5, hidden: 64))
    #expect(hidden.best?.notes.first?.contains("ReLU is assumed") == true)
    let none = try residual(backbone)
    #expect(none.certainty == .sure && none.best?.head == nil)
    #expect(try none.best?.graph().output.path == "flatten")
  }

  @Test func oneOutputWithASigmoidIsTwoClasses() throws {
    let listed = try NameMappingTests.checkpoint("torchvision_resnet18", format: .torchZip) {
      $0.filter { !$0.0.hasPrefix("fc.") } + [("fc.weight", [1, 512]), ("fc.bias", [1])]
    }
    let fit = WeightFit(listed, try Architecture(named: "resnet18"))
    #expect(fit.complaint == nil && fit.head == Head(classes: 2))
    #expect(fit.notes.contains { $0.contains("a sigmoid's") })
    let parameters = try fit.parameters(of: listed)
    let (weight, bias) = (try parameters.tensor("fc.weight"), try parameters.tensor("fc.bias"))
    let row = try #require(listed["fc.weight"]).floats()[0]
    #expect(weight.shape == [2, 512] && bias.shape == [2])
    #expect(weight[0] == 0 && weight[511] == 0 && weight[512] == row && weight[1023] == row)
    let stored = try #require(listed["fc.bias"]).floats()[0]
    #expect(bias[0] == 0 && bias[1] == stored)
  }

  @Test func whatDoesNotFitIsNamed() throws {
    let identity = try residual { rows in
      rows.filter { $0.0 != "layer2.0.bn1.weight" }.map {
        $0.0 == "layer1.0.conv1.weight" ? ($0.0, [64, 64, 5, 5]) : $0
      } + [("extra.weight", [3])]
    }
    #expect(identity.certainty == .partial)
    let fit = try #require(identity.best)
    #expect(fit.architecture == "resnet18")
    #expect(fit.missing == ["layer1.0.conv1.weight", "layer2.0.bn1.weight"])
    #expect(fit.unexpected.isEmpty && fit.ignored == ["extra.weight"])
    #expect(fit.unfitting.first?.contains("[64, 64, 5, 5]") == true)
    #expect(fit.complaint?.contains("2 missing") == true)
    let strange = try residual { _ in [("a.weight", [3, 3]), ("b.weight", [3])] }
    #expect(strange.certainty == .unknown && strange.best == nil)
  }
}
