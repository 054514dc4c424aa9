// SPDX-License-Identifier: Apache-2.0

import Testing
import ThawBackbones
import ThawCheckpoints
import ThawNetwork
import ThawTensors
import ThawTestSupport

/// What whole pickled modules say of their layers.
@Suite struct ModuleSettingsTests {
  private static func fit(_ name: String, prefix: String = "") throws -> WeightFit {
    let architecture = try Architecture(named: name)
    let graph = architecture.graph(Head(classes: 3))
    let checkpoint = Checkpoint(
      tensors: graph.parameters.map {
        StoredTensor(prefix + $0.path.description, Tensor(zeros: $0.shape))
      }, metadata: [:], format: .torchZip, path: "m.pth")
    let identity = try CheckpointIdentity(checkpoint, cards: [], architecture: name)
    return try #require(identity.best)
  }

  private static func module(
    _ path: String, _ name: String, _ settings: [String: JSONValue] = [:]
  ) -> PickledModule {
    PickledModule(path: path, className: "torch.nn.modules.\(name)", settings: settings)
  }

  /// ResNet-18's first layers as torchvision pickles them.
  private static let usual = [
    module("", "Sequential"),
    module(
      "conv1", "Conv2d",
      [
        "stride": .array([.integer(2), .integer(2)]),
        "padding": .array([.integer(3), .integer(3)]),
        "dilation": .array([.integer(1), .integer(1)]), "groups": .integer(1),
        "padding_mode": .string("zeros"),
      ]), module("bn1", "BatchNorm2d", ["eps": .number(1e-5)]), module("relu", "ReLU"),
    module(
      "maxpool", "MaxPool2d",
      ["kernel_size": .integer(3), "stride": .integer(2), "padding": .integer(1)]),
    module("avgpool", "AdaptiveAvgPool2d"), module("layer1.0.drop_block", "Identity"),
  ]

  @Test func whatIsAsTheNetworkHasItIsNoContradiction() throws {
    let settings = try ModuleSettings(Self.usual, Self.fit("resnet18"))
    #expect(settings.contradictions.isEmpty && settings.summary == nil)
    #expect(try ModuleSettings([], Self.fit("resnet18")).contradictions.isEmpty)
  }

  @Test(arguments: [
    (module("bn1", "BatchNorm2d", ["eps": .number(0.1)]), "'bn1' has an epsilon of 0.1, not 1e-05"),
    (module("conv1", "Conv2d", ["stride": .integer(1)]), "'conv1' has a stride of 1, not 2"),
    (module("conv1", "Conv2d", ["padding": .integer(0)]), "'conv1' has a padding of 0, not 3"),
    (module("conv1", "Conv2d", ["dilation": .integer(2)]), "'conv1' has a dilation of 2, not 1"),
    (module("conv1", "Conv2d", ["groups": .integer(3)]), "'conv1' has groups of 3, not 1"),
    (module("conv1", "Conv2d", ["padding_mode": .string("reflect")]), "pads with 'reflect'"),
    (module("conv1", "Conv2dSame"), "'conv1' pads as TensorFlow does"),
    (module("maxpool", "Identity"), "'maxpool' is an Identity, no pooling"),
    (module("maxpool", "AvgPool2d"), "'maxpool' is AvgPool2d, not MaxPool2d"),
    (module("maxpool", "MaxPool2d", ["kernel_size": .integer(2)]), "has a kernel of 2, not 3"),
    (module("layer1.0.act1", "Tanh"), "'layer1.0.act1' is Tanh, which occurs nowhere in resnet18"),
    (module("layer2.0.aa", "BlurPool2d"), "'layer2.0.aa' is BlurPool2d, which occurs nowhere"),
    (module("layer2.0.aa", "AvgPool2d"), "'layer2.0.aa' is AvgPool2d, which occurs nowhere"),
  ])
  func otherLayersAreNamed(_ module: PickledModule, _ expected: String) throws {
    let modules = Self.usual.filter { $0.path != module.path } + [module]
    let settings = try ModuleSettings(modules, Self.fit("resnet18"))
    #expect(settings.contradictions.count == 1)
    #expect(settings.summary?.contains(expected) == true, "\(settings.summary ?? "none")")
  }

