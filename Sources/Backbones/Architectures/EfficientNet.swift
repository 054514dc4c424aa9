// SPDX-License-Identifier: Apache-2.0

package import ThawNetwork

/// EfficientNet-B0 to B4: inverted residuals with squeeze-and-excitation and SiLU.
///
/// | name | padding | batch-norm epsilon, momentum | layer names |
/// |---|---|---|---|
/// | `efficientnet_b0` | half the kernel on every side | 1e-5, 0.1 | torchvision's (timm's are translated) |
/// | `tf_efficientnet_b0` | TensorFlow's "same" | 1e-3, 0.1 | timm's |
/// | `efficientnet_b0_keras` | TensorFlow's "same" | 1e-3, 0.01 | timm's |
///
/// Keras's networks divide by 255 and normalise inside the model; here that belongs to the preprocessing.
///
/// Layer groups: `early` (stem, stages 1-3, to stride 8), `middle` (stages 4-5, stride 16), `late`
/// (stages 6-7 and the 1x1 top, stride 32), `head`. Any input size.
///
/// - Source: Tan and Le 2019, arXiv:1905.11946; torchvision.models.efficientnet; timm's
///   `tf_efficientnet_b0`; keras.applications.efficientnet.
package struct EfficientNet: NetworkFamily {
  /// Whose network is followed.
  package enum Convention: String, Sendable, CaseIterable {
    /// torchvision's, and timm's `efficientnet_b0`.
    case torchvision
    /// timm's port of the TensorFlow weights, `tf_efficientnet_b0`.
    case timm
    /// `keras.applications`.
    case keras
  }

  static let names = Convention.allCases.flatMap { convention in
    EfficientNetScaling.variants.map { EfficientNet.name($0, convention) }
  }

  private let name: String
  private let convention: Convention
  private let scaling: EfficientNetScaling

  init?(name: String) {
    for convention in Convention.allCases {
      let variant = EfficientNetScaling.variants.first {
        EfficientNet.name($0, convention) == name
      }
      if let variant {
        self.init(variant: variant, convention: convention)
        return
      }
    }
    return nil
  }

  /// The variant `number`, 0 to 4; nil for any other.
  package init?(variant number: Int, convention: Convention = .torchvision) {
    guard let scaling = EfficientNetScaling(variant: number) else { return nil }
    name = EfficientNet.name(number, convention)
    self.convention = convention
    self.scaling = scaling
  }

  private static func name(_ number: Int, _ convention: Convention) -> String {
    switch convention {
    case .torchvision: "efficientnet_b\(number)"
    case .timm: "tf_efficientnet_b\(number)"
    case .keras: "efficientnet_b\(number)_keras"
    }
  }

  /// The network with `head` behind its pooled features, 1280 in B0.
  package func graph(head: Head) -> Graph { graph(head: head, stochasticDepth: 0) }

  /// The same with residual branches left out at random in training.
  ///
  /// - Parameter stochasticDepth: probability for the last block, rising to it from 0 in the first;
  ///   torchvision trains with 0.2. Layers with it are not frozen features, so it is off by default.
  package func graph(head: Head, stochasticDepth: Double) -> Graph {
    var builder = GraphBuilder(name: name, inputChannels: 3, firstGroup: "early")
    var channels = scaling.channels(32)
    add(&builder, "conv_stem", "bn1", convolution(3, channels, kernel: 3, stride: 2))
    builder.add(path("act1"), .activation(.silu))
    let total = EfficientNetScaling.stages.indices.reduce(0) { $0 + scaling.repeats($1) }
    var number = 0
    for (stage, shape) in EfficientNetScaling.stages.enumerated() {
      if stage == 3 { builder.beginGroup("middle") }
      if stage == 5 { builder.beginGroup("late") }
      for index in 0..<scaling.repeats(stage) {
        let block = Block(
          name: "blocks.\(stage).\(index)", inputs: channels,
          outputs: scaling.channels(shape.channels),
          expansion: shape.expansion, kernel: shape.kernel, stride: index == 0 ? shape.stride : 1,
          skipping: stochasticDepth * Double(number) / Double(total))
        add(&builder, block)
        channels = block.outputs
        number += 1
      }
    }
    let features = scaling.channels(1280)
    add(&builder, "conv_head", "bn2", convolution(channels, features, kernel: 1))
    builder.add(path("act2"), .activation(.silu))
    builder.add("avgpool", .globalAveragePooling)
    builder.add("flatten", .flatten)
    builder.addHead(head, features: features, path: path("classifier"))
    return builder.build()
  }

  /// Translates timm's name of a tensor into ours; a name that is ours already comes back as it is.
  func path(ofPublished name: String) -> ParameterPath? {
    guard convention == .torchvision else { return ParameterPath(name) }
    let path = ParameterPath(name)
    return self.path(path.parent.description).appending(String(path.leaf))
  }

  private struct Block {
    let name: String
    let inputs: Int
    let outputs: Int
    let expansion: Int
    let kernel: Int
    let stride: Int
    /// Probability of leaving the branch out in training.
    let skipping: Double
  }

  /// An inverted residual: expand 1x1, depthwise, squeeze and excite, project 1x1, and the shortcut
  /// when shapes agree.
  private func add(_ builder: inout GraphBuilder, _ block: Block) {
    let entry = builder.last
    let wide = block.inputs * block.expansion
    var number = 1
    if block.expansion != 1 {
      add(
        &builder, "\(block.name).conv_pw", "\(block.name).bn1",
        convolution(block.inputs, wide, kernel: 1))
      builder.add(path("\(block.name).act1"), .activation(.silu))
      number = 2
    }
    add(
      &builder, "\(block.name).conv_dw", "\(block.name).bn\(number)",
      convolution(wide, wide, kernel: block.kernel, stride: block.stride, groups: wide))
    let excited = builder.add(path("\(block.name).act\(number)"), .activation(.silu))
    addGates(&builder, "\(block.name).se", wide, squeezed: max(block.inputs / 4, 1))
    builder.add(path("\(block.name).gate"), .gate, [excited, builder.last])
    add(
      &builder, "\(block.name).\(block.expansion == 1 ? "conv_pw" : "conv_pwl")",
      "\(block.name).bn\(number + 1)", convolution(wide, block.outputs, kernel: 1))
    guard block.stride == 1 && block.inputs == block.outputs else { return }
    if block.skipping > 0 {
      builder.add(path("\(block.name).depth"), .stochasticDepth(probability: block.skipping))
    }
    builder.add(path("\(block.name).add"), .add, [builder.last, entry])
  }

  /// One gate a channel, from the channels' means: 1x1 to few, SiLU, 1x1 back, sigmoid.
  private func addGates(
    _ builder: inout GraphBuilder, _ name: String, _ channels: Int, squeezed: Int
  ) {
    let point = Window2D(kernel: 1)
    builder.add(path("\(name).squeeze"), .globalAveragePooling)
    builder.add(
      path("\(name).conv_reduce"),
      .convolution(
        Convolution2D(inputs: channels, outputs: squeezed, window: point, hasBias: true)))
    builder.add(path("\(name).act1"), .activation(.silu))
    builder.add(
      path("\(name).conv_expand"),
      .convolution(
        Convolution2D(inputs: squeezed, outputs: channels, window: point, hasBias: true)))
    builder.add(path("\(name).sigmoid"), .activation(.sigmoid))
  }

  private func add(
    _ builder: inout GraphBuilder, _ name: String, _ normalization: String, _ layer: Convolution2D
  ) {
    let norm = BatchNormalization(
      channels: layer.outputs, epsilon: convention == .torchvision ? 1e-5 : 1e-3,
      momentum: convention == .keras ? 0.01 : 0.1)
    builder.add(path(name), .convolution(layer))
    builder.add(path(normalization), .batchNormalization(norm))
  }

  private func convolution(
    _ inputs: Int, _ outputs: Int, kernel: Int, stride: Int = 1, groups: Int = 1
  ) -> Convolution2D {
    let padding: Padding =
      convention == .torchvision ? .explicit(EdgeInsets(kernel / 2)) : .same
    return Convolution2D(
      inputs: inputs, outputs: outputs,
      window: Window2D(kernel: kernel, stride: stride, padding: padding), groups: groups)
  }

  /// The stage and the place in it of a block that is counted through; nil beyond the last.
  func place(ofBlock number: Int) -> (stage: Int, index: Int)? { scaling.place(ofBlock: number) }
}

