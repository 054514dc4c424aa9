// SPDX-License-Identifier: Apache-2.0

package import ThawNetwork

/// Inception v3, torchvision's and Keras's.
///
/// | | torchvision | Keras |
/// |---|---|---|
/// | batch norm | gamma, momentum 0.1 | no gamma, momentum 0.01 |
/// | average pooling in the blocks | zeros of the border count | they do not |
///
/// Epsilon is 1e-3 in both. The auxiliary classifier (`AuxLogits`) is left out. torchvision's
/// `transform_input` is part of the preprocessing here: what goes in is in -1...1. Layer names are
/// torchvision's. Layer groups: `early` (the stem), `mixed5` (35x35 for an input of 299), `mixed6`
/// (17x17), `mixed7` (8x8), `head`. Any input of 75 pixels or more.
///
/// - Source: Szegedy et al. 2015, arXiv:1512.00567; torchvision.models.inception;
///   keras.applications.inception_v3.
package struct InceptionV3: NetworkFamily {
  static let names = Definition.allCases.map { "inception_v3\($0.suffix)" }

  private let definition: Definition

  init?(name: String) {
    guard InceptionV3.names.contains(name) else { return nil }
    self.init(definition: Definition.split(name).definition)
  }

  /// The network as `definition` has it.
  package init(definition: Definition = .torchvision) { self.definition = definition }

  func keeps(_ name: String) -> Bool { !name.hasPrefix("AuxLogits.") }

  /// The network with `head` behind its 2048 pooled features.
  package func graph(head: Head) -> Graph {
    var blocks = InceptionBlocks(
      builder: GraphBuilder(
        name: "inception_v3\(definition.suffix)", inputChannels: 3, firstGroup: "early"),
      normalization: definition == .keras
        ? .keras(epsilon: 1e-3, hasScale: false)
        : NormalizationStyle(epsilon: 1e-3),
      averageIncludesPadding: definition == .torchvision)
    blocks.addStem()
    blocks.builder.beginGroup("mixed5")
    blocks.addA("Mixed_5b", inputs: 192, pooled: 32)
    blocks.addA("Mixed_5c", inputs: 256, pooled: 64)
    blocks.addA("Mixed_5d", inputs: 288, pooled: 64)
    blocks.builder.beginGroup("mixed6")
    blocks.addB("Mixed_6a", inputs: 288)
    for (letter, width) in [("b", 128), ("c", 160), ("d", 160), ("e", 192)] {
      blocks.addC("Mixed_6\(letter)", width: width)
    }
    blocks.builder.beginGroup("mixed7")
    blocks.addD("Mixed_7a")
    blocks.addE("Mixed_7b", inputs: 1280)
    blocks.addE("Mixed_7c", inputs: 2048)
    blocks.builder.addPooledHead(head, features: 2048, path: "fc")
    return blocks.builder.build()
  }
}

/// A graph under construction and what its blocks have in common.
private struct InceptionBlocks {
  var builder: GraphBuilder
  let normalization: NormalizationStyle
  let averageIncludesPadding: Bool

  /// Kernel, channels and stride of one convolution; without padding unless it keeps the size.
  struct Layer {
    let name: String
    let outputs: Int
    var kernel = Extent2D(1)
    var stride = 1
    var keepsSize = true

    var window: Window2D {
      var window = Window2D(kernel: 1, stride: stride)
      window.kernel = kernel
      if keepsSize {
        let (rows, columns) = (kernel.height / 2, kernel.width / 2)
        window.padding = .explicit(
          EdgeInsets(top: rows, left: columns, bottom: rows, right: columns))
      }
      return window
    }
  }

  /// Convolution, batch norm, ReLU (torchvision's `BasicConv2d`).
  @discardableResult
  mutating func add(
    _ path: ParameterPath, inputs: Int, _ layer: Layer, from source: NodeID
  ) -> NodeID {
    let path: ParameterPath = "\(path).\(layer.name)"
    let convolution = Convolution2D(inputs: inputs, outputs: layer.outputs, window: layer.window)
    return builder.addConvolution(
      "\(path).conv", "\(path).bn", convolution, normalization,
      activation: ("\(path).relu", .relu), from: source)
  }