  /// `Sequential(network, Sigmoid())`: what comes behind the network is part of it.
  @Test func aFunctionBehindTheNetworkIsSeen() throws {
    let fit = try Self.fit("resnet18", prefix: "0.")
    #expect(fit.prefix == "0.")
    let inner = Self.usual.dropFirst().map { one in
      PickledModule(path: "0." + one.path, className: one.className, settings: one.settings)
    }
    let whole = [Self.module("", "Sequential"), Self.module("0", "ResNet")] + inner
    #expect(try ModuleSettings(whole, fit).contradictions.isEmpty)
    #expect(
      try ModuleSettings(whole + [Self.module("1", "Tanh")], fit).summary
        == "'1' is Tanh, which occurs nowhere in resnet18")
    // What stands before it prepares photos; what stands behind it is judged.
    let wrapped = [Self.module("", "Sequential"), Self.module("transform", "Normalize")]
    #expect(try ModuleSettings(wrapped + whole.dropFirst(), fit).contradictions.isEmpty)
    #expect(
      try ModuleSettings(whole + [Self.module("1", "ReLU")], fit).summary
        == "'1' is ReLU behind the classifier's dense layers")
    // A classifier of its own behind the network is read by its tensors.
    #expect(try ModuleSettings(whole + [Self.module("1.2", "Tanh")], fit).contradictions.isEmpty)
  }

  /// A sigmoid at the end of everything makes the probabilities; elsewhere it is a stranger.
  @Test func aSigmoidAtTheEndIsNoContradiction() throws {
    let fit = try Self.fit(dense: Self.single)
    let head = Self.head(["Linear", "Sigmoid"])
    let settings = try ModuleSettings(Self.usual + head, fit)
    #expect(settings.endsWithSigmoid && settings.contradictions.isEmpty)
    let within = try ModuleSettings(head + Self.usual, fit)
    #expect(!within.endsWithSigmoid && within.contradictions.count == 1)
    let attribute = try ModuleSettings(Self.usual + [Self.module("gate", "Sigmoid")], fit)
    #expect(attribute.endsWithSigmoid, "The network itself is a Sequential here.")
    let ofAClass = [Self.module("", "ResNet")] + Self.usual.dropFirst()
    let unknown = try ModuleSettings(ofAClass + [Self.module("gate", "Sigmoid")], fit)
    #expect(!unknown.endsWithSigmoid && unknown.contradictions.count == 1)
  }

  /// What tensors cannot tell apart, settings do.
  @Test func settingsTellNetworksOfTheSameTensorsApart() throws {
    let same = [Self.module("conv_stem", "Conv2dSame", ["stride": .integer(2)])]
    let fixed = [
      Self.module("conv_stem", "Conv2d", ["stride": .integer(2), "padding": .integer(1)])
    ]
    for (name, own, other) in [
      ("tf_efficientnet_b0", same, fixed), ("efficientnet_b0", fixed, same),
    ] {
      let fit = try Self.fit(name)
      let stem = fit.source(of: "features.0.0.weight") ?? fit.source(of: "conv_stem.weight")
      let path = String(try #require(stem).dropLast(".weight".count))
      func placed(_ modules: [PickledModule]) -> [PickledModule] {
        modules.map { PickledModule(path: path, className: $0.className, settings: $0.settings) }
      }
      #expect(try ModuleSettings(placed(own), fit).contradictions.isEmpty, "\(name)")
      #expect(try ModuleSettings(placed(other), fit).contradictions.count == 1, "\(name)")
    }
  }

  // MARK: The classifier

  /// A fit whose classifier's dense layers are the given ones, behind resnet18's 512 features.
  private static func fit(dense: [(String, Int, Int)]) throws -> WeightFit {
    let graph = try Architecture(named: "resnet18").graph(Head(classes: 3))
    var tensors = graph.parameters.filter { !$0.path.description.hasPrefix("fc.") }.map {
      StoredTensor($0.path.description, Tensor(zeros: $0.shape))
    }
    for (path, inputs, outputs) in dense {
      tensors.append(StoredTensor("\(path).weight", Tensor(zeros: [outputs, inputs])))
      tensors.append(StoredTensor("\(path).bias", Tensor(zeros: [outputs])))
    }
    let checkpoint = Checkpoint(
      tensors: tensors, metadata: [:], format: .torchZip, path: "m.pth")
    return try #require(
      try CheckpointIdentity(checkpoint, cards: [], architecture: "resnet18").best)
  }

  private static let single: [(String, Int, Int)] = [("fc.0", 512, 3)]
  private static let hidden: [(String, Int, Int)] = [("fc.0", 512, 64), ("fc.2", 64, 3)]

  private static func head(_ classes: [String]) -> [PickledModule] {
    [module("fc", "Sequential")]
      + classes.enumerated().map { module("fc.\($0.offset)", $0.element) }
  }

  @Test func aClassifierAsAssumedIsNoContradiction() throws {
    for classes in [["Linear"], ["Linear", "Softmax"], ["Linear", "Dropout", "Identity"]] {
      let settings = try ModuleSettings(
        Self.usual + Self.head(classes), Self.fit(dense: Self.single))
      #expect(settings.contradictions.isEmpty, "\(classes): \(settings.contradictions)")
    }
    let drop = try ModuleSettings(
      Self.usual + Self.head(["Flatten", "Dropout", "Linear"]),
      Self.fit(dense: [("fc.2", 512, 3)]))
    #expect(drop.contradictions.isEmpty)
    let two = try ModuleSettings(
      Self.usual + Self.head(["Linear", "ReLU", "Linear"]), Self.fit(dense: Self.hidden))
    #expect(two.contradictions.isEmpty)
    let plain = try ModuleSettings(
      Self.usual + [Self.module("fc", "Linear")], Self.fit(dense: [("fc", 512, 3)]))
    #expect(plain.contradictions.isEmpty)
  }

  private static let others: [([(String, Int, Int)], [String], String)] = [
    (single, ["Linear", "ReLU"], "'fc.1' is ReLU behind the classifier's dense layers"),
    (single, ["Linear", "BatchNorm1d"], "'fc.1' is BatchNorm1d behind"),
    ([("fc.1", 512, 3)], ["L2Norm", "Linear"], "'fc.0' is L2Norm before"),
    (hidden, ["Linear", "Dropout", "Linear"], "'fc.2' follows 'fc.0' without a ReLU"),
    (hidden, ["Linear", "GELU", "Linear"], "'fc.1' is GELU, not relu"),
  ]

  @Test(arguments: others)
  func aClassifierOfOtherLayersIsRefused(
    _ dense: [(String, Int, Int)], _ classes: [String], _ expected: String
  ) throws {
    let settings = try ModuleSettings(
      Self.usual + Self.head(classes), Self.fit(dense: dense))
    #expect(settings.summary?.contains(expected) == true, "\(settings.summary ?? "none")")
  }

  @Test func classesOfTheirOwnAndOtherPoolingsAreRefused() throws {
    func summary(_ modules: [PickledModule], _ dense: [(String, Int, Int)]) throws -> String {
      try ModuleSettings(modules, Self.fit(dense: dense)).summary ?? "none"
    }
    func own(_ path: String, _ name: String) -> PickledModule {
      PickledModule(path: path, className: "models.heads.\(name)", settings: [:])
    }
    let cosine = try summary(Self.usual + [own("fc", "Cosine")], [("fc", 512, 3)])
    #expect(cosine.contains("'fc' is models.heads.Cosine, not PyTorch's Linear"))
    let gate = try summary(
      Self.usual + [own("fc", "Gate"), Self.module("fc.a", "Linear")], [("fc.a", 512, 3)])
    #expect(gate.contains("'fc' is Gate, a class of its own"))
    let axis = try summary(
      Self.usual + Self.head(["Linear"])
        + [Self.module("fc.1", "Softmax", ["dim": .integer(0)])], Self.single)
    #expect(axis.contains("'fc.1' is a Softmax over axis 0, not 1"))
    let pooled = Self.usual.filter { $0.path != "avgpool" }
    for name in ["AdaptiveMaxPool2d", "AdaptiveAvgMaxPool2d", "FastAdaptiveMaxPool", "GeM"] {
      let found = try summary(
        pooled + [Self.module("avgpool", name), Self.module("fc", "Linear")], [("fc", 512, 3)])
      #expect(found.contains("'avgpool' is \(name)"), "\(found)")
    }
  }
}