extension EfficientNet {
  /// Our name of the layer that timm calls `name`: torchvision's where its network is followed.
  /// Layers without parameters keep timm's name within their block.
  private func path(_ name: String) -> ParameterPath {
    guard convention == .torchvision else { return ParameterPath(name) }
    if let translated = EfficientNet.topLevel[name] { return translated }
    let parts = name.split(separator: ".", maxSplits: 3).map(String.init)
    guard parts.count == 4, parts[0] == "blocks", let stage = Int(parts[1]) else {
      return ParameterPath(name)
    }
    let layers = stage == 0 ? EfficientNet.firstStage : EfficientNet.otherStages
    let layer = layers[parts[3]].map { "block.\($0)" } ?? parts[3]
    return "features.\(stage + 1).\(parts[2]).\(layer)"
  }

  private static let topLevel: [String: ParameterPath] = [
    "conv_stem": "features.0.0", "bn1": "features.0.1", "conv_head": "features.8.0",
    "bn2": "features.8.1", "classifier": "classifier.1",
  ]
  /// Layers of a block that does not expand.
  private static let firstStage = [
    "conv_dw": "0.0", "bn1": "0.1", "se.conv_reduce": "1.fc1", "se.conv_expand": "1.fc2",
    "conv_pw": "2.0", "bn2": "2.1",
  ]
  private static let otherStages = [
    "conv_pw": "0.0", "bn1": "0.1", "conv_dw": "1.0", "bn2": "1.1", "se.conv_reduce": "2.fc1",
    "se.conv_expand": "2.fc2", "conv_pwl": "3.0", "bn3": "3.1",
  ]
}
