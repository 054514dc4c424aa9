// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawBackbones
import ThawCheckpoints
import ThawImages
import ThawNetwork
import ThawTensors
import ThawTestSupport

/// What Keras's files leave to be found out: layers without names, flattened grids, and arithmetic with
/// pixels inside the model.
struct KerasFileTests {
  // MARK: Layers without names

  /// The place of each layer in a file of early Keras 3: its class, and a number in the order of the
  /// model, which is the order of the fixture.
  private static func places(_ layers: [String], _ rows: [(String, Shape)]) -> [String: String] {
    var places: [String: String] = [:]
    var numbers: [String: Int] = [:]
    for layer in layers {
      let own = rows.filter { $0.0.hasPrefix(layer + "/") }
      let kernel = own.first { $0.0.hasSuffix("/kernel") }?.1
      let isNorm = own.contains { $0.0.hasSuffix("/gamma") || $0.0.hasSuffix("/beta") }
      let isBatchNorm = own.contains { $0.0.hasSuffix("/moving_mean") }
      let isDepthwise = layer.contains("depthwise") || layer.contains("dwconv")
      let kind =
        isBatchNorm
        ? "batch_normalization"
        : isNorm
          ? "layer_normalization"
          : layer.hasSuffix("_layer_scale")
            ? "layer_scale"
            : kernel?.rank == 2
              ? "dense"
              : isDepthwise && !layer.contains("convnext") ? "depthwise_conv2d" : "conv2d"
      if layer.contains("_stem_") && layer.contains("convnext") {
        places[layer] = "sequential/" + kind
      } else if layer.contains("_downsampling_"), let stage = layer.last.flatMap({ Int("\($0)") }) {
        places[layer] = "sequential_\(stage + 1)/\(kind)"
      } else {
        let number = numbers[kind, default: 0]
        numbers[kind] = number + 1
        places[layer] = number == 0 ? kind : "\(kind)_\(number)"
      }
    }
    return places
  }

  private static func unnamed(
    _ list: String, change: ([(String, Shape)]) -> [(String, Shape)] = { $0 }
  ) throws -> (checkpoint: Checkpoint, places: [String: String]) {
    var places: [String: String] = [:]
    let checkpoint = try NameMappingTests.checkpoint(
      list, format: .kerasWeights,
      metadata: [Checkpoint.kerasLayers: Checkpoint.kerasLayersByPosition]
    ) { rows in
      let rows = rows.filter { !$0.0.hasPrefix("normalization/") }
      var layers: [String] = []
      for row in rows {
        let layer = String(row.0.split(separator: "/")[0])
        if !layers.contains(layer) { layers.append(layer) }
      }
      places = KerasFileTests.places(layers, rows)
      return change(
        rows.map { row in
          let parts = row.0.split(separator: "/").map(String.init)
          return ((places[parts[0]] ?? parts[0]) + "/" + parts[1], row.1)
        })
    }
    return (checkpoint, places)
  }

  @Test(arguments: [
    ("keras_vgg16", "vgg16"), ("keras_resnet50", "resnet50_keras"),
    ("keras_inception_v3", "inception_v3_keras"), ("keras_mobilenet_v2", "mobilenet_v2_keras"),
    ("keras_densenet121", "densenet121_keras"),
    ("keras_efficientnet_b0", "efficientnet_b0_keras"),
    ("keras_convnext_tiny", "convnext_tiny"),
  ])
  func layersWithoutNamesGoWhereTheirNamesWouldSendThem(
    _ list: String, _ name: String
  ) throws {
    let architecture = try Architecture(named: name)
    let named = WeightFit(
      try NameMappingTests.checkpoint(list, format: .kerasWeights), architecture)
    let (checkpoint, places) = try KerasFileTests.unnamed(list)
    let fit = WeightFit(checkpoint, architecture)
    #expect(fit.complaint == nil)
    #expect(try CheckpointIdentity(checkpoint, cards: []).certainty == .sure)
    for node in architecture.graph(Head(classes: 1000)).nodes {
      for parameter in node.parameters {
        let parts = named.source(of: parameter.path)?.split(separator: "/").map(String.init)
        let expected = parts.map { (places[$0[0]] ?? $0[0]) + "/" + $0[1] }
        #expect(fit.source(of: parameter.path) == expected, "\(parameter.path)")
      }
    }
  }

