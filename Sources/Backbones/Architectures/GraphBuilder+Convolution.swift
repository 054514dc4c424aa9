// SPDX-License-Identifier: Apache-2.0

import ThawNetwork

/// The batch normalisation that all layers of a network share.
struct NormalizationStyle {
  var epsilon = 1e-5
  var momentum = 0.1
  var hasScale = true
  var runningVariance = VarianceCorrection.bessel

  /// PyTorch's defaults.
  static let torch = NormalizationStyle()

  /// Keras 3: the running variance takes the biased one. Momentum as the weight of the new statistic.
  static func keras(
    epsilon: Double, momentum: Double = 0.01, hasScale: Bool = true
  ) -> NormalizationStyle {
    NormalizationStyle(
      epsilon: epsilon, momentum: momentum, hasScale: hasScale, runningVariance: .none)
  }

  func layer(_ channels: Int) -> ThawNetwork.Operation {
    .batchNormalization(
      BatchNormalization(
        channels: channels, epsilon: epsilon, momentum: momentum, hasScale: hasScale,
        runningVarianceCorrection: runningVariance))
  }
}

extension Convolution2D {
  /// A square convolution padded by half its kernel on every side, without bias by default.
  init(
    _ inputs: Int, _ outputs: Int, kernel: Int, stride: Int = 1, groups: Int = 1,
    hasBias: Bool = false
  ) {
    self.init(
      inputs: inputs, outputs: outputs,
      window: Window2D(
        kernel: kernel, stride: stride, padding: .explicit(EdgeInsets(kernel / 2))),
      groups: groups, hasBias: hasBias)
  }
}

/// Names of a convolution, its batch norm and the activation behind.
struct LayerNames {
  let layer: ParameterPath
  let norm: ParameterPath
  let activation: ParameterPath

  init(_ layer: ParameterPath, _ norm: ParameterPath, _ activation: ParameterPath) {
    (self.layer, self.norm, self.activation) = (layer, norm, activation)
  }

  /// The three places of a torchvision `Conv2dNormActivation`.
  init(sequence path: String) { self.init("\(path).0", "\(path).1", "\(path).2") }
}

extension GraphBuilder {
  /// Adds a convolution, its batch normalisation and `activation`, where there is one; returns the last of them.
  @discardableResult
  mutating func addConvolution(
    _ names: LayerNames, _ layer: Convolution2D, _ style: NormalizationStyle,
    activation: Activation? = nil
  ) -> NodeID {
    addConvolution(
      names.layer, names.norm, layer, style, activation: activation.map { (names.activation, $0) })
  }

  /// Adds a convolution at `path`, its batch normalisation at `normalization` and, when it is not
  /// nil, an activation at `activation.path`; returns the last of them.
  @discardableResult
  mutating func addConvolution(
    _ path: ParameterPath, _ normalization: ParameterPath, _ layer: Convolution2D,
    _ style: NormalizationStyle, activation: (path: ParameterPath, function: Activation)? = nil,
    from source: NodeID? = nil
  ) -> NodeID {
    add(path, .convolution(layer), source.map { [$0] })
    add(normalization, style.layer(layer.outputs))
    if let activation { add(activation.path, .activation(activation.function)) }
    return last
  }

  /// Adds one gate a channel from the channels' means: 1x1 to few, an activation, 1x1 back, gates. The
  /// multiplication is left to the caller.
  mutating func addGates(
    _ path: ParameterPath, _ channels: Int, squeezed: Int, reduce: String, activation: Activation,
    expand: String, gates: Activation
  ) {
    let point = Window2D(kernel: 1)
    add("\(path).squeeze", .globalAveragePooling)
    add(
      "\(path).\(reduce)",
      .convolution(
        Convolution2D(inputs: channels, outputs: squeezed, window: point, hasBias: true)))
    add("\(path).activation", .activation(activation))
    add(
      "\(path).\(expand)",
      .convolution(
        Convolution2D(inputs: squeezed, outputs: channels, window: point, hasBias: true)))
    add("\(path).gates", .activation(gates))
  }

  /// Adds global average pooling, flattening and the head; the nodes' usual end.
  mutating func addPooledHead(
    _ head: Head, features: Int, path: ParameterPath, pool: ParameterPath = "avgpool"
  ) {
    add(pool, .globalAveragePooling)
    add("flatten", .flatten)
    addHead(head, features: features, path: path)
  }
}