  /// Convolutions one behind the other.
  mutating func addChain(
    _ path: ParameterPath, inputs: Int, from source: NodeID, _ layers: [Layer]
  ) -> NodeID {
    var (result, channels) = (source, inputs)
    for layer in layers {
      result = add(path, inputs: channels, layer, from: result)
      channels = layer.outputs
    }
    return result
  }

  mutating func addStem() {
    add("Conv2d_1a_3x3", 3, 32, stride: 2, keepsSize: false)
    add("Conv2d_2a_3x3", 32, 32, keepsSize: false)
    add("Conv2d_2b_3x3", 32, 64, keepsSize: true)
    builder.add("maxpool1", .pooling(.maximum, Window2D(kernel: 3, stride: 2)))
    add("Conv2d_3b_1x1", 64, 80, kernel: 1, keepsSize: false)
    add("Conv2d_4a_3x3", 80, 192, keepsSize: false)
    builder.add("maxpool2", .pooling(.maximum, Window2D(kernel: 3, stride: 2)))
  }

  private mutating func add(
    _ path: ParameterPath, _ inputs: Int, _ outputs: Int, kernel: Int = 3, stride: Int = 1,
    keepsSize: Bool
  ) {
    let window = Window2D(
      kernel: kernel, stride: stride, padding: .explicit(EdgeInsets(keepsSize ? kernel / 2 : 0)))
    builder.addConvolution(
      "\(path).conv", "\(path).bn",
      Convolution2D(inputs: inputs, outputs: outputs, window: window), normalization,
      activation: ("\(path).relu", .relu))
  }

  /// 3x3 average around each pixel, then 1x1.
  private mutating func addPooling(_ path: ParameterPath, inputs: Int, outputs: Int) -> NodeID {
    let entry = builder.last
    let window = Window2D(kernel: 3, padding: .explicit(EdgeInsets(1)))
    let kind = PoolingKind.average(includesPadding: averageIncludesPadding)
    let pool = builder.add("\(path).pool", .pooling(kind, window), [entry])
    return add(path, inputs: inputs, Layer(name: "branch_pool", outputs: outputs), from: pool)
  }

  private static let tall = Extent2D(height: 7, width: 1)
  private static let wide = Extent2D(height: 1, width: 7)
  private static let three = Extent2D(3)

  /// torchvision's `InceptionA`: 1x1, 5x5, double 3x3, pooling.
  mutating func addA(_ path: ParameterPath, inputs: Int, pooled: Int) {
    // The pooling branch comes first, for it reads the node added last; the order of the
    // concatenation is what counts.
    let entry = builder.last
    let pool = addPooling(path, inputs: inputs, outputs: pooled)
    let one = addChain(
      path, inputs: inputs, from: entry, [Layer(name: "branch1x1", outputs: 64)])
    let five = addChain(
      path, inputs: inputs, from: entry,
      [
        Layer(name: "branch5x5_1", outputs: 48),
        Layer(name: "branch5x5_2", outputs: 64, kernel: Extent2D(5)),
      ])
    let double = addChain(
      path, inputs: inputs, from: entry,
      [
        Layer(name: "branch3x3dbl_1", outputs: 64),
        Layer(name: "branch3x3dbl_2", outputs: 96, kernel: Self.three),
        Layer(name: "branch3x3dbl_3", outputs: 96, kernel: Self.three),
      ])
    builder.add("\(path).cat", .concatenate, [one, five, double, pool])
  }

  /// torchvision's `InceptionB`: halves the size.
  mutating func addB(_ path: ParameterPath, inputs: Int) {
    let entry = builder.last
    let three = addChain(
      path, inputs: inputs, from: entry,
      [Layer(name: "branch3x3", outputs: 384, kernel: Self.three, stride: 2, keepsSize: false)])
    let double = addChain(
      path, inputs: inputs, from: entry,
      [
        Layer(name: "branch3x3dbl_1", outputs: 64),
        Layer(name: "branch3x3dbl_2", outputs: 96, kernel: Self.three),
        Layer(
          name: "branch3x3dbl_3", outputs: 96, kernel: Self.three, stride: 2, keepsSize: false),
      ])
    let pool = builder.add(
      "\(path).pool", .pooling(.maximum, Window2D(kernel: 3, stride: 2)), [entry])
    builder.add("\(path).cat", .concatenate, [three, double, pool])
  }