  @Test func inceptionsPlacesAreNotItsNumbers() throws {
    let fit = WeightFit(
      try KerasFileTests.unnamed("keras_inception_v3").checkpoint,
      try Architecture(named: "inception_v3_keras"))
    // Keras: conv2d_8 is the sixth convolution of the model.
    #expect(fit.source(of: "Mixed_5b.branch3x3dbl_1.conv.weight") == "conv2d_5/kernel")
    #expect(fit.source(of: "Mixed_5b.branch1x1.conv.weight") == "conv2d_8/kernel")
  }

  @Test func oneLayerMoreOfAClassIsRefused() throws {
    let more = try KerasFileTests.unnamed("keras_inception_v3") {
      $0 + [("conv2d_94/kernel", [1, 1, 2048, 2048])]
    }
    let fit = WeightFit(more.checkpoint, try Architecture(named: "inception_v3_keras"))
    #expect(fit.unexpected == ["conv2d_94/kernel"])
  }

  // MARK: Flattened grids

  @Test func denseLayersBehindAFlattenedGridAreReordered() throws {
    let rows = { (rows: [(String, Shape)]) in
      rows.filter { $0.0.hasPrefix("block") } + [
        ("dense/kernel", [25088, 2] as Shape), ("dense/bias", [2]),
      ]
    }
    let listed = try NameMappingTests.checkpoint(
      "keras_vgg16", format: .kerasWeights, change: rows)
    let counted = Checkpoint(
      tensors: listed.tensors.map { tensor in
        tensor.name == "dense/kernel"
          ? StoredTensor(
            tensor.name, Tensor((0..<(25088 * 2)).map(Float.init), shape: tensor.shape)) : tensor
      }, metadata: [:], format: .kerasWeights, path: "net")
    let fit = WeightFit(counted, try Architecture(named: "vgg16_flat"))
    #expect(fit.complaint == nil)
    let weight = try fit.parameters(of: counted).tensor("classifier.weight")
    // Keras flattens [row, column, channel], we flatten [channel, row, column].
    for (row, column, channel, output) in [(0, 1, 0, 0), (6, 5, 511, 1), (3, 2, 17, 1)] {
      let ours = output * 25088 + (channel * 7 + row) * 7 + column
      #expect(weight[ours] == Float(((row * 7 + column) * 512 + channel) * 2 + output))
    }
  }

  // MARK: Pixels

  private static func efficientNet(
    mean: [Float], variance: [Float], model: KerasModel? = nil
  ) throws -> Checkpoint {
    let listed = try NameMappingTests.checkpoint("keras_efficientnet_b0", format: .kerasWeights)
    let values = ["normalization/mean": mean, "normalization/variance": variance]
    return Checkpoint(
      tensors: listed.tensors.map { tensor in
        values[tensor.name].map { StoredTensor(tensor.name, Tensor($0, shape: [3])) } ?? tensor
      }, metadata: [:], format: .kerasWeights, path: "net", kerasModel: model)
  }

  private func expect(_ contract: Preprocessing?, _ scale: [Double], _ offset: [Double]) throws {
    let contract = try #require(contract)
    for channel in 0..<3 {
      let factor = contract.scale / contract.std[channel]
      let shift = -contract.mean[channel] / contract.std[channel]
      #expect(abs(factor - scale[channel]) < 1e-6 * scale[channel])
      #expect(abs(shift - offset[channel]) < 1e-5)
    }
  }

  @Test func untrainedNormalizationLeavesZeroToOne() throws {
    let checkpoint = try KerasFileTests.efficientNet(mean: [0, 0, 0], variance: [1, 1, 1])
    let identity = try CheckpointIdentity(checkpoint, cards: [])
    let factor = 1.0 / 255
    try expect(identity.preprocessing, [factor, factor, factor], [0, 0, 0])
    #expect(identity.preprocessing?.interpolation == .nearest)
    #expect(identity.preprocessingReason.contains("normalization layer's variables"))
  }

  @Test func publishedNormalizationIsDividedTwice() throws {
    let checkpoint = try KerasFileTests.efficientNet(
      mean: [0.485, 0.456, 0.406], variance: [0.229, 0.224, 0.225])
    let identity = try CheckpointIdentity(checkpoint, cards: [])
    let torch = Preprocessing.torch()
    try expect(
      identity.preprocessing, torch.std.map { 1 / 255 / $0 },
      zip(torch.mean, torch.std).map { -$0 / $1 })
  }

  @Test func layersOfTheModelAreComposedInTheirOrder() throws {
    let model = KerasModel(
      inputExtent: (192, 192),
      pixelLayers: [
        .rescaling(scale: [0.5], offset: [1]),
        .normalization(layer: "normalization", mean: nil, variance: nil),
        .rescaling(scale: [1, 2, 3], offset: [0, 0, -1]),
      ])
    let checkpoint = try KerasFileTests.efficientNet(
      mean: [1, 2, 3], variance: [4, 1, 0.25], model: model)
    let identity = try CheckpointIdentity(checkpoint, cards: [])
    // (x / 2 + 1 - mean) / sqrt(variance), times 1, 2, 3, plus 0, 0, -1.
    try expect(identity.preprocessing, [0.25, 1, 3], [0, -2, -13])
    #expect(identity.preprocessing?.inputSize == 192)
  }

  @Test func everyKerasNetworkHasKerassGeometry() throws {
    let usual: [(String, Preprocessing)] = [
      ("keras_vgg16", .caffe()), ("keras_inception_v3", .tf()), ("keras_mobilenet_v2", .tf()),
      ("keras_convnext_tiny", .torch()), ("keras_densenet121", .torch()),
    ]
    for (list, values) in usual {
      let checkpoint = try NameMappingTests.checkpoint(list, format: .kerasWeights)
      let contract = try #require(try CheckpointIdentity(checkpoint, cards: []).preprocessing)
      #expect(contract.withValues(of: values) == contract, "\(list)")
      #expect(contract.interpolation == .nearest && contract.resizeRule == .squash)
    }
  }

  // MARK: What no weight shows

  private func mobileNet(_ change: (inout KerasModel) -> Void) throws -> WeightFit {
    var model = KerasModel(inputExtent: nil, pixelLayers: [])
    change(&model)
    let listed = try NameMappingTests.checkpoint("keras_mobilenet_v2", format: .kerasArchive) {
      $0.filter { !$0.0.hasPrefix("predictions/") } + [
        ("hidden/kernel", [1280, 8]), ("hidden/bias", [8]), ("dense/kernel", [8, 3]),
        ("dense/bias", [3]),
      ]
    }
    return WeightFit(
      Checkpoint(
        tensors: listed.tensors, metadata: [:], format: .kerasArchive, path: "net",
        kerasModel: model), try Architecture(named: "mobilenet_v2_keras"))
  }

  @Test func anotherPoolingOrActivationIsRefused() throws {
    let relu = try mobileNet { $0.denseActivations = ["hidden": "relu", "dense": "softmax"] }
    #expect(relu.complaint == nil && relu.notes.isEmpty)
    #expect(relu.head == Head(classes: 3, hidden: 8))
    let unknown = try mobileNet { _ in }
    #expect(unknown.complaint == nil && unknown.notes.count == 1)
    let tanh = try mobileNet { $0.denseActivations = ["hidden": "tanh"] }
    #expect(tanh.complaint?.contains("hidden is followed by tanh") == true)
    let maximum = try mobileNet { $0.poolsByMaximum = true }
    #expect(maximum.complaint?.contains("takes the maximum") == true)
  }

  // MARK: ConvNeXt without its top

  private func convNeXt(
    _ model: KerasModel?, _ more: [(String, Shape)]
  ) throws -> WeightFit {
    let listed = try NameMappingTests.checkpoint("keras_convnext_tiny", format: .kerasWeights) {
      $0.filter { !$0.0.contains("_head_dense") }.map { row in
        (row.0.replacing("convnext_tiny_head_layernorm", with: "layer_normalization"), row.1)
      } + more
    }
    return WeightFit(
      Checkpoint(
        tensors: listed.tensors, metadata: [:], format: .kerasWeights, path: "net",
        kerasModel: model), try Architecture(named: "convnext_tiny"))
  }

  @Test func aNormWhosePlaceIsUnknownIsNotGuessed() throws {
    let dense: [(String, Shape)] = [("dense/kernel", [768, 7]), ("dense/bias", [7])]
    #expect(try convNeXt(nil, []).complaint == nil)
    let unknown = try convNeXt(nil, dense)
    #expect(unknown.missing == ["classifier.0.weight", "classifier.0.bias"])
    var model = KerasModel(inputExtent: nil, pixelLayers: [])
    #expect(try convNeXt(model, dense).complaint == nil)
    model.normalizesBeforePooling = true
    #expect(try convNeXt(model, dense).complaint != nil)
  }
}