  /// torchvision's `InceptionC`: 7x7 as 1x7 and 7x1.
  mutating func addC(_ path: ParameterPath, width: Int) {
    let entry = builder.last
    let pool = addPooling(path, inputs: 768, outputs: 192)
    let one = addChain(path, inputs: 768, from: entry, [Layer(name: "branch1x1", outputs: 192)])
    let seven = addChain(
      path, inputs: 768, from: entry,
      [
        Layer(name: "branch7x7_1", outputs: width),
        Layer(name: "branch7x7_2", outputs: width, kernel: Self.wide),
        Layer(name: "branch7x7_3", outputs: 192, kernel: Self.tall),
      ])
    let double = addChain(
      path, inputs: 768, from: entry,
      [
        Layer(name: "branch7x7dbl_1", outputs: width),
        Layer(name: "branch7x7dbl_2", outputs: width, kernel: Self.tall),
        Layer(name: "branch7x7dbl_3", outputs: width, kernel: Self.wide),
        Layer(name: "branch7x7dbl_4", outputs: width, kernel: Self.tall),
        Layer(name: "branch7x7dbl_5", outputs: 192, kernel: Self.wide),
      ])
    builder.add("\(path).cat", .concatenate, [one, seven, double, pool])
  }

  /// torchvision's `InceptionD`: halves the size.
  mutating func addD(_ path: ParameterPath) {
    let entry = builder.last
    let three = addChain(
      path, inputs: 768, from: entry,
      [
        Layer(name: "branch3x3_1", outputs: 192),
        Layer(name: "branch3x3_2", outputs: 320, kernel: Self.three, stride: 2, keepsSize: false),
      ])
    let seven = addChain(
      path, inputs: 768, from: entry,
      [
        Layer(name: "branch7x7x3_1", outputs: 192),
        Layer(name: "branch7x7x3_2", outputs: 192, kernel: Self.wide),
        Layer(name: "branch7x7x3_3", outputs: 192, kernel: Self.tall),
        Layer(
          name: "branch7x7x3_4", outputs: 192, kernel: Self.three, stride: 2, keepsSize: false),
      ])
    let pool = builder.add(
      "\(path).pool", .pooling(.maximum, Window2D(kernel: 3, stride: 2)), [entry])
    builder.add("\(path).cat", .concatenate, [three, seven, pool])
  }

  /// torchvision's `InceptionE`: two branches that fork into 1x3 and 3x1.
  mutating func addE(_ path: ParameterPath, inputs: Int) {
    let entry = builder.last
    let pool = addPooling(path, inputs: inputs, outputs: 192)
    let one = addChain(path, inputs: inputs, from: entry, [Layer(name: "branch1x1", outputs: 320)])
    let three = addChain(
      path, inputs: inputs, from: entry, [Layer(name: "branch3x3_1", outputs: 384)])
    let fork = addFork(path, "branch3x3_2", from: three)
    let double = addChain(
      path, inputs: inputs, from: entry,
      [
        Layer(name: "branch3x3dbl_1", outputs: 448),
        Layer(name: "branch3x3dbl_2", outputs: 384, kernel: Self.three),
      ])
    let doubleFork = addFork(path, "branch3x3dbl_3", from: double)
    builder.add("\(path).cat", .concatenate, [one] + fork + doubleFork + [pool])
  }

  private mutating func addFork(
    _ path: ParameterPath, _ name: String, from source: NodeID
  ) -> [NodeID] {
    [("a", Extent2D(height: 1, width: 3)), ("b", Extent2D(height: 3, width: 1))].map {
      add(path, inputs: 384, Layer(name: name + $0.0, outputs: 384, kernel: $0.1), from: source)
    }
  }
}
